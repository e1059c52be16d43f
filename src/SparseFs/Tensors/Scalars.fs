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
    static val mutable private kept: (Scalar | null)[] | null

    [<ThreadStatic; DefaultValue>]
    static val mutable private place: int

    static member private Keep(scalar: Scalar) : Scalar =
        let kept =
            match Scalars.kept with
            | null ->
                let none: (Scalar | null)[] = Array.zeroCreate Kept
                Scalars.kept <- none
                none
            | kept -> kept

        let place = Scalars.place
        Scalars.place <- (place + 1) % Kept

        match kept[place] with
        | null -> ()
        | before -> before.Dispose()

        kept[place] <- scalar
        scalar

    /// Frees what is kept of this thread; between its operations.
    static member Empty() : unit =
        match Scalars.kept with
        | null -> ()
        | kept ->
            for scalar in kept do
                match scalar with
                | null -> ()
                | scalar -> scalar.Dispose()

            Scalars.kept <- null

    /// For one operation; not to be stored.
    static member Of(number: float) : Scalar = Scalars.Keep(number.ToScalar())

    /// For one operation; not to be stored.
    static member Of(number: int64) : Scalar = Scalars.Keep(number.ToScalar())
