namespace SparseFs.Kernels

open SparseFs

/// <summary>Which units each thread has, and how threads go through the steps.</summary>
[<RequireQualifiedAccess>]
module internal RecurrentShares =

    /// Units of equal work: their slots in all gates' rows, and one for each row. Each share begins with a row group of every gate.
    let ofWork (group: int) (pattern: Connectivity) (units: int) (share: int) (shares: int) : RowRange =
        let rowPtr = pattern.RowPtrArray
        let gates = pattern.Rows / max 1 units

        let work unit =
            let mutable sum = int64 (gates * unit)

            for gate in 0 .. gates - 1 do
                sum <- sum + int64 (rowPtr[gate * units + unit] - rowPtr[gate * units])

            sum

        let bound share =
            let target = work units * int64 share / int64 shares
            let mutable low = 0
            let mutable high = units

            while low < high do
                let mid = (low + high) / 2

                if work mid < target then low <- mid + 1 else high <- mid

            if low = units then low else low - low % group

        { From = bound share
          To = bound (share + 1) }

    /// Rows that products may take together: a row group may not have rows of two gates.
    let group (plan: SpmmPlan) (units: int) : int =
        if units % plan.RowGroup = 0 then plan.RowGroup else 1

    /// <summary>Runs every step of every tile. Where there are tiles enough each thread has some, from the first step to the last; else
    /// the threads share each step of a tile, and wait for each other behind it.</summary>
    /// <param name="policy">Threads.</param>
    /// <param name="tiles">Tiles.</param>
    /// <param name="steps">Steps.</param>
    /// <param name="body">Takes a tile, a step, a share and the number of shares.</param>
    let run (policy: ExecutionPolicy) (tiles: int) (steps: int) (body: int -> int -> int -> int -> unit) : unit =
        if tiles >= policy.Threads then
            policy.Team.Run(
                policy.Threads,
                tiles,
                fun tile ->
                    for step in 0 .. steps - 1 do
                        body tile step 0 1
            )
        else
            for tile in 0 .. tiles - 1 do
                for step in 0 .. steps - 1 do
                    policy.Team.Run(policy.Threads, policy.Threads, (fun share -> body tile step share policy.Threads))
