namespace SparseFs.Kernels

#nowarn "3535" // an interface with static members: the one way to hand a choice to the JIT as a type

/// Where four vectors of pixels lie: how far the second, third and fourth are from the first, among the inputs and the outputs.
[<Struct>]
type internal VectorPlaces =
    { In1: int64
      In2: int64
      In3: int64
      Out1: int64
      Out2: int64
      Out3: int64 }

    /// The last two as first ones.
    member inline v.SecondHalf: VectorPlaces =
        { In1 = v.In3 - v.In2
          In2 = 0L
          In3 = 0L
          Out1 = v.Out3 - v.Out2
          Out2 = 0L
          Out3 = 0L }

[<RequireQualifiedAccess>]
module internal VectorPlaces =

    /// Of vectors behind each other.
    let none: VectorPlaces =
        { In1 = 0L
          In2 = 0L
          In3 = 0L
          Out1 = 0L
          Out2 = 0L
          Out3 = 0L }

/// Where a product's inputs and outputs lie, as a type.
type internal IInputs =
    /// Floats between the inputs of two neighbouring columns, for tiles of a width.
    static abstract Apart: width: int64 -> int64
    /// Whether a tile's vectors lie behind each other; else VectorPlaces tell.
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
