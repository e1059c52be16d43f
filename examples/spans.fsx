// A sparse matrix times a vector, without torch. After one build (dotnet fsi build.fsx): dotnet fsi examples/spans.fsx
#r "../artifacts/bin/SparseFs.Core/release/SparseFs.Core.dll"

open System
open SparseFs
open SparseFs.Kernels

let plan = SpmmPlan(Topology.uniform 100 784 7840 (Seed.ofInt 1)) // 7840 of 78400 weights exist

let values, x, y =
    Array.create 7840 0.5f, Array.create 784 1.0f, Array.zeroCreate<float32> 100

CpuKernels.Shared.Spmm(plan, ReadOnlySpan values, ReadOnlySpan.Empty, ReadOnlySpan x, 1, Span y) // y = W x
printfn $"{CpuKernels.Shared.VectorBits} bits, sum {Array.sum y}"
