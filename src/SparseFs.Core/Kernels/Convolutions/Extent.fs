namespace SparseFs.Kernels

/// A size or a place in a volume of pixels; what has fewer than three dimensions has 1, or 0, in the first ones.
[<Struct>]
type internal Extent =
    { Depth: int
      Height: int
      Width: int }

    /// Pixels of a volume of this size.
    member e.Pixels: int64 = int64 e.Depth * int64 e.Height * int64 e.Width

[<RequireQualifiedAccess>]
module internal Extent =

    let of3 (depth: int) (height: int) (width: int) : Extent =
        { Depth = depth
          Height = height
          Width = width }

    let all (size: int) : Extent = of3 size size size

    let map2 (f: int -> int -> int) (a: Extent) (b: Extent) : Extent =
        of3 (f a.Depth b.Depth) (f a.Height b.Height) (f a.Width b.Width)

    let map3 (f: int -> int -> int -> int) (a: Extent) (b: Extent) (c: Extent) : Extent =
        of3 (f a.Depth b.Depth c.Depth) (f a.Height b.Height c.Height) (f a.Width b.Width c.Width)
