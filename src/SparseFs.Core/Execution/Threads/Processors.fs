namespace SparseFs.Kernels

open System
open System.Collections.Generic

/// <summary>Processors that calls of many threads share, and a worker thread for each.</summary>
/// <remarks>
/// A call takes its share of the processors: all that it wants where it is alone, one where there are as many callers
/// as processors. It computes on the caller's thread, and workers help where it has several. Where no processor is free
/// it waits, and a worker computes it, in the order in which calls came: so a processor that has become free goes on
/// with the next call at once, while the system still wakes up the one who waited for the last. Workers start when they
/// are first needed, and sleep when there is nothing to do.
/// </remarks>
[<Sealed>]
type internal Processors(count: int) =
    let gate = obj ()
    let idle = Stack<Worker>()
    let mutable workers = 0
    let waiting = Queue<WaitingCall>()
    let mutable free = count

    // How many callers there are, by the most calls at a time of this span of time and of the one before.
    let mutable calls = 0
    let mutable most = 0
    let mutable mostBefore = 0
    let mutable since = Environment.TickCount64

    static let span = 20L

    static let machine = Processors Environment.ProcessorCount

    let begins () =
        let now = Environment.TickCount64
        calls <- calls + 1

        if now - since > span then
            mostBefore <- if now - since > 2L * span then 0 else most
            most <- 0
            since <- now

        most <- max most calls

    let grant (wanted: int) : int =
        let share = max 1 (count / max most mostBefore)
        let granted = min wanted (min share free)
        free <- free - granted
        granted

    let rec takeIdle () : Worker =
        if idle.Count > 0 then
            idle.Pop()
        else
            workers <- workers + 1
            let worker = Worker(String.Concat("SparseFs worker ", workers.ToString()), isDone)
            worker.Start()
            worker

    and hasIdle () = idle.Count > 0 || workers < count

    /// Gives free processors to those who wait.
    and serve () =
        while free > 0 && waiting.Count > 0 && hasIdle () do
            let call = waiting.Dequeue()
            call.Granted <- grant call.Wanted
            takeIdle().Give call

    and isDone (worker: Worker) (work: IWork) =
        lock gate (fun () ->
            idle.Push worker

            if work.Processors > 0 then
                calls <- calls - 1
                free <- free + work.Processors

            serve ())

    /// Those of this machine, or of the container.
    static member Machine: Processors = machine

    /// Calls that wait.
    member _.Waiting: int = lock gate (fun () -> waiting.Count)

    /// Runs a call with as many processors as it is granted, 1 to as many as it wants; returns when it has ended, and raises
    /// what it has raised.
    member _.Call(wanted: int, body: int -> unit) : unit =
        let mine = WaitingCall(wanted, body)

        let isMyTurn =
            lock gate (fun () ->
                begins ()

                if free > 0 && waiting.Count = 0 then
                    mine.Granted <- grant wanted
                    true
                else
                    waiting.Enqueue mine
                    serve ()
                    false)

        if isMyTurn then
            try
                InsideCall.Run(fun () -> body mine.Granted)
            finally
                Uninterrupted.wait (fun () ->
                    lock gate (fun () ->
                        calls <- calls - 1
                        free <- free + mine.Granted
                        serve ()))
        else
            mine.Wait()

    /// Calls body for each part, on this thread and on those workers, up to so many threads together, that have nothing to do.
    member _.Share(threads: int, parts: int, body: int -> unit) : unit =
        let items = WorkItems(parts, body)

        let helpers =
            lock gate (fun () ->
                [ for _ in 2 .. min threads parts do
                      if hasIdle () then
                          takeIdle () ])

        for worker in helpers do
            worker.Give(Help items)

        items.Finish(items.Work())
        items.Wait()
        items.ThrowIfFailed()
