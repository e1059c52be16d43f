namespace SparseFs.Torch

open System
open TorchSharp

/// <summary>Numbers for torch's operations.</summary>
/// <remarks>TorchSharp hands a Scalar's address to libtorch and does not keep the Scalar: the collector may free it, on
/// another thread, while libtorch reads it. So the last 32 of each thread are kept, and those before them freed;
/// <c>Empty</c> frees this thread's.</remarks>
[<AbstractClass; Sealed>]
type internal Scalars private () =
    /// More than one operation takes, with those in its arguments.
    [<Literal>]
    static let Kept = 32

    [<ThreadStatic; DefaultValue>]
    static val mutable private kept: Scalar[]

    [<ThreadStatic; DefaultValue>]
    static val mutable private place: int

    static member private Keep(scalar: Scalar) : Scalar =
        if isNull Scalars.kept then
            Scalars.kept <- Array.zeroCreate Kept

        let place = Scalars.place
        Scalars.place <- (place + 1) % Kept

        if not (isNull Scalars.kept[place]) then
            Scalars.kept[place].Dispose()

        Scalars.kept[place] <- scalar
        scalar

    /// Frees what is kept of this thread; between its operations.
    static member Empty() : unit =
        if not (isNull Scalars.kept) then
            for scalar in Scalars.kept do
                if not (isNull scalar) then
                    scalar.Dispose()

            Scalars.kept <- null

    /// For one operation; not to be stored.
    static member Of(number: float) : Scalar = Scalars.Keep(number.ToScalar())

    /// For one operation; not to be stored.
    static member Of(number: int64) : Scalar = Scalars.Keep(number.ToScalar())
