namespace SparseFs.Kernels

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
            Processors.Machine.Call(policy.Threads, (fun granted -> body { policy with Threads = granted }))
