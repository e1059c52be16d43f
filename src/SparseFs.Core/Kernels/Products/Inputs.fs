namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3535" // an interface with static members: the one way to hand a choice to the JIT as a type

open Microsoft.FSharp.NativeInterop

/// Where four vectors of pixels lie, in floats: among the inputs and among the outputs. Vectors that a tile has not lie where its first does.
[<Struct>]
type internal TilePlaces =
    { In0: int64
      In1: int64
      In2: int64
      In3: int64
      Out0: int64
      Out1: int64
      Out2: int64
      Out3: int64 }

/// Tiles of pixels of which products are taken in turn, a row or a group of rows at a time.
[<Struct>]
type internal PixelTiles =
    { First: nativeptr<TilePlaces>
      Count: int }

[<RequireQualifiedAccess>]
module internal PixelTiles =

    /// One packed tile, whose vectors lie behind each other.
    let packed: PixelTiles =
        { First = NativePtr.ofNativeInt 0n
          Count = 1 }

    /// A tile's last two vectors as first ones.
    let inline secondHalf (t: TilePlaces) : TilePlaces =
        { t with
            In0 = t.In2
            In1 = t.In3
            Out0 = t.Out2
            Out1 = t.Out3 }

    /// Where the vectors of a packed tile lie.
    let inline behindEachOther (lanes: int) : TilePlaces =
        { In0 = 0L
          In1 = int64 lanes
          In2 = int64 (2 * lanes)
          In3 = int64 (3 * lanes)
          Out0 = 0L
          Out1 = int64 lanes
          Out2 = int64 (2 * lanes)
          Out3 = int64 (3 * lanes) }

/// Where a product's inputs and outputs lie, as a type.
type internal IInputs =
    /// Floats between the inputs of two neighbouring columns, for tiles of a width.
    static abstract Apart: width: int64 -> int64
    /// Whether a tile's vectors lie behind each other; else PixelTiles tell.
    static abstract AreTiles: bool

/// A packed tile, which has a row for each column.
[<Struct>]
type internal TileRows =
    interface IInputs with
        static member Apart(width) = width
        static member AreTiles = true

/// Planes of pixels: in place of columns, a pattern has the place where each slot's inputs begin, in floats.
[<Struct>]
type internal PixelPlaces =
    interface IInputs with
        static member Apart _ = 1L
        static member AreTiles = false
