/// The three products of a layer's training step by themselves, on memory of their own.
namespace SparseFs.Benchmarks

#nowarn "9"

open System
open System.Runtime.InteropServices
open Microsoft.FSharp.NativeInterop
open SparseFs.Kernels

[<RequireQualifiedAccess>]
module Products =

    /// The layer's output, the gradient of its input, and that of its weights.
    let names = [ "forward"; "dX"; "dW" ]

    /// Random numbers around 0 on a cache line's boundary, to be freed.
    let buffer (length: int64) : nativeptr<float32> =
        let p =
            NativePtr.ofVoidPtr<float32>(NativeMemory.AlignedAlloc(unativeint (4L * length), 64un))

        let random = Random 1

        for i in 0 .. int length - 1 do
            NativePtr.set p i (random.NextSingle() - 0.5f)

        p

/// Random operands of the products of layers of one shape, for so many samples and slots at most.
type internal Operands(samples: int, rows: int, cols: int, slots: int) =

    let inputs, outputs = int64 samples * int64 cols, int64 samples * int64 rows
    let x, dx = Products.buffer inputs, Products.buffer inputs
    let y, g = Products.buffer outputs, Products.buffer outputs
    let values, d = Products.buffer (int64 slots), Products.buffer (int64 slots)

    /// One product of the first n samples.
    member _.Run(product: string, machine: ExecutionPolicy, plan: SpmmPlan, n: int) : unit =
        match product with
        | "forward" -> CpuSpmm.spmm machine plan values Pointer.nothing x n y
        | "dX" -> CpuSpmm.spmmT machine plan values g n dx
        | _ -> CpuGradients.sddmm machine plan g x n d

    interface IDisposable with
        member _.Dispose() =
            for p in [ x; dx; y; g; values; d ] do
                NativeMemory.AlignedFree(NativePtr.toVoidPtr p)
