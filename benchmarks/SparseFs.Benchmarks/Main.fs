module SparseFs.Benchmarks.Main

open System
open Argu
open SparseFs.Benchmarks.Grid

type Arguments =
    | Quick
    | Full
    | Wide
    | Kernels
    | Roofline
    | Conv
    | Networks
    | Inference
    | Optimizers
    | Sweep
    | Costs
    | Topologies
    | Rewire
    | Steps
    | Callers of int list
    | Sparse_Inputs
    | [<CustomCommandLine "--kwinners">] KWinners
    | Replot of path: string
    | Shape of cols: int * rows: int
    | Batch of int list
    | Sparsity of float list
    | Ops of string list
    | Rivals of string list
    | Local
    | Groups
    | Threads of int list
    | Output of path: string

    interface IArgParserTemplate with
        member a.Usage =
            match a with
            | Quick -> "the shapes of docs/performance.md, some minutes; the default"
            | Full -> "every shape, batch size and sparsity, hours"
            | Wide -> "make and run very wide layers, with their peak memory, in place of the comparison"
            | Kernels -> "BenchmarkDotNet over the kernels by themselves, at each width, in place of the comparison"
            | Roofline -> "the kernels by themselves, as shares of what the machine can do, in place of the comparison"
            | Conv -> "convolutions beside dense ones, in place of the comparison"
            | Networks -> "whole networks beside their dense twins, in place of the comparison"
            | Inference -> "deployed networks beside ONNX Runtime's and TorchSharp's, in place of the comparison"
            | Optimizers -> "steps of optimizers beside TorchSharp's, in place of the comparison"
            | Sweep ->
                "one layer (1024 x 1024, 90 %; --shape, --sparsity, --groups) at 1 to 300 samples: where a few more cost too much"
            | Costs -> "the plan, the bytes of a weight, and the step of a tiny layer, in place of the comparison"
            | Topologies ->
                "seconds and memory of the generators of patterns at a million rows and columns, in place of the comparison"
            | Rewire -> "an update of dynamic training beside a training step, in place of the comparison"
            | Steps -> "Rewirer.Step between updates beside optimizer.step(), in place of the comparison"
            | Callers _ -> "requests of so many threads at once to one model (1 2 16), in place of the comparison"
            | Sparse_Inputs -> "where walking only the inputs that are not 0 is faster, in place of the comparison"
            | KWinners ->
                "k-winners beside topk and scatter, and its share of a training step, in place of the comparison"
            | Replot _ -> "draw the plot of an earlier run's JSON file again, in place of the comparison"
            | Shape _ -> "in_features out_features: this shape only; may be repeated"
            | Batch _ -> "batch sizes for --shape (256)"
            | Sparsity _ -> "sparsities for --shape (0.9 0.95 0.99)"
            | Ops _ -> "operations for --shape (forward train)"
            | Local -> "connections near the diagonal, for --shape"
            | Groups -> "each four neighbouring rows with the same connections, for --shape"
            | Rivals _ -> "what to compare with (dense masked coo gather)"
            | Threads _ -> "numbers of threads (1 2)"
            | Output _ -> "the JSON file (artifacts/bench/linear.json); the plot gets the same name with .html"

let private effort seconds others : LinearBenchmark.Effort =
    { Seconds = seconds
      OthersSeconds = others
      Rounds = 25 }

let private settings ops threads layout shapes batches sparsities =
    [ for cols, rows in shapes do
          for batch in batches do
              for sparsity in sparsities do
                  for op in ops do
                      for count in threads do
                          { Op = op
                            Cols = cols
                            Rows = rows
                            Batch = batch
                            Sparsity = sparsity
                            Layout = layout
                            Threads = count } ]

let private both = [ "forward"; "train" ]

let private quick threads =
    let rows = settings both threads
    let usual = [ 0.9; 0.95; 0.99 ]

    [ yield! rows Layout.Uniform [ 4096, 4096 ] [ 256 ] [ 0.5; 0.7; 0.8; 0.9; 0.95; 0.99; 0.999 ]
      yield! rows Layout.Local [ 4096, 4096 ] [ 256 ] [ 0.9; 0.99 ]
      yield! rows Layout.Groups4 [ 4096, 4096 ] [ 256 ] usual
      for layout in [ Layout.Uniform; Layout.Groups4 ] do
          yield! rows layout [ 1024, 1024 ] [ 256 ] usual
          yield! rows layout [ 784, 2000 ] [ 64 ] usual
          yield! rows layout [ 384, 1536; 1536, 384 ] [ 2048 ] usual
      yield! rows Layout.Uniform [ 2000, 10 ] [ 64 ] [ 0.9 ]
      yield! rows Layout.Uniform [ 20_000, 20_000 ] [ 1 ] [ 0.99 ] ]

let private full threads =
    let rows = settings both threads
    let shapes = [ 784, 2000; 2000, 10; 1024, 1024; 4096, 4096; 384, 1536; 1536, 384 ]
    let batches = [ 1; 8; 64; 256; 2048 ]

    List.concat
        [ rows Layout.Uniform shapes batches [ 0.5; 0.7; 0.8; 0.9; 0.95; 0.99; 0.999 ]
          rows Layout.Local [ 4096, 4096; 1024, 1024 ] [ 256 ] [ 0.9; 0.99 ]
          rows Layout.Uniform [ 20_000, 20_000 ] [ 1; 8; 64 ] [ 0.99; 0.999 ]
          rows Layout.Uniform [ 50_000, 50_000 ] [ 1; 8; 64 ] [ 0.999 ] ]

[<EntryPoint>]
let main args =
    let parser =
        ArgumentParser.Create<Arguments>(programName = "dotnet fsi build.fsx -- bench")

    try
        let given = parser.Parse args
        let threads = given.GetResult(Threads, [ 1; 2 ])

        let path =
            IO.Path.GetFullPath(given.GetResult(Output, "artifacts/bench/linear.json"))

        let layout =
            if given.Contains Local then Layout.Local
            elif given.Contains Groups then Layout.Groups4
            else Layout.Uniform

        let rivals = given.GetResult(Rivals, List.tail contenders)

        let compare effort settings =
            LinearBenchmark.run path effort rivals settings

        if given.Contains Wide then
            WideBenchmark.run ()
        elif given.Contains Kernels then
            KernelBenchmarks.run ()
        elif given.Contains Conv then
            ConvBenchmark.run threads (IO.Path.GetFullPath(given.GetResult(Output, "artifacts/bench/conv.json")))
            ConvMemory.run ()
        elif given.Contains Networks then
            NetworksBenchmark.run
                threads
                (IO.Path.GetFullPath(given.GetResult(Output, "artifacts/bench/networks.json")))
        elif given.Contains Inference then
            InferenceBenchmark.run
                threads
                (IO.Path.GetFullPath(given.GetResult(Output, "artifacts/bench/inference.json")))
        elif given.Contains Optimizers then
            OptimizerBenchmark.run
                threads
                (IO.Path.GetFullPath(given.GetResult(Output, "artifacts/bench/optimizers.json")))
        elif given.Contains Roofline then
            RooflineBenchmark.run (IO.Path.GetFullPath(given.GetResult(Output, "artifacts/bench/roofline.json")))
        elif given.Contains Sweep then
            let shape = given.GetResult(Shape, (1024, 1024))
            let sparsity = List.head (given.GetResult(Sparsity, [ 0.9 ]))

            settings [ "sweep" ] [ 1 ] layout [ shape ] [ 1 ] [ sparsity ]
            |> List.head
            |> SweepBenchmark.run (IO.Path.GetFullPath(given.GetResult(Output, "artifacts/bench/sweep.json")))
        elif given.Contains Costs then
            CostsBenchmark.run ()
        elif given.Contains Topologies then
            TopologiesBenchmark.run ()
        elif given.Contains Rewire then
            RewireBenchmark.run ()
        elif given.Contains Steps then
            RewireBenchmark.runSteps ()
        elif given.Contains Callers then
            CallersBenchmark.run (given.GetResult Callers)
        elif given.Contains Sparse_Inputs then
            SparseActivationsBenchmark.run ()
        elif given.Contains KWinners then
            KWinnersBenchmark.run ()
        elif given.Contains Replot then
            let source = IO.Path.GetFullPath(given.GetResult Replot)
            Plot.write (pageOf source) (read source)
        elif given.Contains Shape then
            settings
                (given.GetResult(Ops, both))
                threads
                layout
                (given.GetResults Shape)
                (given.GetResult(Batch, [ 256 ]))
                (given.GetResult(Sparsity, [ 0.9; 0.95; 0.99 ]))
            |> compare (effort 2.0 2.0)
        elif given.Contains Full then
            compare (effort 1.0 0.3) (full threads)
        else
            compare (effort 2.0 0.3) (quick threads)

        0
    with :? ArguParseException as e ->
        eprintfn $"{e.Message}"
        2
