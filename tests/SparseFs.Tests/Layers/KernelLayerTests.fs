/// Convolutions whose kernels come and go as wholes: made, rewired in training, and made of dense ones.
module SparseFs.Tests.KernelLayerTests

open System
open Expecto
open SparseFs
open SparseFs.CSharp
open TorchSharp

type private Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

let private isWhole (layer: SparseLayer) (cells: int) =
    let c = layer.Connectivity

    Array.zip (Connectivity.rowIndices c) (c.ColIdx.ToArray())
    |> Array.countBy (fun (row, col) -> row, col / cells)
    |> Array.forall (fun (_, count) -> count = cells)

let private byNorm = Policy.inKernels RowGroupNorm.L2

let private whole (cells: int) =
    Topology.inKernels cells Topology.uniform

let private message (run: unit -> unit) =
    (Expect.throwsC run (fun e -> e)).Message

/// Of each pair of channels, the squares of a dense weight's numbers.
let private squares (weight: torch.Tensor) : float32[,] =
    let pairs = weight.detach().square().flatten(2L).sum 2L
    let numbers = pairs.data<float32>().ToArray()
    Array2D.init (int pairs.shape[0]) (int pairs.shape[1]) (fun row col -> numbers[row * int pairs.shape[1] + col])

/// Whole numbers, which every order of a sum gives exactly.
let private wholeNumbers (shape: int64[]) =
    torch.randint(-3L, 4L, shape).to_type torch.ScalarType.Float32

[<Tests>]
let tests =
    testList
        "Whole kernels in layers"
        [ testCase "a layer takes over the number of slots that whole kernels have, with a seed and without" (fun () ->
              // 461 slots of 4608 at 90 %: 51 kernels of 9 are 459.
              for seed in [ None; Some(Seed.ofInt 3) ] do
                  use layer =
                      new SparseConv2d(16, 32, 3, sparsity = 0.9, topology = whole 9, ?seed = seed)

                  Expect.equal layer.Connectivity.Nnz 459 "slots"
                  Expect.isTrue (isWhole layer 9) "whole"

              use inGroups =
                  new SparseConv2d(16, 32, 3, sparsity = 0.9, topology = Topology.inKernels 9 (Topology.rowGroups 4))

              Expect.isTrue (isWhole inGroups 9) "whole in groups"
              Expect.equal (Connectivity.rowGroupSize inGroups.Connectivity) 4 "groups"

              use transposed =
                  new SparseConvTranspose2d(16, 32, 3, sparsity = 0.9, topology = whole 9)

              Expect.isTrue (isWhole transposed 9) "whole of a transposed one"

              Expect.equal
                  (message (fun () -> new SparseConv2d(2, 3, 3, sparsity = 0.95, topology = whole 9) |> ignore))
                  ("expected a pattern [3, 18] with 3 slots, got [3, 18] with 0: row groups and whole kernels round so few to "
                   + "none, so take smaller groups or a lower sparsity (Parameter 'topology')")
                  "none left")

          testCase "all layers of a network that trains keep whole kernels and their slots" (fun () ->
              torch.manual_seed 1L |> ignore
              use _ = torch.NewDisposeScope()

              for policy in
                  [ Policy.rigL (Schedule.constant 0.3 2L 100L)
                    Policy.set (Schedule.constant 0.3 2L 100L)
                    { Policy.snfs (Schedule.constant 0.3 2L 100L) with
                        Momentum = { Beta = 0.9; Steps = 2 } } ] do
                  let first = new SparseConv2d(2, 8, 3, sparsity = 0.5, topology = whole 9)

                  let second =
                      new SparseConv2d(8, 8, 5, groups = 2, sparsity = 0.5, topology = whole 25)

                  let up = new SparseConvTranspose2d(8, 4, 3, sparsity = 0.5, topology = whole 9)
                  let last = new SparseLinear(64, 3, sparsity = 0.5)
                  let layers: (SparseLayer * int) list = [ first, 9; second, 25; up, 9; last, 1 ]
                  let before = layers |> List.map (fun (layer, _) -> layer.Connectivity.Nnz)

                  let modules: Layer list = [ first; second; up; torch.nn.Flatten(); last ]
                  use model = torch.nn.Sequential modules
                  use optimizer = torch.optim.SGD(model.parameters (), 0.01, momentum = 0.9)
                  use rewirer = new Rewirer(model, optimizer, byNorm policy, Seed.ofInt 1)
                  let patterns = layers |> List.map (fun (layer, _) -> layer.Connectivity)

                  for _ in 1..8 do
                      optimizer.zero_grad ()
                      let y = model.call (torch.randn (4L, 2L, 8L, 8L))
                      torch.nn.functional.cross_entropy(y, torch.randint (0L, 3L, [| 4L |])).backward()
                      rewirer.Step() |> ignore

                  for layer, cells in layers do
                      Expect.isTrue (isWhole layer cells) $"{policy}: whole kernels of {cells}"

                  let after = layers |> List.map (fun (layer, _) -> layer.Connectivity)
                  Expect.notEqual after patterns $"{policy}: rewired"

                  if policy.Budget = Budget.Layer then
                      Expect.equal (after |> List.map _.Nnz) before $"{policy}: slots"
                  else // 3 × 3 kernels share their budget
                      let ofNine = List.item 0 after, List.item 2 after

                      Expect.equal
                          ((fst ofNine).Nnz + (snd ofNine).Nnz)
                          (before[0] + before[2])
                          $"{policy}: slots of 3 x 3"

                      Expect.equal (after[1].Nnz, after[3].Nnz) (before[1], before[3]) $"{policy}: slots of the others")

          testCase "the kernels whose gradients have the largest norms are grown, as a dense twin's say" (fun () ->
              torch.manual_seed 2L |> ignore
              use _ = torch.NewDisposeScope()

              use layer =
                  new SparseConv2d(6, 8, 3, padding = 1, hasBias = false, sparsity = 0.5, topology = whole 9)
              // Whole numbers: the norms of the layer and of its dense twin are the same to the bit.
              using (torch.no_grad ()) (fun _ ->
                  layer.weight.copy_ (wholeNumbers [| int64 layer.Connectivity.Nnz |]) |> ignore)

              let policy = Policy.rigL (Schedule.constant 0.4 1L 100L) |> byNorm
              use dense = Conversion.toDenseConv layer
              let c = layer.Connectivity
              let x, target = wholeNumbers [| 3L; 6L; 7L; 7L |], wholeNumbers [| 3L; 8L; 7L; 7L |]
              (dense.call (x) * target).sum().backward()

              let gradient =
                  (nonNull dense.weight.grad).reshape(8L, 54L).data<float32>().ToArray()

              use optimizer = torch.optim.SGD(layer.parameters (), 0.0)
              use rewirer = new Rewirer(layer, optimizer, policy, Seed.ofInt 1)
              (layer.call (x) * target).sum().backward()
              let weight = layer.weight.detach().data<float32>().ToArray()
              rewirer.Step() |> ignore

              // The pure function is held against a plain definition in the core's tests.
              let state =
                  { Rewire.state c weight 1L (Seed.ofInt 1) with
                      Gradient = RowScores(fun first count -> Array.sub gradient (first * 54) (count * 54))
                      KernelCells = 9 }

              Expect.equal layer.Connectivity (Rewire.layerBy policy 0.4 state).Connectivity "pattern"
              Expect.notEqual layer.Connectivity c "rewired")

          testCase "row groups of a policy end where groups of channels do" (fun () ->
              use _ = torch.NewDisposeScope()

              let policy =
                  Policy.set (Schedule.constant 0.5 1L 100L)
                  |> Policy.inRowGroups 4 RowGroupNorm.L2
              // Of 6 outputs a group of channels has, 4 and 6 have 2 in common; depthwise, each row is by itself.
              use grouped =
                  new SparseConv2d(8, 12, 3, groups = 2, sparsity = 0.5, topology = Topology.rowGroups 2)

              use depthwise = new SparseConv2d(8, 8, 3, groups = 8, sparsity = 0.5)

              let modules: Layer list = [ grouped; torch.nn.Conv2d(12L, 8L, 1L); depthwise ]
              use model = torch.nn.Sequential modules
              use optimizer = torch.optim.SGD(model.parameters (), 0.01)
              use rewirer = new Rewirer(model, optimizer, policy, Seed.ofInt 1)
              let before = grouped.Connectivity, depthwise.Connectivity
              model.call(torch.randn (2L, 8L, 8L, 8L)).sum().backward()
              rewirer.Step() |> ignore
              Expect.notEqual (grouped.Connectivity, depthwise.Connectivity) before "rewired"
              Expect.equal (Connectivity.rowGroupSize grouped.Connectivity % 2) 0 "groups of 2"

              Expect.equal
                  (grouped.Connectivity.Nnz, depthwise.Connectivity.Nnz)
                  ((fst before).Nnz, (snd before).Nnz)
                  "slots")

          testCase "a rewirer refuses a layer with parts of kernels" (fun () ->
              use layer = new SparseConv2d(4, 8, 3, sparsity = 0.7)
              use optimizer = torch.optim.SGD(layer.parameters (), 0.01)

              Expect.equal
                  (message (fun () ->
                      new Rewirer(layer, optimizer, byNorm (Policy.set (Schedule.constant 0.3 1L 10L)), Seed.ofInt 1)
                      |> ignore))
                  ("expected a pattern of whole kernels of 9 cells, got parts of kernels in '': draw it with Topology.inKernels 9 "
                   + "(C#: Topologies.InKernels), or leave the policy's WholeKernels at false (Parameter 'policy')")
                  "message")

          testCase "a dense convolution keeps the kernels of the largest norms" (fun () ->
              torch.manual_seed 3L |> ignore
              use _ = torch.NewDisposeScope()
              use dense = torch.nn.Conv2d(6L, 8L, 3L)
              use pruned = Conversion.ofDenseConvInKernels 1 RowGroupNorm.L2 0.75 dense
              Expect.isTrue (isWhole pruned 9) "whole"
              Expect.equal pruned.Connectivity.Nnz 108 "12 of 48 kernels"
              let norms = squares dense.weight

              let kept =
                  Array.distinct
                      [| for row, col in
                             Seq.zip
                                 (Connectivity.rowIndices pruned.Connectivity)
                                 (pruned.Connectivity.ColIdx.ToArray()) -> row, col / 9 |]

              let least = kept |> Array.map (fun (row, col) -> norms[row, col]) |> Array.min

              let above =
                  norms
                  |> Seq.cast<float32>
                  |> Seq.filter (fun norm -> norm >= least)
                  |> Seq.length

              Expect.equal above 12 "none that is larger was left out"
              use inGroups = Conversion.ofDenseConvInKernels 4 RowGroupNorm.L1 0.75 dense
              Expect.isTrue (isWhole inGroups 9) "whole in groups"
              Expect.equal (Connectivity.rowGroupSize inGroups.Connectivity) 4 "groups"

              Expect.equal
                  (message (fun () -> Conversion.ofDenseConvInKernels 8 RowGroupNorm.L2 0.98 dense |> ignore))
                  ("expected slots for a kernel, got 9 in a layer [8, 54] with kernels of 9 cells in groups of 8: take smaller "
                   + "groups or a lower sparsity (Parameter 'sparsity')")
                  "none left"

              use ofFacade = Conversions.ToSparse(dense, 0.75, wholeKernels = true)
              Expect.equal ofFacade.Connectivity pruned.Connectivity "C#")

          testCase "a dense network becomes one of whole kernels, by every budget" (fun () ->
              torch.manual_seed 4L |> ignore
              use _ = torch.NewDisposeScope()

              let network () =
                  let modules: Layer list =
                      [ torch.nn.Conv2d(4L, 12L, 3L)
                        torch.nn.Conv2d(12L, 12L, 5L, groups = 2L)
                        torch.nn.Flatten()
                        torch.nn.Linear(48L, 10L) ]

                  torch.nn.Sequential modules

              for rule in
                  [ Sparsify.each 0.5
                    Sparsify.shared SparsityDistribution.ErdosRenyiKernel 0.5
                    Sparsify.globally 0.5 ] do
                  for size in [ 1; 4 ] do
                      use model = network ()
                      let rule = rule |> Sparsify.inKernels RowGroupNorm.L2
                      let rule = { rule with RowGroup = size }
                      let report = Sparsify.model rule model

                      let layers =
                          [ for m in model.modules () do
                                match m with
                                | :? SparseLayer as layer -> layer
                                | _ -> () ]

                      for layer, cells in Seq.zip layers [ 9; 25; 1 ] do
                          Expect.isTrue (isWhole layer cells) $"{rule}: whole"

                      // Six outputs of a group of channels: groups of 2 where 4 are wanted. The 10 rows' last group is smaller.
                      Expect.equal
                          (Connectivity.rowGroupSize layers[1].Connectivity % (min size 2))
                          0
                          $"{rule}: groups"

                      let cells = 4 * 12 * 9 + 6 * 12 * 25 + 480
                      let missed = abs (Seq.sum [ for row in report.Rows -> row.Nnz ] - int64 (cells / 2))
                      // Half a block a layer, and half of a smaller last one; with one budget the largest block's half.
                      let most = (if size = 1 then 5 + 13 + 1 else 18 + 25 + 3)
                      Expect.isLessThanOrEqual missed (int64 most) $"{rule}: slots"

              use model = network ()
              use twin = network ()
              twin.load_state_dict (model.state_dict ()) |> ignore

              Sparsify.model (Sparsify.each 0.5 |> Sparsify.inKernels RowGroupNorm.L1) model
              |> ignore

              Sparsifying.Sparsify(twin, 0.5, groupNorm = RowGroupNorm.L1, wholeKernels = true)
              |> ignore

              let patterns (m: torch.nn.Module) =
                  [ for child in m.modules () do
                        match child with
                        | :? SparseLayer as layer -> layer.Connectivity
                        | _ -> () ]

              Expect.equal (patterns twin) (patterns model) "C#")

          testCase "a first layer of large kernels keeps one at least" (fun () ->
              use _ = torch.NewDisposeScope()
              let modules: Layer list = [ torch.nn.Conv2d(1L, 8L, 7L); torch.nn.ReLU() ]
              use model = torch.nn.Sequential modules
              // 20 slots of 392 are less than half of a kernel of 49.
              let report =
                  Sparsify.model (Sparsify.each 0.95 |> Sparsify.inKernels RowGroupNorm.L2) model

              Expect.equal (report.Rows |> Array.map _.Nnz) [| 49L |] "slots")

          testCase "C# makes the same policies and states" (fun () ->
              let schedule = Schedule.constant 0.3 10L 100L

              Expect.equal
                  (string (Policies.RigL(schedule).InKernels()))
                  (string (byNorm (Policy.rigL schedule)))
                  "of a policy"

              Expect.isTrue (Policies.Custom(schedule, wholeKernels = true)).WholeKernels "custom"
              let c = Topology.inKernels 3 Topology.uniform 4 12 24 (Seed.ofInt 1)
              let state = PatternUpdates.State(c, Array.zeroCreate 24, 5L, Seed.ofInt 2, 2, 3)
              Expect.equal (state.ChannelGroups, state.KernelCells, state.Step) (2, 3, 5L) "state") ]
