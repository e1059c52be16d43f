namespace SparseFs.Torch

open SparseFs.Kernels

/// <summary>What the kernels of a call may use.</summary>
[<NoEquality; NoComparison>]
type internal CpuPolicies =
    {
        /// For so many slots, or cells, and samples.
        Products: int -> int -> ExecutionPolicy
        /// For so many rows of so many units.
        TopK: int -> int -> ExecutionPolicy
    }
