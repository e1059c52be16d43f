module SparseFs.Benchmarks.Main

open System
open Argu

type Arguments =
    | Quick
    | Wide
    | Shape of cols: int * rows: int * batch: int
    | Sparsity of float list
    | Threads of int list
    | Output of path: string

    interface IArgParserTemplate with
        member a.Usage =
            match a with
            | Quick -> "the shapes of docs and README, a few minutes; the default"
            | Wide -> "make and run very wide layers, with their peak memory, in place of the comparison"
            | Shape _ -> "in_features out_features batch: this shape only"
            | Sparsity _ -> "the sparsities for --shape (0.9 0.95 0.99)"
            | Threads _ -> "numbers of threads (1 2)"
            | Output _ -> "the JSON file (artifacts/bench/linear.json)"

[<EntryPoint>]
let main args =
    let parser =
        ArgumentParser.Create<Arguments>(programName = "dotnet fsi build.fsx bench")

    try
        let given = parser.Parse args

        if given.Contains Wide then
            WideBenchmark.run ()
        else
            let sparsities = given.GetResult(Sparsity, [ 0.9; 0.95; 0.99 ])

            let grid =
                match given.TryGetResult Shape with
                | Some shape -> [ shape, sparsities ]
                | None -> LinearBenchmark.quick

            let path = given.GetResult(Output, "artifacts/bench/linear.json")
            LinearBenchmark.run (IO.Path.GetFullPath path) (given.GetResult(Threads, [ 1; 2 ])) grid

        0
    with :? ArguParseException as e ->
        eprintfn $"{e.Message}"
        2
