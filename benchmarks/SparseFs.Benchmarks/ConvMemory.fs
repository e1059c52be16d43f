/// Memory of a training step of sparse convolutions beside torch's dense ones, and of growth by gradient.
module SparseFs.Benchmarks.ConvMemory

open System
open System.IO
open System.Runtime.InteropServices
open SparseFs
open TorchSharp

type private Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

module private Libc =
    [<DllImport("libc.so.6")>]
    extern int malloc_trim(unativeint pad)

let private kilobytes (name: string) : int64 =
    File.ReadLines "/proc/self/status"
    |> Seq.find (fun line -> line.StartsWith name)
    |> fun line -> int64 (line.Split([| ' '; '\t' |], StringSplitOptions.RemoveEmptyEntries)[1])

/// MB that a run takes at its most, over what the process has before it.
let private peak (run: unit -> unit) : float =
    GC.Collect()
    GC.WaitForPendingFinalizers()
    GC.Collect()
    // What libc keeps for later would hide what the run takes.
    Libc.malloc_trim 0un |> ignore
    File.WriteAllText("/proc/self/clear_refs", "5") // from here on, the most anew
    let before = kilobytes "VmRSS"
    run ()
    float (kilobytes "VmHWM" - before) / 1024.0

let private median (values: float[]) : float = (Array.sort values)[values.Length / 2]

let private step (layer: Layer) (x: torch.Tensor) =
    use _ = torch.NewDisposeScope()
    layer.call(x).square().mean().backward()

/// Of a step, which ends without gradients.
let private ofStep (layer: Layer) (x: torch.Tensor) : float =
    let run () =
        step layer x
        layer.zero_grad ()
        x.grad <- null

    run ()
    median [| for _ in 1..5 -> peak run |]

/// Of an update by gradient, whose inputs the backward has recorded.
let private ofGrowth (layer: SparseConv2d) (x: torch.Tensor) : float =
    use optimizer = torch.optim.SGD(layer.parameters (), 0.01)

    use rewirer =
        new Rewirer(layer, optimizer, Policy.rigL (Schedule.constant 0.1 2L 1_000_000L), Seed.ofInt 1)

    let forward () =
        optimizer.zero_grad ()
        step layer x

    median
        [| for _ in 1..5 do
               forward ()
               rewirer.Step() |> ignore
               forward () // every second step is an update
               peak (fun () -> rewirer.Step() |> ignore) |]

/// Prints a line a shape and structure, on systems that tell what a process has had at its most.
let run () : unit =
    if not (File.Exists "/proc/self/clear_refs") then
        printfn "memory is measured on Linux alone"
    else
        torch.set_num_threads 1

        for batch, channels, size in [ 16, 64, 56; 16, 128, 28; 16, 256, 14 ] do
            use _ = torch.NewDisposeScope()

            let x =
                torch.randn ([| int64 batch; int64 channels; int64 size; int64 size |], requires_grad = true)

            let dense =
                ofStep (torch.nn.Conv2d(int64 channels, int64 channels, 3L, padding = 1L)) x

            for structure, topology in [ "uniform", Topology.uniform; "groups-4", Topology.rowGroups 4 ] do
                use layer =
                    new SparseConv2d(channels, channels, 3, padding = 1, sparsity = 0.9, topology = topology)

                let sparse = ofStep layer x
                let growth = ofGrowth layer x

                printfn
                    $"memory   {batch}x{channels}x{size}^2, 3x3 -> {channels}, {structure} 90 %%: a step %.1f{sparse} MB, %.2f{sparse / dense} of dense's %.1f{dense} MB; growth by gradient %.1f{growth} MB"
