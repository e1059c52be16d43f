// Handwritten digits in F# Interactive: dotnet fsi train.fsx
#r "nuget: SparseFs"
#r "nuget: TorchSharp-cpu"

open System.IO
open System.IO.Compression
open SparseFs
open TorchSharp

let inflated (path: string) : byte[] =
    use file = new GZipStream(File.OpenRead path, CompressionMode.Decompress)
    use bytes = new MemoryStream()
    file.CopyTo bytes
    bytes.ToArray()

let read (part: string) =
    let pixels = (inflated $"data/{part}-images-idx3-ubyte.gz")[16..]
    let labels = (inflated $"data/{part}-labels-idx1-ubyte.gz")[8..]

    torch.tensor(pixels).view(-1L, 784L).``to``(torch.float32).div(255.0f.ToScalar()),
    torch.tensor(labels).``to``(torch.int64)

torch.manual_seed 1L |> ignore
torch.set_num_threads 1
let images, labels = read "train"
let testImages, testLabels = read "t10k"
let hidden = new SparseLinear(784, 200, sparsity = 0.95)

let model =
    sequential {
        "hidden", hidden
        "relu", torch.nn.ReLU()
        "output", new SparseLinear(200, 10, sparsity = 0.5)
    }

let optimizer = torch.optim.Adam(model.parameters (), 2e-3)

let rewirer =
    new Rewirer(model, optimizer, Policy.rigL (Schedule.cosine 0.3 20L 200L))

let log = RewireLog.Csv "rewiring.csv"
rewirer.Events.Add log.Add

for epoch in 1..4 do
    for chosen in torch.randperm(5000L).split 100L do // of all of MNIST, 5,000 are enough here
        use _ = torch.NewDisposeScope()
        optimizer.zero_grad ()
        let output = model.call (images.index_select (0L, chosen))
        torch.nn.functional.cross_entropy(output, labels.index_select (0L, chosen)).backward()
        rewirer.Step() |> ignore

    use _ = torch.NewDisposeScope()

    let right =
        model.call(testImages).argmax(1L).eq(testLabels).``to``(torch.float64).mean().item<float>()

    printfn $"epoch {epoch}: %.1f{100.0 * right} %% of the test digits read"

log.Dispose()
printfn $"{Summary.ofShape [ 1L; 784L ] model}"
printfn $"{Picture.brailleWithin 60 10 hidden.Connectivity}"
File.WriteAllText("hidden.svg", Picture.svg hidden.Connectivity)
