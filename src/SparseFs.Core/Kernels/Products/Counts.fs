namespace SparseFs.Kernels

#nowarn "3535" // an interface with static members: the one way to hand a count to the JIT as a type

/// <summary>A small number as a type: the vectors of a tile, the rows of a group. .NET compiles a kernel anew for each.</summary>
/// <remarks>What a kernel asks of it is a constant there: sums that a narrow tile or a small group does not have cost
/// nothing.</remarks>
type internal ICount =
    static abstract Count: int

[<Struct>]
type internal One =
    interface ICount with
        static member Count = 1

[<Struct>]
type internal Two =
    interface ICount with
        static member Count = 2

[<Struct>]
type internal Three =
    interface ICount with
        static member Count = 3

[<Struct>]
type internal Four =
    interface ICount with
        static member Count = 4

[<Struct>]
type internal Five =
    interface ICount with
        static member Count = 5

[<Struct>]
type internal Eight =
    interface ICount with
        static member Count = 8

[<Struct>]
type internal Sixteen =
    interface ICount with
        static member Count = 16
