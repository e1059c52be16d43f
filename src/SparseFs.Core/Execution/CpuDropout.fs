namespace SparseFs.Kernels

#nowarn "9"

open SparseFs

/// Dropout on threads.
[<RequireQualifiedAccess>]
module internal CpuDropout =

    /// Numbers of a part: what the nearest memory holds.
    [<Literal>]
    let private Block = 4096L

    /// <summary>y [count] of x [count]; y is overwritten. Results do not depend on the number of threads.</summary>
    let run (policy: ExecutionPolicy) (d: DropoutDraw) (count: int64) (x: nativeptr<float32>) (y: nativeptr<float32>) =
        policy.Team.Run(
            policy.Threads,
            int ((count + Block - 1L) / Block),
            fun part ->
                let first = int64 part * Block
                let own = int (min Block (count - first))
                Dropout.apply d first own (Pointer.at x first) (Pointer.at y first)
        )
