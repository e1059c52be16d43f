/// The kernels by themselves, at each width that the machine has, on one thread.
namespace SparseFs.Benchmarks

#nowarn "9"

open System
open System.Globalization
open System.IO
open System.Runtime.InteropServices
open BenchmarkDotNet.Attributes
open BenchmarkDotNet.Columns
open BenchmarkDotNet.Configs
open BenchmarkDotNet.Jobs
open BenchmarkDotNet.Running
open BenchmarkDotNet.Toolchains.InProcess.Emit
open Microsoft.FSharp.NativeInterop
open Perfolizer.Horology
open SparseFs
open SparseFs.Kernels

/// in × out, batch and sparsity of a case, and the work and traffic of each kernel on it.
type KernelCase =
    { Cols: int
      Rows: int
      Batch: int
      Sparsity: float }

    override c.ToString() =
        // BenchmarkDotNet shows twenty characters.
        $"{c.Cols}x{c.Rows},{c.Batch},{100.0 * c.Sparsity}%%"

    member c.Nnz = Sparsity.nnz c.Rows c.Cols c.Sparsity

    /// Multiply-adds count two; packing has none.
    member c.Flops(kernel: string) =
        if kernel = "Pack" then
            0.0
        else
            2.0 * float c.Nnz * float c.Batch

    /// What the inner loops read and write: for each slot and sample the input, for each slot of each tile of 32 its
    /// weight and column; the packed rows and the outputs beside them.
    member c.Bytes(kernel: string) =
        let samples = float c.Batch
        let slots = float c.Nnz * (4.0 * samples + 8.0 * Math.Ceiling(samples / 32.0))
        let input, output = 4.0 * samples * float c.Cols, 4.0 * samples * float c.Rows

        if kernel = "Pack" then
            2.0 * input
        else
            slots + 2.0 * (input + output)

type private Rate(name: string, unit: string, amount: KernelCase -> string -> float) =
    interface IColumn with
        member _.Id = name
        member _.ColumnName = name
        member _.AlwaysShow = true
        member _.Category = ColumnCategory.Custom
        member _.PriorityInCategory = 0
        member _.IsNumeric = true
        member _.UnitType = UnitType.Dimensionless
        member _.Legend = unit
        member _.IsAvailable _ = true
        member _.IsDefault(_, _) = false

        member c.GetValue(summary, benchmark) =
            (c :> IColumn).GetValue(summary, benchmark, summary.Style)

        member _.GetValue(summary, benchmark, _) =
            let statistics =
                match summary[benchmark] with
                | null -> null
                | report -> report.ResultStatistics

            match statistics with
            | null -> "-"
            | statistics ->
                let case = benchmark.Parameters["Case"] :?> KernelCase
                let kernel = benchmark.Descriptor.WorkloadMethod.Name

                (amount case kernel / statistics.Median).ToString("F1", CultureInfo.InvariantCulture)

type KernelBenchmarks() =
    let mutable plan = Unchecked.defaultof<SpmmPlan>
    let mutable x, g, y, dx = 0n, 0n, 0n, 0n
    let mutable values, d, packed = 0n, 0n, 0n
    let at (address: nativeint) : nativeptr<float32> = NativePtr.ofNativeInt address

    member _.Cases =
        [ 4096, 4096, 256, 0.9
          4096, 4096, 256, 0.99
          1024, 1024, 256, 0.99
          784, 2000, 64, 0.9
          384, 1536, 2048, 0.95 ]
        |> List.map (fun (cols, rows, batch, sparsity) ->
            { Cols = cols
              Rows = rows
              Batch = batch
              Sparsity = sparsity })

    member _.Widths = CpuSpmm.widths |> List.map int

    [<ParamsSource("Cases")>]
    member val Case = Unchecked.defaultof<KernelCase> with get, set

    [<ParamsSource("Widths")>]
    member val Lanes = 1 with get, set

    member private b.Machine = CpuSpmm.machineOf (enum<Width> b.Lanes) 1

    [<GlobalSetup>]
    member b.Setup() =
        let c = b.Case
        let n = int64 c.Batch

        let room length =
            NativePtr.toNativeInt (Products.buffer length)

        plan <- SpmmPlan(Topology.uniform c.Rows c.Cols c.Nnz (Seed.ofInt 1))
        plan.Transposed b.Machine |> ignore
        x <- room (n * int64 c.Cols)
        dx <- room (n * int64 c.Cols)
        g <- room (n * int64 c.Rows)
        y <- room (n * int64 c.Rows)
        values <- room (int64 c.Nnz)
        d <- room (int64 c.Nnz)
        packed <- room (80L * int64 c.Cols)

    [<GlobalCleanup>]
    member _.Cleanup() =
        for address in [ x; dx; g; y; values; d; packed ] do
            NativeMemory.AlignedFree(NativePtr.toVoidPtr (at address))

    [<Benchmark>]
    member b.Pack() =
        let c = b.Case
        let cut = BatchTiling.ofBatch b.Machine.Width c.Batch (max c.Rows c.Cols)

        for index in 0 .. cut.Tiles - 1 do
            KernelTable.ofWidth(cut.Width).Pack(cut.Tile index, { Data = at x; Stride = c.Cols }, c.Cols, at packed)

    [<Benchmark>]
    member b.Spmm() =
        CpuSpmm.spmm b.Machine plan (at values) Pointer.nothing (at x) b.Case.Batch (at y)

    [<Benchmark>]
    member b.SpmmT() =
        CpuSpmm.spmmT b.Machine plan (at values) (at g) b.Case.Batch (at dx)

    [<Benchmark>]
    member b.Sddmm() =
        CpuGradients.sddmm b.Machine plan (at g) (at x) b.Case.Batch (at d)

[<RequireQualifiedAccess>]
module KernelBenchmarks =

    let run () =
        // In this process: the library needs its own build, which a generated project would not have.
        let job =
            Job.Default
                .WithToolchain(InProcessEmitToolchain.Instance)
                .WithIterationTime(TimeInterval.FromMilliseconds 50.0)
                .WithWarmupCount(2)
                .WithIterationCount(9)

        let config =
            DefaultConfig.Instance
                .AddJob(job)
                .AddColumn(
                    Rate("GFLOP/s", "two for each multiply-add", (fun c -> c.Flops)),
                    Rate("GB/s", "what the loops read and write, wherever it lies", (fun c -> c.Bytes))
                )
                .WithArtifactsPath(Path.GetFullPath "artifacts/bench/kernels")

        BenchmarkRunner.Run<KernelBenchmarks>(config) |> ignore
