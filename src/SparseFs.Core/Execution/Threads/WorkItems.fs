namespace SparseFs.Kernels

open System
open System.Diagnostics
open System.Runtime.ExceptionServices
open System.Threading

/// Whether a thread computes for a call.
[<AbstractClass; Sealed>]
type internal InsideCall =

    [<ThreadStatic; DefaultValue>]
    static val mutable private inside: bool

    /// Whether this thread does: a call that begins meanwhile is a part of that one.
    static member IsHere: bool = InsideCall.inside

    /// Runs what a call needs on this thread.
    static member Run(body: unit -> unit) : unit =
        let before = InsideCall.inside
        InsideCall.inside <- true

        try
            body ()
        finally
            InsideCall.inside <- before

module internal Uninterrupted =

    /// Waits to the end, though the thread is interrupted meanwhile: others compute in its caller's memory. It is
    /// interrupted again afterwards.
    let wait (body: unit -> unit) : unit =
        let mutable waits = true
        let mutable wasInterrupted = false

        while waits do
            try
                body ()
                waits <- false
            with :? ThreadInterruptedException ->
                wasInterrupted <- true

        if wasInterrupted then
            Thread.CurrentThread.Interrupt()

/// The parts of one call: each is taken by one thread, once.
[<Sealed>]
type internal WorkItems(parts: int, body: int -> unit) =
    let mutable taken = 0
    let mutable finished = 0
    let mutable failure: ExceptionDispatchInfo | null = null
    let allFinished = new ManualResetEventSlim((parts <= 0), 0)

    /// How long a caller looks for the end of the last parts before it sleeps: they run, and to be woken up takes longer than
    /// most of them.
    static let awake = Stopwatch.Frequency / 1000L

    /// Runs parts until none is left, and returns how many. An exception waits for the end: it may not leave a thread that
    /// is not the caller's.
    member _.Work() : int =
        let mutable ran = 0

        let run () =
            let mutable part = Interlocked.Increment &taken - 1

            while part < parts do
                try
                    body part
                with e ->
                    failure <- ExceptionDispatchInfo.Capture e

                ran <- ran + 1
                part <- Interlocked.Increment &taken - 1

        InsideCall.Run run
        ran

    /// Says that so many parts have run.
    member _.Finish(ran: int) : unit =
        if ran > 0 && Interlocked.Add(&finished, ran) = parts then
            allFinished.Set()

    /// Returns when all parts have run. Threads that come later find none, so they are not waited for.
    member _.Wait() : unit =
        let until = Stopwatch.GetTimestamp() + awake

        while Volatile.Read &finished < parts && Stopwatch.GetTimestamp() < until do
            Thread.SpinWait 5

        if Volatile.Read &finished < parts then
            Uninterrupted.wait allFinished.Wait

    member _.ThrowIfFailed() : unit =
        match failure with
        | null -> ()
        | failure -> failure.Throw()
