namespace SparseFs.Torch

open System
open System.Threading

/// <summary>Why a backward failed, until the caller has been told.</summary>
/// <remarks>An exception that left a backward would end the process, so libtorch is given gradients that it refuses, in
/// words of its own. The reason is raised by the next call of ours on the thread or of the layer.</remarks>
[<Sealed>]
type internal BackwardFailure private (reason: exn) =
    let mutable isTold = 0

    [<ThreadStatic; DefaultValue>]
    static val mutable private ofThread: BackwardFailure | null

    /// On a GPU, backward runs on libtorch's threads.
    static let mutable latest: BackwardFailure | null = null

    member private _.Reason = reason

    /// The reason, for the first who asks; then null.
    member private _.Tell() : exn | null =
        if Interlocked.Exchange(&isTold, 1) = 0 then
            reason
        else
            null

    static member private Tell(failure: BackwardFailure | null) : exn | null =
        match failure with
        | null -> null
        | failure -> failure.Tell()

    /// Keeps the reason; once, however often it is noted on its way.
    static member Note(reason: exn) : BackwardFailure =
        match BackwardFailure.ofThread with
        | NonNull known when obj.ReferenceEquals(known.Reason, reason) -> known
        | _ ->
            let failure = BackwardFailure reason
            BackwardFailure.ofThread <- failure
            Volatile.Write(&latest, failure)
            failure

    /// The exception for whoever is told.
    static member Of(reason: exn) : exn =
        InvalidOperationException($"the last backward failed: {reason.Message}", reason)

    /// The reason of this thread's last failure or, on a GPU, of anybody's; null where there is none that was not told.
    static member Take(isOnGpu: bool) : exn | null =
        let failure = BackwardFailure.ofThread
        BackwardFailure.ofThread <- null

        match BackwardFailure.Tell failure with
        | null when isOnGpu -> BackwardFailure.Tell(Volatile.Read &latest)
        | reason -> reason

    /// <summary>Raises what this thread has not been told yet.</summary>
    /// <exception cref="T:System.InvalidOperationException">A backward failed; the inner exception says why.</exception>
    static member Raise() : unit =
        if not (isNull BackwardFailure.ofThread) then
            match BackwardFailure.Take false with
            | null -> ()
            | reason -> raise (BackwardFailure.Of reason)

    /// As Raise, of a failure that is kept elsewhere.
    static member Raise(failure: BackwardFailure | null) : unit =
        match BackwardFailure.Tell failure with
        | null -> ()
        | reason -> raise (BackwardFailure.Of reason)
