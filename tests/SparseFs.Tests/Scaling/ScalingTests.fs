/// Initial weights and rates by width and density.
module SparseFs.Tests.ScalingTests

open System
open Expecto
open SparseFs
open SparseFs.CSharp
open TorchSharp
open TorchSharp.Modules

type private Net = torch.nn.Module<torch.Tensor, torch.Tensor>

/// Mean magnitudes of what each layer of a perceptron gives after ten steps, [hidden, hidden, outputs].
let private sizesAfterTraining (isScaled: bool) (width: int) (density: float) (seed: int) : float[] =
    use _ = torch.NewDisposeScope()
    let first = torch.nn.Linear(64L, int64 width)

    let hidden =
        [| for i in 0..1 ->
               new SparseLinear(width, width, sparsity = 1.0 - density, seed = Seed.child i (Seed.ofInt seed)) |]

    let head = torch.nn.Linear(int64 width, 10L)
    let model = torch.nn.Sequential([| first :> Net; hidden[0]; hidden[1]; head |])
    let lr, std = 0.003, 0.1

    let groups =
        if isScaled then
            Scaling.suPar (model, float width / 128.0, lr, std = std, inputs = [ first ], outputs = [ head ])
        else
            use _ = torch.no_grad ()

            for weight in [ first.weight; hidden[0].weight; hidden[1].weight; head.weight ] do
                weight.normal_ (0.0, std) |> ignore

            [| AdamW.ParamGroup(model.parameters (), AdamW.Options(LearningRate = Nullable lr)) |]

    use optimizer = SparseOptim.adamW groups
    let generator = new torch.Generator(uint64 seed)
    let x = torch.randn (32L, 64L, generator = generator)
    let y = torch.randint (10L, [| 32L |], generator = generator)

    let through () =
        let relu = torch.nn.functional.relu
        let a = hidden[0].call(relu (first.call x))
        let b = hidden[1].call(relu a)
        [| a; b; head.call (relu b) |]

    for _ in 1..10 do
        use _ = torch.NewDisposeScope()
        optimizer.zero_grad ()
        torch.nn.functional.cross_entropy(Array.last (through ()), y).backward()
        optimizer.step () |> ignore

    through () |> Array.map (fun t -> float (t.abs().mean().item<float32>()))

/// How far sizes are apart over widths and densities: the largest by the smallest, of each layer; means of three seeds.
let private factors (isScaled: bool) : float[] =
    let sizes =
        [ for width in [ 128; 256; 512; 1024 ] do
              for density in [ 1.0; 0.25; 1.0 / 16.0; 1.0 / 64.0 ] ->
                  [| for seed in 1..3 -> sizesAfterTraining isScaled width density seed |]
                  |> Array.transpose
                  |> Array.map Array.average ]

    [| for layer in 0..2 ->
           let ofLayer = sizes |> List.map (Array.item layer)
           List.max ofLayer / List.min ofLayer |]

[<Tests>]
let tests =
    testList
        "Scaling"
        [ test "activations keep their size over widths and densities, and do not without the scaling" {
              for factor in factors true do
                  Expect.isLessThan factor 2.0 "with SμPar"

              for factor in factors false do
                  Expect.isGreaterThan factor 2.0 "without"
          }

          test "rates, decays and deviations are the table's" {
              use _ = torch.NewDisposeScope()

              let block = new SparseTransformerBlock(256, 4, sparsity = 0.75, seed = Seed.ofInt 1)

              let embedding, head = torch.nn.Embedding(500L, 256L), torch.nn.Linear(256L, 500L)
              let model = torch.nn.Sequential([| embedding :> Net; block; head |])

              for groups in
                  [ Scaling.suPar (model, 4.0, 0.01, std = 0.1, weightDecay = 0.5, outputs = [ head ])
                    Scalings.SuPar(model, 4.0, 0.01, std = 0.1, weightDecay = 0.5, outputs = [ head ]) ] do
                  // torch's modules give a handle anew each time: a model's list is the one that counts.
                  let byName = dict [ for struct (name, p) in model.named_parameters () -> name, p ]

                  let groupOf (p: Parameter) =
                      groups
                      |> Array.filter (fun g -> g.Parameters |> Seq.exists (fun q -> q.Handle = p.Handle))
                      |> Array.exactlyOne

                  let deviation (p: Parameter) = float (p.std().item<float32>())

                  for name, p, std, factor in
                      [ "embedding", byName["0.weight"], 0.1, 1.0
                        "in_proj", block.attn.in_proj.weight, 0.1, 1.0
                        // Two residual layers.
                        "out_proj", block.attn.out_proj.weight, 0.1 / sqrt 2.0, 1.0
                        "linear1", block.ff.linear1.weight, 0.1, 1.0
                        "linear2", block.ff.linear2.weight, 0.1 / sqrt 2.0, 1.0
                        "head", head.weight, 0.1 / 4.0, 4.0 ] do
                      let options = (groupOf p).Options
                      // Width ratio 4 at a density of a quarter: hidden layers are as they were.
                      Expect.floatClose Accuracy.high options.LearningRate.Value (0.01 / factor) name
                      Expect.floatClose Accuracy.high options.weight_decay.Value (0.5 * factor) name
                      // Five standard errors of a deviation of so many draws.
                      let error = 5.0 / sqrt (2.0 * float (p.numel ()))
                      Expect.isLessThan (abs (deviation p / std - 1.0)) error name

                  let others = (groupOf (Unchecked.nonNull block.ff.linear1.bias)).Options
                  Expect.equal (others.LearningRate.Value, others.weight_decay.Value) (0.01, 0.0) "a bias"
                  use _ = SparseOptim.adamW groups
                  let steps = groups |> Seq.sumBy (fun g -> Seq.length g.Parameters)
                  Expect.equal steps (Seq.length (model.parameters ())) "every parameter is in a group"
          }

          Refusals.refuses "a width of nothing" "widthRatio" "a finite ratio above 0, got 0" (fun () ->
              Scaling.suPar (torch.nn.Linear(2L, 2L), 0.0, 0.1))

          Refusals.refuses "a density above 1" "baseDensity" "a density in (0, 1], got 1.5" (fun () ->
              Scaling.suPar (torch.nn.Linear(2L, 2L), 1.0, 0.1, baseDensity = 1.5))

          Refusals.refuses "a matrix of no layer" "model" "got weight_ih_l0 of shape [12, 2]" (fun () ->
              Scaling.suPar (torch.nn.LSTM(2L, 3L), 1.0, 0.1)) ]
