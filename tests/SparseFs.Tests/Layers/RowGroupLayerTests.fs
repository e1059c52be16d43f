/// Layers over patterns whose rows come in groups, which have another number of slots than their sparsity alone says.
module SparseFs.Tests.RowGroupLayerTests

open System
open Expecto
open SparseFs
open TorchSharp

let private grad (t: torch.Tensor) : torch.Tensor = present "a gradient" t.grad

let private numbers (t: torch.Tensor) = t.data<float32>().ToArray()

[<Tests>]
let tests =
    testSequenced // torch's generator is one for the process
    <| testList
        "Row groups in layers"
        [ testCase "a layer takes over the number of slots that whole groups have" (fun () ->
              // 13 % of 30 rows of 50 columns are 195 slots: 45.5 cells of seven groups of 4, and 6.5 of the last two rows.
              use layer =
                  new SparseLinear(50, 30, sparsity = 0.87, topology = Topology.rowGroups 4, seed = Seed.ofInt 1)

              Expect.equal layer.Connectivity.Nnz (4 * 46 + 2 * 6) "nnz"
              Expect.equal layer.weight.shape [| 196L |] "weight"
              Expect.equal layer.Connectivity (Topology.rowGroups 4 30 50 195 (Seed.ofInt 1)) "the topology's pattern")

          testCase "without a seed, the layer is the one that its drawn seed makes, numbers too" (fun () ->
              let make (seed: Seed option) =
                  torch.manual_seed 3L |> ignore
                  new SparseLinear(50, 30, sparsity = 0.87, topology = Topology.rowGroups 4, ?seed = seed)

              use drawn = make None
              use given = make (Some drawn.Seed.Value)
              Expect.equal drawn.Connectivity given.Connectivity "pattern"
              Expect.equal (numbers drawn.weight) (numbers given.weight) "weight")

          testCase "groups that round all slots away are refused, with what mends it" (fun () ->
              let refusal =
                  Expect.throwsC
                      (fun () ->
                          (new SparseLinear(4, 16, sparsity = 0.95, topology = Topology.rowGroups 16)).Dispose())
                      (fun e -> e.Message)

              Expect.equal
                  refusal
                  ("expected a pattern [16, 4] with 3 slots, got [16, 4] with 0: row groups and whole kernels round so few to none, so take smaller "
                   + "groups or a lower sparsity (Parameter 'topology')")
                  "the message")

          testCase "torch's generator is not turned back, whatever groups round to" (fun () ->
              // 195 slots are wanted and 196 made: all that is drawn after the layer is new.
              torch.manual_seed 3L |> ignore
              let stream = numbers (torch.rand 2000L)
              torch.manual_seed 3L |> ignore

              use layer =
                  new SparseLinear(50, 30, sparsity = 0.87, topology = Topology.rowGroups 4)

              let next = (numbers (torch.rand 1L))[0]
              Expect.isGreaterThanOrEqual (Array.IndexOf(stream, next)) 195 "the place in the stream")

          testCase "a number of slots that no groups explain is refused" (fun () ->
              let few (rows: int) (cols: int) (nnz: int) (seed: Seed) =
                  Topology.rowGroups 4 rows cols (nnz - 60) seed

              Expect.throwsT<ArgumentException>
                  (fun () -> (new SparseLinear(50, 30, sparsity = 0.87, topology = few)).Dispose())
                  "sixty fewer")

          testCase "it trains as the dense product with its mask" (fun () ->
              use _ = torch.NewDisposeScope()
              torch.manual_seed 5L |> ignore

              let layer =
                  new SparseLinear(40, 22, sparsity = 0.8, topology = Topology.rowGroups 4)

              let dense = Conversion.toDense layer
              let x = torch.randn (33L, 40L, requires_grad = true)
              let again = x.detach().requires_grad_()
              let upstream = torch.randn (33L, 22L)
              (layer.call x).backward([| upstream |])
              (dense.call again).backward([| upstream |])
              let close (a: torch.Tensor) (b: torch.Tensor) = a.allclose (b, 1e-4, 1e-5)
              Expect.isTrue (close (layer.call x) (dense.call x)) "forward"
              Expect.isTrue (close (grad x) (grad again)) "the input's gradient"

              let ofDense = Array.chunkBySize 40 (numbers (grad dense.weight))
              let mask = Connectivity.toMask layer.Connectivity

              let wanted =
                  [| for row in 0..21 do
                         for col in 0..39 do
                             if mask[row, col] then
                                 ofDense[row][col] |]

              let ofSlotsWanted = torch.tensor wanted
              Expect.isTrue (close (grad layer.weight) ofSlotsWanted) "the weights' gradient")

          testCase "RigL in groups trains, and groups, slots and Adam's moments stay in step" (fun () ->
              use _ = torch.NewDisposeScope()
              torch.manual_seed 7L |> ignore

              let layer =
                  new SparseLinear(40, 22, sparsity = 0.8, topology = Topology.rowGroups 4)

              let start = layer.Connectivity
              let optimizer = torch.optim.Adam(layer.parameters (), 1e-2)

              let policy =
                  Policy.rigL (Schedule.cosine 0.3 2L 40L) |> Policy.inRowGroups 4 RowGroupNorm.L2

              use rewirer = new Rewirer(layer, optimizer, policy, Seed.ofInt 1)
              let x, y = torch.randn (32L, 40L), torch.randn (32L, 22L)

              let losses =
                  [ for _ in 1..40 do
                        optimizer.zero_grad ()
                        let loss = torch.nn.functional.mse_loss (layer.call x, y)
                        loss.backward ()

                        for event in rewirer.Step() do
                            Expect.isTrue event.Outcome.IsDone $"{event}"

                        Expect.equal layer.Connectivity.Nnz start.Nnz "nnz"
                        let c = layer.Connectivity

                        for row in 0..21 do
                            let first = row / 4 * 4

                            let columns (r: int) =
                                c.ColIdx.Slice(c.RowPtr[r], c.RowPtr[r + 1] - c.RowPtr[r]).ToArray()

                            Expect.equal (columns row) (columns first) $"the columns of row {row}"

                        loss.item<float32>() ]

              Expect.notEqual layer.Connectivity start "another pattern"
              Expect.isLessThan (List.last losses) (0.8f * List.head losses) "a smaller loss")

          testCase "a rewirer in groups refuses a layer without them by its name" (fun () ->
              use model =
                  torch.nn.Sequential(
                      struct ("first",
                              new SparseLinear(8, 8, seed = Seed.ofInt 1)
                              :> torch.nn.Module<torch.Tensor, torch.Tensor>)
                  )

              let policy =
                  Policy.set (Schedule.constant 0.3 2L 40L)
                  |> Policy.inRowGroups 4 RowGroupNorm.L2

              let refusal =
                  Expect.throwsC
                      (fun () ->
                          new Rewirer(model, torch.optim.SGD(model.parameters (), 0.1), policy, Seed.ofInt 1)
                          |> ignore)
                      (fun e -> e.Message)

              Expect.equal
                  refusal
                  ("expected a pattern whose rows share their columns in groups of 4, got 'first' in groups of 1: draw it with "
                   + "Topology.rowGroups 4 (C#: Topologies.RowGroups), or leave the policy's RowGroup at 1 (Parameter 'policy')")
                  "the message") ]
