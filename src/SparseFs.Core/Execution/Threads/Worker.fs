namespace SparseFs.Kernels

open System.Diagnostics
open System.Threading

/// What a worker is given to do.
type internal IWork =
    abstract Do: unit -> unit
    /// Processors that were taken for it, free when it is done.
    abstract Processors: int
    /// Tells those who wait for it, when the worker can be given other work already.
    abstract Tell: unit -> unit

/// A thread that does one work after another.
[<Sealed>]
type internal Worker(name: string, isDone: Worker -> IWork -> unit) =
    let given = new SemaphoreSlim(0)
    let mutable next: IWork | null = null

    /// How long it looks for work before it sleeps, half a millisecond: the next layer's call is as near as that.
    static let awake = Stopwatch.Frequency / 2000L

    let await () : IWork =
        let until = Stopwatch.GetTimestamp() + awake

        while isNull (Volatile.Read &next) && Stopwatch.GetTimestamp() < until do
            Thread.SpinWait 5

        given.Wait()

        match Interlocked.Exchange(&next, null) with
        | null -> invalidOp "expected work, got none"
        | work -> work

    /// To be called once.
    member w.Start() : unit =
        let run () =
            while true do
                let work = await ()
                work.Do()
                isDone w work
                work.Tell()

        Thread(run, IsBackground = true, Name = name).Start()

    /// To be called when it has nothing to do.
    member _.Give(work: IWork) : unit =
        Volatile.Write(&next, work)
        given.Release() |> ignore

/// Some parts of a call that another thread runs.
[<Sealed>]
type internal Help(items: WorkItems) =
    let mutable ran = 0

    interface IWork with
        member _.Do() = ran <- items.Work()
        member _.Processors = 0
        member _.Tell() = items.Finish ran

/// A call that waits for its turn, and then for its end.
[<Sealed>]
type internal WaitingCall(wanted: int, body: int -> unit) =
    let gate = obj ()
    let mutable hasEnded = false

    let mutable failure: System.Runtime.ExceptionServices.ExceptionDispatchInfo | null =
        null

    member _.Wanted: int = wanted

    /// Processors that it has been granted.
    member val Granted = 0 with get, set

    /// Returns when a worker has done it, and raises what it has raised.
    member _.Wait() : unit =
        Uninterrupted.wait (fun () ->
            lock gate (fun () ->
                while not hasEnded do
                    Monitor.Wait gate |> ignore))

        match failure with
        | null -> ()
        | failure -> failure.Throw()

    interface IWork with
        member call.Do() =
            try
                InsideCall.Run(fun () -> body call.Granted)
            with e ->
                failure <- System.Runtime.ExceptionServices.ExceptionDispatchInfo.Capture e

        member call.Processors = call.Granted

        member _.Tell() =
            lock gate (fun () ->
                hasEnded <- true
                Monitor.Pulse gate)
