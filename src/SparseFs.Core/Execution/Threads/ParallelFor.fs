namespace SparseFs.Kernels

open System.Threading
open System.Threading.Tasks

/// <summary>Threads for the parts of a call.</summary>
/// <remarks>Results never depend on it, nor on the number of threads.</remarks>
[<AbstractClass>]
type ParallelFor
    /// Whether its calls take turns on the machine's processors with those of the library's other teams.
    internal (takesTurns: bool) =

    static let threadPool =
        { new ParallelFor() with
            member _.Share(threads, parts, body) =
                Parallel.For(0, parts, ParallelOptions(MaxDegreeOfParallelism = threads), body)
                |> ignore }

    static let workers =
        { new ParallelFor(true) with
            member _.Share(threads, parts, body) =
                Processors.Machine.Share(threads, parts, body) }

    /// <summary>For those who inherit.</summary>
    new() = ParallelFor false

    /// <summary>.NET's thread pool.</summary>
    static member ThreadPool: ParallelFor = threadPool

    /// <summary>The library's own threads, fewer by one than the machine's processors.</summary>
    /// <remarks>Calls of many threads take turns: each has a processor at least from its beginning to its end, and takes
    /// more where they are free. They are served in the order in which they come.</remarks>
    static member Workers: ParallelFor = workers

    member internal _.TakesTurns: bool = takesTurns

    /// <summary>Calls body for each part from 0 to parts − 1, on so many threads at most; returns when all are done, and
    /// raises what a part has raised.</summary>
    /// <param name="threads">2 or more.</param>
    /// <param name="parts">2 or more.</param>
    /// <param name="body">Takes the number of a part; may run on any thread.</param>
    abstract Share: threads: int * parts: int * body: (int -> unit) -> unit

    /// Calls body for each part from 0 to parts − 1, where one thread is enough on this one.
    member internal team.Run(threads: int, parts: int, body: int -> unit) : unit =
        if threads = 1 || parts = 1 then
            for part in 0 .. parts - 1 do
                body part
        else
            team.Share(threads, parts, body)

/// What a call may use; a test forces each.
[<Struct>]
type internal ExecutionPolicy =
    { Width: Width
      Threads: int
      Team: ParallelFor }

[<RequireQualifiedAccess>]
module internal ExecutionPolicy =

    /// <summary>Runs a call with as many of a policy's threads as are free when its turn comes.</summary>
    /// <remarks>All that is one call for its caller is one here: its parts keep what it was granted.</remarks>
    let call (policy: ExecutionPolicy) (body: ExecutionPolicy -> unit) : unit =
        if policy.Threads = 1 || not policy.Team.TakesTurns then
            body policy
        elif InsideCall.IsHere then
            body { policy with Threads = 1 }
        else
            let caller = Thread.CurrentThread

            Processors.Machine.Call(
                policy.Threads,
                fun granted ->
                    // A worker that computes the call is helped by others of its kind, not by threads of its caller's.
                    let team =
                        if obj.ReferenceEquals(Thread.CurrentThread, caller) then
                            policy.Team
                        else
                            ParallelFor.Workers

                    body
                        { policy with
                            Threads = granted
                            Team = team }
            )

    /// As call; one thread allocates nothing.
    let inline run (policy: ExecutionPolicy) ([<InlineIfLambda>] body: ExecutionPolicy -> unit) : unit =
        if policy.Threads = 1 then
            body policy
        else
            call policy (fun granted -> body granted)

    /// Runs a call that is nothing but its parts.
    let share (team: ParallelFor) (parts: int) (body: int -> unit) : unit =
        let policy =
            { Width = Width.Scalar
              Threads = parts
              Team = team }

        call policy (fun granted -> team.Run(granted.Threads, parts, body))
