module SparseFs.Benchmarks.Main

open TorchSharp

[<EntryPoint>]
let main _ =
    printfn $"no benchmarks yet; libtorch {torch.__version__} has {torch.get_num_threads ()} threads"
    0
