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
              Expect.isTrue (close (grad layer.weight) ofSlotsWanted) "the weights' gradient") ]
