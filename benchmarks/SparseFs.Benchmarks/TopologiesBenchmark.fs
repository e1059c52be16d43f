/// Seconds and memory of the generators, on a matrix that nobody could list cell by cell.
module SparseFs.Benchmarks.TopologiesBenchmark

open System.Diagnostics
open SparseFs
open SparseFs.Benchmarks.Timing

let private size = 1_000_000

/// Each for a number of slots a row.
let private generators: (string * (int -> Seed -> Connectivity)) list =
    [ "uniform", (fun each -> Topology.uniform size size (size * each))
      "small world", (fun each -> Topology.smallWorld size size (size * each))
      "constant fan-in", Topology.constantFanIn size size
      "Watts-Strogatz, 0.1", (fun each -> Topology.wattsStrogatz size size each 0.1)
      "biregular", Topology.biregular size size
      "scale-free, 3", (fun each -> Topology.scaleFree size size (size * each) 3.0) ]

let private rounds = 3

let run () =
    printfn $"[{size:N0}, {size:N0}], medians of {rounds} seeds; a pattern itself takes 4 bytes a slot and a row"
    printfn "topology                   slots   seconds   ns a slot   peak MB   pattern MB"

    // Once each, small, so that no run pays for compilation.
    for _, generate in generators do
        generate 1 (Seed.ofInt 0) |> ignore

    for name, generate in generators do
        for each in [ 1; 3; 10 ] do
            let mutable slots = 0
            let times = ResizeArray<float>()

            let generate round =
                let watch = Stopwatch.StartNew()
                let c = generate each (Seed.ofInt round)
                times.Add watch.Elapsed.TotalSeconds
                slots <- c.Nnz

            let peak = extraPeakBytes (fun () -> generate 1)

            for round in 2..rounds do
                generate round

            let seconds = median times

            let peak =
                peak |> Option.map (fun b -> $"{float b / 1e6:F0}") |> Option.defaultValue "?"

            let own = 4.0 * float (slots + size) / 1e6

            printfn
                $"{name, -20} {slots, 11:N0} {seconds, 9:F2} {seconds / float slots * 1e9, 11:F0} {peak, 9} {own, 12:F0}"
