namespace SparseFs.Kernels

#nowarn "3535" // an interface with static members: the one way to hand a count to the JIT as a type

/// <summary>How many vectors of samples a tile is wide: a type, so that .NET compiles a kernel anew for each.</summary>
/// <remarks>What a kernel asks of it is a constant there: sums that a narrow tile does not have cost nothing.</remarks>
type internal ITileVectors =
    static abstract Count: int

[<Struct>]
type internal OneVector =
    interface ITileVectors with
        static member Count = 1

[<Struct>]
type internal TwoVectors =
    interface ITileVectors with
        static member Count = 2

[<Struct>]
type internal ThreeVectors =
    interface ITileVectors with
        static member Count = 3

[<Struct>]
type internal FourVectors =
    interface ITileVectors with
        static member Count = 4

[<Struct>]
type internal FiveVectors =
    interface ITileVectors with
        static member Count = 5

[<Struct>]
type internal SixVectors =
    interface ITileVectors with
        static member Count = 6
