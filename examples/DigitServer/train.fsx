/// The network of the service: sparse layers that are rewired while they learn MNIST's digits, written for SparseFs.Inference.
/// dotnet fsi examples/DigitServer/train.fsx FILE [FOLDER], as dotnet fsi build.fsx serve runs it; FOLDER holds MNIST's four files. Without one it
/// learns from the 5,000 digits that this repository carries.
#r "../../artifacts/bin/SparseFs/release/SparseFs.Core.dll"
#r "../../artifacts/bin/SparseFs/release/SparseFs.dll"
#r "../../artifacts/bin/SparseFs/release/TorchSharp.dll"
#r "../../artifacts/bin/SparseFs.Deploy/release/SparseFs.Inference.dll"
#r "../../artifacts/bin/SparseFs.Deploy/release/SparseFs.Deploy.dll"
#r "../../artifacts/bin/Digits/release/Digits.dll"

open System
open System.IO
open Digits
open SparseFs
open TorchSharp

type Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

let target, folder =
    match List.ofArray fsi.CommandLineArgs with
    | [ _; target ] -> target, None
    | [ _; target; folder ] -> target, Some folder
    | _ ->
        eprintfn "expected the file to write and, perhaps, a folder with MNIST's four files"
        exit 2

/// The digits that travel in the demo.
let carried () =
    let openFile (name: string) : Stream =
        match typeof<DigitSet>.Assembly.GetManifestResourceStream name with
        | null -> raise (FileNotFoundException $"expected the digits '{name}' in the demo, got none")
        | digits -> digits

    Idx.read "embedded" openFile Idx.trainFiles, Idx.read "embedded" openFile Idx.testFiles

let train, test =
    try
        folder |> Option.map Idx.ofFolder |> Option.defaultWith carried
    with :? IdxException as e ->
        eprintfn $"{e.Message}"
        exit 2

let mean, deviation = 0.1307, 0.3081
let batch, rate = 128, 3e-3

/// Each digit is seen some ten times in MNIST, and a hundred times where there are few.
let steps = max 3_000 (10 * (train.Labels.Length / batch))

// Two threads of torch that wait for each other lose more to a neighbour than they win on pictures as small as these.
torch.set_num_threads 1
torch.manual_seed 1L |> ignore

let scalar (number: float) = number.ToScalar()

/// Pictures [N, 1, 28, 28] in 0..1, 1 for ink, and their labels.
let tensors (digits: DigitSet) =
    use _ = torch.NewDisposeScope()
    let pixels = torch.tensor (digits.Pixels, dtype = torch.float32)
    let pictures = pixels.view(-1L, 1L, 28L, 28L).div_(scalar 255.0)

    pictures.MoveToOuterDisposeScope(), torch.tensor(digits.Labels, dtype = torch.int64).MoveToOuterDisposeScope()

/// A mouse is no pen: each picture turned, leant, drawn larger or smaller and moved, by a little and by itself.
let redrawn (pictures: torch.Tensor) =
    let n = pictures.shape[0]

    let between (most: float) =
        torch.rand([| n |]).mul(scalar (2.0 * most)).sub(scalar most)

    let angle, lean = between 0.25, between 0.25
    let wide, high = between(0.15).exp(), between(0.15).exp()
    let cos, sin = angle.cos (), angle.sin ()

    // Where each point of the new picture comes from: turned, then leant, in a square of -1..1.
    let rows =
        [| wide.mul cos
           wide.mul (lean.sub sin)
           between 0.12
           high.mul sin
           high.mul cos
           between 0.12 |]

    let grid =
        torch.nn.functional.affine_grid (
            torch.stack(rows, dim = 1L).view(n, 2L, 3L),
            [| n; 1L; 28L; 28L |],
            align_corners = false
        )

    torch.nn.functional.grid_sample (
        pictures,
        grid,
        torch.GridSampleMode.Bilinear,
        torch.GridSamplePaddingMode.Zeros,
        false
    )

let normalized (pictures: torch.Tensor) =
    pictures.view(-1L, int64 Idx.Pixels).sub(scalar mean).div(scalar deviation)

let seed = Seed.ofInt 1

let network =
    torch.nn.Sequential(
        [ new SparseLinear(Idx.Pixels, 500, 0.9, Seed.child 0 seed) :> Layer
          torch.nn.ReLU()
          new SparseLinear(500, 200, 0.9, Seed.child 1 seed)
          torch.nn.ReLU()
          torch.nn.Linear(200L, int64 Idx.Classes) ]
    )

let optimizer = SparseOptim.adamW (network.parameters (), rate, weightDecay = 1e-3)

let rewirer =
    new Rewirer(network, optimizer, Policy.rigL (Schedule.cosine 0.3 100L (int64 steps * 3L / 4L)))

let pictures, labels = tensors train
let watch = Diagnostics.Stopwatch.StartNew()

for step in 1..steps do
    use _ = torch.NewDisposeScope()

    for group in optimizer.ParamGroups do
        group.LearningRate <- rate * 0.5 * (1.0 + cos (Math.PI * float step / float steps))

    let chosen = torch.randint (int64 train.Labels.Length, [| int64 batch |])
    let x = pictures.index_select (0L, chosen) |> redrawn |> normalized
    optimizer.zero_grad ()

    let loss =
        torch.nn.functional.cross_entropy (network.call x, labels.index_select (0L, chosen))

    loss.backward ()
    rewirer.Step() |> ignore

    if step % (steps / 10) = 0 then
        printfn $"step {step} of {steps}: loss %.3f{loss.item<float32>()}, {int watch.Elapsed.TotalSeconds} s"

network.eval () |> ignore

/// What the service answers are probabilities.
let deployed =
    torch.nn.Sequential(Seq.append (network.children () |> Seq.cast<Layer>) [ torch.nn.Softmax 1L :> Layer ])

let asked, wanted = tensors test

let right =
    use _ = torch.no_grad ()
    let read = deployed.call (normalized asked)
    read.argmax(1L).eq(wanted).sum().item<int64>()

let sample = (normalized asked).narrow(0L, 0L, 100L)

let report =
    Deploy.saveWith
        { Deploy.defaults with
            Mean = mean
            Deviation = deviation
            Labels = [ for digit in 0..9 -> string digit ] }
        target
        sample
        deployed

printfn $"{right} of {test.Labels.Length} test digits right; {target}: {report}"
