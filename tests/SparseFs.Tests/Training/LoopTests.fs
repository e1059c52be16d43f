/// Growth looks at what the optimizer steps with, whatever the loop around it does. Each loop is run on the layer and on a
/// dense twin in float64, whose gradient is the oracle.
module SparseFs.Tests.LoopTests

open System
open Expecto
open SparseFs
open TorchSharp
open TorchSharp.Modules

let private by (factor: float) (t: torch.Tensor) : torch.Tensor = t.mul (factor.ToScalar())

let private cubed (t: torch.Tensor) : torch.Tensor = t.pow (3.0f.ToScalar())

/// What a loop sees: the layer, or its dense twin.
type private Net =
    {
        Forward: torch.Tensor -> torch.Tensor
        Weight: Parameter
        /// 1 at slots, where the weight has cells.
        Mask: torch.Tensor
        Module: torch.nn.Module
        Dtype: torch.ScalarType
    }

    member n.Input(seed: int) : torch.Tensor =
        let random = new torch.Generator(uint64 seed)
        torch.randn([| 6L; 24L |], torch.ScalarType.Float64, generator = random).to_type n.Dtype

    member n.Loss(seed: int) : torch.Tensor =
        (n.Forward(n.Input seed) - n.Input(seed + 1000)).square().sum()

    member n.Zero() =
        use grad = n.Weight.grad

        match grad with
        | null -> ()
        | grad -> grad.zero_ () |> ignore

    member n.Null() = n.Weight.grad <- null

    member n.Change(change: torch.Tensor -> torch.Tensor) =
        use _ = torch.no_grad ()
        use _ = torch.NewDisposeScope()
        let grad = n.Weight.PresentGrad
        grad.copy_ (change grad) |> ignore

type private Twin(make: Parameter seq -> torch.optim.Optimizer, policy: Policy) =
    let layer = new SparseLinear(Topology.uniform 24 24 140 (Seed.ofInt 6))
    let optimizer = make (layer.parameters ())
    let rewirer = new Rewirer(layer, optimizer, policy)

    let sparse =
        { Forward = layer.call
          Weight = layer.weight
          Mask = torch.ones 1L
          Module = layer
          Dtype = torch.ScalarType.Float32 }

    member _.Layer = layer
    member _.Rewirer = rewirer

    /// A dense layer of the same function as the sparse one is now.
    member _.Dense() : Net =
        use _ = torch.no_grad ()
        let dense = torch.nn.Linear(24L, 24L, dtype = torch.ScalarType.Float64)
        dense.weight.copy_ (layer.weightMatrix ()) |> ignore
        dense.PresentBias.copy_ layer.PresentBias |> ignore

        let mask =
            torch.tensor(Array.ofSeq (Seq.cast<bool>(Connectivity.toMask layer.Connectivity))).reshape(24L, 24L).to_type
                torch.ScalarType.Float64

        { Forward = dense.call
          Weight = dense.weight
          Mask = mask
          Module = dense
          Dtype = torch.ScalarType.Float64 }

    /// Runs what comes before a step on both; the dense gradient, of all cells.
    member t.Both(loop: Net -> unit) : float[] =
        use _ = torch.NewDisposeScope()
        let dense = t.Dense()
        loop sparse
        loop dense
        dense.Weight.PresentGrad.flatten().data<float>().ToArray()

let private sgd (p: Parameter seq) =
    torch.optim.SGD(p, 0.05) :> torch.optim.Optimizer

/// RigL without regrowing, so that what grows is by gradient alone.
let private policy (every: int64) =
    { Policy.rigL (Schedule.constant 0.3 every 1000L) with
        Regrow = Regrow.Never }

let private cells (c: Connectivity) =
    set (Array.map2 (fun row col -> row * c.Cols + col) (Connectivity.rowIndices c) (c.ColIdx.ToArray()))

/// Whether what grew are the absent cells of the largest scores. A score is a sum of at most 40 products in float32, which
/// is wrong by 42 · 2⁻²⁴ times the sum of their magnitudes: below 1e-5 of the largest score of these layers.
let private isGrownBy (scores: float[]) (before: Connectivity) (after: Connectivity) : bool =
    let grown = cells after - cells before
    Expect.isGreaterThan grown.Count 10 "not vacuous"
    let size cell = abs scores[cell]
    let least = grown |> Seq.map size |> Seq.min

    let most =
        [ 0 .. scores.Length - 1 ]
        |> List.filter (fun cell -> not (Set.contains cell (cells before) || Set.contains cell grown))
        |> List.map size
        |> List.max

    least >= most - 1e-5 * (scores |> Array.map abs |> Array.max)

let private noticesOf (t: Twin) =
    t.Rewirer.Notices |> Seq.map _.Kind |> List.ofSeq

/// One step before, then the loop, then the update.
let private grows (name: string) (noticed: NoticeKind list) (loop: Net -> unit) =
    testCase $"growth is by what the optimizer steps with: {name}" (fun () ->
        let t = Twin(sgd, policy 2L)
        // What the step before leaves in the gradient.
        use _ = torch.NewDisposeScope()
        (t.Both(fun net -> (net.Loss 1).backward())) |> ignore
        Expect.isEmpty (t.Rewirer.Step()) "no update yet"

        let stale = t.Layer.weight.PresentGrad.clone ()
        Expect.isTrue (stale.any().item<bool>()) "not vacuous: the gradient is still there"

        let scores =
            t.Both(fun net ->
                if net.Dtype = torch.ScalarType.Float64 then
                    net.Weight.grad <- torch.full_like (net.Weight, (17.0).ToScalar()) // must not survive either

                loop net)

        let before = t.Layer.Connectivity
        let e = Array.exactlyOne (t.Rewirer.Step())
        Expect.isTrue e.Outcome.IsDone "not refused"
        Expect.isTrue (isGrownBy scores before t.Layer.Connectivity) "by the gradient of the step"
        Expect.equal (noticesOf t) noticed "notices")

/// As grows, where growth is by passes that the gradient no longer tells of exactly.
let private growsFrom
    (name: string)
    (noticed: NoticeKind)
    (passes: Net -> unit)
    (change: torch.Tensor -> torch.Tensor)
    =
    testCase $"growth is by the passes that stand, and that is said once: {name}" (fun () ->
        let t = Twin(sgd, policy 1L)

        for seed in [ 10; 20 ] do
            use _ = torch.NewDisposeScope()

            let scores =
                t.Both(fun net ->
                    net.Zero()
                    passes net)

            { Forward = t.Layer.call
              Weight = t.Layer.weight
              Mask = Unchecked.defaultof<_>
              Module = t.Layer
              Dtype = torch.ScalarType.Float32 }
                .Change
                change

            let before = t.Layer.Connectivity
            Expect.isTrue (Array.exactlyOne (t.Rewirer.Step())).Outcome.IsDone $"not refused {seed}"
            Expect.isTrue (isGrownBy scores before t.Layer.Connectivity) "by the passes"

        Expect.equal (noticesOf t) [ noticed ] "once")

let private backward (loss: torch.Tensor) = loss.backward ()

/// A gradient for the input alone, as saliency maps use it.
let private saliency (net: Net) (seed: int) =
    use x = net.Input(seed).requires_grad_()
    use loss = (cubed (net.Forward x)).sum()
    torch.autograd.grad ([| loss |], [| x |]) |> ignore

let private throughDiscriminator (net: Net) =
    use noise = net.Input 40
    use generator = torch.nn.Linear(24L, 24L, dtype = net.Dtype)
    backward ((net.Forward(generator.call noise) |> by 30.0).square().sum())

[<Tests>]
let loops =
    testSequenced
    <| testList
        "Loops"
        [ grows "GAN, the generator's pass through the discriminator, zeroed" [] (fun net ->
              throughDiscriminator net
              net.Zero()
              backward (net.Loss 2)
              backward (net.Loss 3))

          grows "GAN, zeroed to null by the module" [] (fun net ->
              throughDiscriminator net
              net.Module.zero_grad true
              backward (net.Loss 2)
              backward (net.Loss 3))

          grows "two losses made before either goes backward, zeroed to null between" [] (fun net ->
              net.Null()
              let first, second = (net.Loss 2 |> by 30.0), net.Loss 3
              backward first
              net.Null()
              backward second)

          grows "SAM's first pass" [] (fun net ->
              net.Zero()
              backward (net.Loss 2 |> by 10.0)
              let up = net.Weight.PresentGrad.mul net.Mask
              let up = up |> by (0.5 / up.norm().to_type(torch.ScalarType.Float64).item<float>())

              let move (by: float) =
                  use _ = torch.no_grad ()
                  net.Weight.add_ (up, by.ToScalar()) |> ignore

              move 1.0
              net.Zero()
              backward (net.Loss 2)
              move -1.0)

          grows "saliency by autograd.grad, before, between and after" [] (fun net ->
              net.Zero()
              saliency net 50
              backward (net.Loss 2)
              saliency net 51
              backward (net.Loss 3)
              saliency net 52)

          grows "saliency and training by one graph" [] (fun net ->
              net.Null()
              use x = net.Input(2).requires_grad_()
              let y = net.Forward x
              use odd = (cubed (y |> by 9.0)).sum()
              torch.autograd.grad ([| odd |], [| x |], retain_graph = true) |> ignore
              backward (y.square().sum()))

          grows "a gradient penalty, whose first pass is never added" [] (fun net ->
              net.Zero()
              use x = net.Input(2).requires_grad_()
              let y = (cubed (net.Forward x)).sum()

              let slope =
                  (torch.autograd.grad ([| y |], [| x |], retain_graph = true, create_graph = true))[0]

              backward ((slope.square().sum() |> by 1e-2).add(net.Loss 3)))

          grows "a step that loss scaling skipped" [] (fun net ->
              net.Zero()
              backward (net.Loss 2 |> by infinity)
              net.Zero()
              backward (net.Loss 3))

          grows "loss scaling" [] (fun net ->
              net.Zero()
              backward (net.Loss 2 |> by 3000.0)
              backward (net.Loss 3 |> by 3000.0)
              net.Change(by (1.0 / 3000.0)))

          grows "clipping by norm" [] (fun net ->
              net.Zero()
              backward (net.Loss 2)
              torch.nn.utils.clip_grad_norm_ ([| net.Weight |], 1e-3) |> ignore)

          grows "accumulation with division" [] (fun net ->
              net.Null()

              for seed in 2..4 do
                  backward (net.Loss seed)

              net.Change(by (1.0 / 3.0)))

          grows "a gradient halved between two micro-batches" [] (fun net ->
              net.Null()
              backward (net.Loss 2)
              net.Change(by 0.01)
              backward (net.Loss 3))

          grows "a layer used twice in a graph" [] (fun net ->
              net.Zero()
              let h = torch.tanh (net.Forward(net.Input 2))
              backward ((net.Forward h).square().sum()))

          growsFrom
              "clipping by value"
              NoticeKind.ChangedGradient
              (fun net ->
                  backward (net.Loss 2)
                  backward (net.Loss 3))
              (fun g -> g.clamp ((-10.0).ToScalar(), (10.0).ToScalar()))

          growsFrom "noise" NoticeKind.ChangedGradient (fun net -> backward (net.Loss 2)) (fun g ->
              g.add ((torch.randn_like g).mul(g.std ()) |> by 0.1))

          growsFrom
              "a gradient set by hand"
              NoticeKind.ChangedGradient
              (fun net -> backward (net.Loss 2))
              torch.randn_like

          testCase "a gradient that was never zeroed is noticed" (fun () ->
              let t = Twin(sgd, policy 1L)

              for seed in [ 2; 3 ] do
                  (t.Layer.call (torch.randn (4L, 24L))).square().sum().backward()
                  Expect.isTrue (Array.exactlyOne (t.Rewirer.Step())).Outcome.IsDone $"{seed}"

              Expect.equal (noticesOf t) [ NoticeKind.ChangedGradient ] "notices")

          testCase "momentum rules add up the steps' gradients as the optimizer had them" (fun () ->
              let t = Twin(sgd, Policy.snfs (Schedule.constant 0.3 3L 1000L))
              let before = t.Layer.Connectivity

              let loops: (Net -> unit) list =
                  [ fun net ->
                        net.Zero()
                        backward (net.Loss 2 |> by 100.0)
                        net.Change(by 0.01)
                    fun net ->
                        backward (net.Loss 40 |> by 100.0)
                        net.Zero()
                        backward (net.Loss 3)
                    fun net ->
                        net.Zero()
                        saliency net 50
                        backward (net.Loss 4) ]

              let scores =
                  [ for loop in loops do
                        use _ = torch.NewDisposeScope()
                        let gradient = t.Both loop

                        t.Rewirer.Step()
                        |> Array.iter (fun e -> Expect.isTrue e.Outcome.IsDone "refusal")

                        gradient ]
                  |> List.reduce (Array.map2 (fun sum g -> 0.9 * sum + g))

              Expect.isTrue (isGrownBy scores before t.Layer.Connectivity) "momentum")

          testCase "layers share a budget by their gradients as they were multiplied since" (fun () ->
              let rewired (scaleLoss: float) (scaleGrad: float) =
                  use _ = torch.NewDisposeScope()

                  let layers =
                      [ for seed in 1..2 ->
                            new SparseLinear(Topology.uniform 24 24 140 (Seed.ofInt seed), hasBias = false) ]

                  let optimizer =
                      torch.optim.SGD(layers |> List.collect (fun l -> List.ofSeq (l.parameters ())), 0.05)

                  use rewirer =
                      new Rewirer(
                          [ for i, l in List.indexed layers -> struct (string i, l) ],
                          optimizer,
                          Policy.snfs (Schedule.constant 0.3 1L 1000L),
                          Seed.ofInt 1
                      )

                  use random = new torch.Generator(7uL)

                  using (torch.no_grad ()) (fun _ ->
                      for l in layers do
                          l.weight.copy_ (torch.randn ([| 140L |], generator = random)) |> ignore)

                  let x = torch.randn ([| 8L; 24L |], generator = random)

                  backward (
                      ((layers[0].call x).square().sum() |> by scaleLoss)
                      + (layers[1].call x).square().sum()
                  )

                  layers[0].weight.PresentGrad.mul_(scaleGrad.ToScalar()) |> ignore
                  rewirer.Step() |> Array.iter (fun e -> Expect.isTrue e.Outcome.IsDone "refusal")
                  Expect.isEmpty rewirer.Notices "notices"
                  [ for l in layers -> l.Connectivity ]

              // By a power of 2, which rounds nothing.
              Expect.equal (rewired 1.0 64.0) (rewired 64.0 1.0) "the gradient, or the loss, multiplied"

              Expect.isGreaterThan
                  (List.head (rewired 1.0 64.0)).Nnz
                  ((List.head (rewired 1.0 1.0)).Nnz + 10)
                  "not vacuous: the layer gets more slots")

          testCase "half precision and float64 are told apart as float32 is" (fun () ->
              for dtype in
                  [ torch.ScalarType.BFloat16
                    torch.ScalarType.Float16
                    torch.ScalarType.Float64 ] do
                  use _ = torch.NewDisposeScope()

                  let layer =
                      new SparseLinear(Topology.uniform 24 24 140 (Seed.ofInt 6), dtype = dtype)

                  let optimizer = torch.optim.SGD(layer.parameters (), 0.05)
                  use rewirer = new Rewirer(layer, optimizer, policy 1L)
                  let x () = (torch.randn (4L, 24L)).to_type dtype

                  for _ in 1..3 do
                      optimizer.zero_grad ()
                      (layer.call (x ())).square().sum().backward()
                      (layer.call (x ())).square().mean().backward()
                      layer.weight.PresentGrad.mul_ ((0.125).ToScalar()) |> ignore
                      Expect.isTrue (Array.exactlyOne (rewirer.Step())).Outcome.IsDone "refusal"

                  Expect.isEmpty rewirer.Notices $"{dtype}") ]
