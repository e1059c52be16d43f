// A sparse network in F# Interactive: trained, looked at, and logged. dotnet fsi train.fsx
#r "nuget: SparseFs"
#r "nuget: TorchSharp-cpu, 0.107.0"
#load "digits.fsx"

open System.IO
open SparseFs
open TorchSharp

torch.set_num_threads 1
torch.manual_seed 1L |> ignore

let tensors (pixels: float32[], labels: int64[]) =
    torch.tensor(pixels).view (-1L, 784L), torch.tensor labels

let images, labels = tensors (MnistFiles.training "data")
let testImages, testLabels = tensors (MnistFiles.test "data")
let batch = 100L
let epochs = 2L
let steps = epochs * images.shape[0] / batch

let hidden = new SparseLinear(784, 200, sparsity = 0.97, seed = Seed.ofInt 1)

let model =
    sequential {
        "hidden", hidden
        "relu", torch.nn.ReLU()
        "output", new SparseLinear(200, 10, sparsity = 0.5, seed = Seed.ofInt 2)
    }

let optimizer = torch.optim.Adam(model.parameters (), 2e-3)

let rewirer =
    new Rewirer(model, optimizer, Policy.rigL (Schedule.cosine 0.3 (steps / 40L) (3L * steps / 4L)), Seed.ofInt 3)

let log = RewireLog.Csv "rewiring.csv"
rewirer.Events.Add log.Add

let accuracy () =
    use _ = torch.NewDisposeScope()
    use _ = torch.no_grad ()
    100.0 * model.call(testImages).argmax(1L).eq(testLabels).to_type(torch.float64).mean().item<double> ()

for epoch in 1L .. epochs do
    use _ = torch.NewDisposeScope()

    for chosen in torch.randperm(images.shape[0]).split batch do
        use _ = torch.NewDisposeScope()
        optimizer.zero_grad ()
        let output = model.call (images.index_select (0L, chosen))
        torch.nn.functional.cross_entropy(output, labels.index_select (0L, chosen)).backward ()
        rewirer.Step() |> ignore

    printfn $"epoch {epoch}: %.2f{accuracy ()} %% of the test digits read"

log.Dispose()

// How many connections each pixel has: the pattern has moved to the middle of the image, where the ink is.
let perPixel = Connectivity.fanOut hidden.Connectivity
let margin = Seq.sum (Seq.init 28 (fun column -> perPixel[column]))
let middle = Seq.sum (Seq.init 28 (fun column -> perPixel[14 * 28 + column]))
printfn $"connections of the first row of pixels: {margin}, of the middle one: {middle}"

// As a picture of 28 x 28: a dot for a pixel that has more connections than the average.
let average = hidden.Connectivity.Nnz / 784

let seen =
    [| for pixel in 0..783 do
           if perPixel[pixel] > average then
               pixel / 28, pixel % 28 |]

printfn "%s" (Picture.braille (Connectivity.ofPairs 28 28 (Array.map fst seen) (Array.map snd seen)))
printfn "%s" (Picture.braille hidden.Connectivity)
File.WriteAllText("hidden.svg", Picture.svg hidden.Connectivity)
printfn $"{Summary.ofShape [ batch; 784L ] model}"
