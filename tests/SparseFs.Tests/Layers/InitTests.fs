/// Initial weights that are drawn anew: by any rule, in place.
module SparseFs.Tests.InitTests

open System
open System.Threading
open System.Threading.Tasks
open Expecto
open SparseFs
open SparseFs.CSharp
open TorchSharp

let private pattern = Topology.uniform 200 300 6_000 (Seed.ofInt 5)
let private rows = Connectivity.rowIndices pattern
let private fanIn, fanOut = Connectivity.fanIn pattern, Connectivity.fanOut pattern

let private numbers (t: torch.Tensor) = SparseOpsTests.numbersOf t

/// Weight and bias after a draw from torch's seed.
let private after (draw: SparseLinear -> unit) (layer: SparseLinear) =
    torch.manual_seed 17L |> ignore
    draw layer
    numbers (layer.weight.detach ()), numbers (layer.PresentBias.detach ())

let private rules =
    [ Init.FanIn
      Init.DenseFanIn
      Init.KaimingUniform
      Init.KaimingNormal
      Init.Zeros
      Init.XavierUniform
      Init.XavierNormal ]

/// What a weight is relative to what the rule scales it by.
let private relative (scaleOf: float -> float -> float) (weight: float32[]) =
    weight
    |> Array.mapi (fun slot w -> float w / scaleOf (float fanIn[rows[slot]]) (float fanOut[pattern.ColIdx[slot]]))

/// 6,000 uniform numbers in [−1, 1]: each within, and |u| of mean 1/2 with the deviation 1/√(12 · 6000); 5 deviations.
let private isUniform (parts: float[]) =
    let sizes = Array.map abs parts
    Expect.isLessThanOrEqual (Array.max sizes) 1.000001 "bound"
    Expect.isLessThanOrEqual (abs (Array.average sizes - 0.5)) (5.0 / sqrt 72_000.0) "mean size"
    Expect.isLessThanOrEqual (abs (Array.average parts)) (5.0 / sqrt 18_000.0) "mean"

/// 6,000 standard normals: a mean of deviation 1/√6000, squares of mean 1 and deviation √(2/6000); 5 deviations.
let private isNormal (parts: float[]) =
    Expect.isLessThanOrEqual (abs (Array.average parts)) (5.0 / sqrt 6_000.0) "mean"
    let squares = parts |> Array.averageBy (fun part -> part * part)
    Expect.isLessThanOrEqual (abs (squares - 1.0)) (5.0 * sqrt (2.0 / 6_000.0)) "variance"

let private laws: (Init * (float -> float -> float) * (float[] -> unit)) list =
    [ Init.FanIn, (fun fanIn _ -> 1.0 / sqrt fanIn), isUniform
      Init.DenseFanIn, (fun _ _ -> 1.0 / sqrt 300.0), isUniform
      Init.KaimingUniform, (fun fanIn _ -> sqrt (6.0 / fanIn)), isUniform
      Init.KaimingNormal, (fun fanIn _ -> sqrt (2.0 / fanIn)), isNormal
      Init.XavierUniform, (fun fanIn fanOut -> sqrt (6.0 / (fanIn + fanOut))), isUniform
      Init.XavierNormal, (fun fanIn fanOut -> sqrt (2.0 / (fanIn + fanOut))), isNormal ]

// torch's seed is one for the process.
[<Tests>]
let tests =
    testSequenced
    <| testList
        "Init"
        [ for init, scaleOf, isDrawnSo in laws do
              testCase $"{init}: reset scales each weight by the slots of its row and column" (fun () ->
                  use layer = new SparseLinear(pattern, init = Init.Zeros)
                  let weight, bias = after (Init.reset init) layer
                  isDrawnSo (relative scaleOf weight)
                  Expect.isTrue (Array.exists ((<>) 0.0f) bias) "bias")

          for init in rules do
              testCase $"{init}: reset draws what a new layer has from the same seed, to the bit" (fun () ->
                  use layer = new SparseLinear(pattern, init = Init.FanIn)
                  let drawn = after (Init.reset init) layer

                  let made () =
                      torch.manual_seed 17L |> ignore
                      new SparseLinear(pattern, init = init)

                  use fresh = made ()

                  Expect.equal
                      drawn
                      (numbers (fresh.weight.detach ()), numbers (fresh.PresentBias.detach ()))
                      "numbers"

                  Expect.equal (after (Init.reset init) layer) drawn "again")

              testCase $"{init}: reset_parameters draws by the layer's own rule, also after another" (fun () ->
                  use layer = new SparseLinear(pattern, init = init)
                  let own = after (Init.reset init) layer
                  Init.reset Init.KaimingNormal layer
                  Expect.equal (after (fun layer -> layer.reset_parameters ()) layer) own "numbers")

          testCase "a layer that came of another or of values draws by the default rule" (fun () ->
              use _ = torch.NewDisposeScope()
              use linear = torch.nn.Linear(300L, 200L)
              use converted = Conversion.ofDensePattern pattern linear
              use made = Conversion.ofValues pattern (torch.zeros 6_000L) (torch.zeros 200L)
              use plain = new SparseLinear(pattern)
              let expected = after (Init.reset Init.FanIn) plain

              for layer in [ converted; made ] do
                  Expect.equal (after (fun layer -> layer.reset_parameters ()) layer) expected "numbers")

          testCase "Parameters, pattern, dtype and the optimizer's hold on them stay" (fun () ->
              use layer = new SparseLinear(pattern, dtype = torch.float64)
              let weight, bias = layer.weight, layer.PresentBias
              let optimizer = torch.optim.SGD(layer.parameters (), 1.0)
              layer.reset_parameters ()
              Expect.isTrue (Object.ReferenceEquals(layer.weight, weight)) "the weight"
              Expect.isTrue (Object.ReferenceEquals(layer.PresentBias, bias)) "the bias"
              Expect.isTrue (weight.requires_grad && weight.is_leaf) "a leaf with gradient"
              Expect.equal weight.dtype torch.float64 "dtype"
              Expect.isTrue (Object.ReferenceEquals(layer.Connectivity, pattern)) "pattern"

              use _ = torch.NewDisposeScope()
              let before = weight.detach().clone()
              layer.call(torch.ones ([| 4L; 300L |], dtype = torch.float64)).sum().backward()
              optimizer.step () |> ignore
              Expect.isFalse (weight.allclose before) "it learns on")

          testCase "the next call and state_dict have the new numbers" (fun () ->
              use _ = torch.NewDisposeScope()
              use layer = new SparseLinear(pattern, hasBias = false)
              let x = torch.ones (1L, 300L)
              layer.call x |> ignore
              layer.state_dict () |> ignore
              Init.reset Init.XavierNormal layer
              let weight = numbers (layer.weight.detach ())
              Expect.equal (numbers (layer.state_dict().["weight"].detach())) weight "state_dict"
              let dense = layer.weightMatrix ()
              Expect.isTrue (layer.call(x).allclose(x.mm (dense.t ()), atol = 1e-4)) "forward"
              use bare = new SparseLinear(layer.Connectivity, hasBias = false)
              bare.reset_parameters ()
              Expect.isNull bare.bias "no bias comes of it")

          testCase "calls on other threads see the numbers before or after, weight and bias together" (fun () ->
              use layer = new SparseLinear(pattern, init = Init.Zeros)
              use x = torch.ones (1L, 300L)

              let called () =
                  use _ = torch.NewDisposeScope()
                  use _ = torch.no_grad ()
                  numbers (layer.call x)

              let drawn () =
                  torch.manual_seed 17L |> ignore
                  Init.reset Init.KaimingUniform layer

              drawn ()
              let expected = [ Array.zeroCreate<float32> 200; called () ]
              use isOver = new CancellationTokenSource()

              let readers =
                  [ for _ in 1..2 ->
                        Task.Run(fun () ->
                            [ while not isOver.IsCancellationRequested do
                                  let y = called ()

                                  if not (List.contains y expected) then
                                      y ]) ]

              for _ in 1..200 do
                  Init.reset Init.Zeros layer
                  drawn ()

              isOver.Cancel()
              Expect.isEmpty (readers |> List.collect _.Result) "outputs of no one draw")

          testCase "a rewirer goes on over it" (fun () ->
              use _ = torch.NewDisposeScope()
              use layer = new SparseLinear(pattern)
              let optimizer = torch.optim.Adam(layer.parameters (), 0.01)

              use rewirer =
                  new Rewirer(layer, optimizer, Policy.rigL (Schedule.constant 0.3 2L 100L), Seed.ofInt 1)

              let updates =
                  [ for step in 1..6 do
                        rewirer.ZeroGrad()
                        layer.call(torch.ones (4L, 300L)).square().sum().backward()

                        if step = 3 then
                            layer.reset_parameters ()

                        yield! rewirer.Step() ]

              Expect.equal updates.Length 3 "updates at steps 2, 4 and 6"
              Expect.all updates (fun update -> update.Outcome.IsDone) "none is refused")

          testCase "a layer without rows, without columns or without slots has nothing to draw" (fun () ->
              for c in [ Connectivity.empty 0 5; Connectivity.empty 5 0; Connectivity.empty 3 4 ] do
                  use layer = new SparseLinear(c)

                  for init in rules do
                      Init.reset init layer
                      Expect.isTrue (numbers (layer.PresentBias.detach ()) |> Array.forall Single.IsFinite) $"{init}")

          testCase "a layer on the meta device keeps its place" (fun () ->
              use layer = new SparseLinear(pattern, device = torch.META)
              layer.reset_parameters ()
              Expect.equal layer.weight.device_type DeviceType.META "device")

          testCase "C#'s Reset is the same" (fun () ->
              use layer = new SparseLinear(pattern)

              for init, expected in Seq.zip (Enum.GetValues<Initialization>()) rules do
                  let drawn = after (fun layer -> layer.Reset init) layer
                  Expect.equal drawn (after (Init.reset expected) layer) $"{init}") ]
