module SparseFs.Tests.DropoutFunctionTests

open Expecto
open SparseFs
open SparseFs.Torch
open TorchSharp

/// As many numbers as our own dropout takes.
let private numbers (seed: int64) : torch.Tensor =
    torch.manual_seed seed |> ignore
    torch.randn (40L, 500L)

let private gradient (y: torch.Tensor) (x: torch.Tensor) (upstream: torch.Tensor) (createGraph: bool) : torch.Tensor =
    torch.autograd.grad([| y |], [| x |], [| upstream |], create_graph = createGraph)[0]

[<Tests>]
let dropoutFunctionTests =
    testSequenced
    <| testList
        "Dropout function"
        [ test "the gradient goes where the numbers went, and so does its own gradient" {
              use _ = torch.NewDisposeScope()
              let x = (numbers 1L).requires_grad_()
              let y = Dropping.apply 0.25 x
              let factor = y.div (x)
              let upstream = torch.randn(x.shape).requires_grad_()
              let ofX = gradient y x upstream true
              // A product with one factor of two: no rounding but its own.
              Expect.isTrue (ofX.allclose (upstream.mul factor, rtol = 1e-6)) "gradient"
              let again = torch.randn x.shape
              let ofUpstream = gradient ofX upstream again false
              Expect.isTrue (ofUpstream.allclose (again.mul factor, rtol = 1e-6)) "of the gradient"
              let dropped = y.eq(torch.tensor 0.0f).sum().item<int64>()
              Expect.isTrue (abs (dropped - 5_000L) < 400L) $"{dropped} of 20,000 are dropped" // six deviations
          }

          test "torch's generator governs it, and each call draws anew" {
              use _ = torch.NewDisposeScope()
              let x = numbers 1L

              let twice () =
                  torch.manual_seed 7L |> ignore
                  Dropping.apply 0.5 x, Dropping.apply 0.5 x

              let a, b = twice ()
              let again, _ = twice ()
              Expect.isTrue (a.equal(again).all().item<bool>()) "the same seed"
              Expect.isFalse (a.equal(b).all().item<bool>()) "another call"
          }

          test "other dtypes and shapes have torch's dropout" {
              use _ = torch.NewDisposeScope()
              let x = torch.ones (200L, 200L, dtype = torch.float64)
              let y = Dropping.apply 0.5 x
              let kept = y.ne(torch.tensor 0.0f).sum().item<int64>()
              Expect.isTrue (abs (kept - 20_000L) < 600L) $"{kept} of 40,000 stay" // six deviations

              Expect.isTrue
                  (y.masked_select(y.ne (torch.tensor 0.0f)).eq(torch.tensor 2.0).all().item<bool>())
                  "made up for"

              let view = (numbers 2L).t()
              torch.manual_seed 3L |> ignore
              let ofView = Dropping.apply 0.5 view
              torch.manual_seed 3L |> ignore
              Expect.isTrue (ofView.equal(Dropping.apply 0.5 (view.contiguous ())).all().item<bool>()) "a view"
          }

          test "attention with dropout: the kernels' gradients are those of the operations" {
              use _ = torch.NewDisposeScope()

              use attention =
                  new SparseMultiheadAttention(
                      16,
                      4,
                      dropout = 0.4,
                      batchFirst = true,
                      sparsity = 0.5,
                      seed = Seed.ofInt 1
                  )

              let x =
                  (torch.manual_seed 5L |> ignore
                   torch.randn (3L, 20L, 16L))
                      .requires_grad_()

              let gradients (createGraph: bool) =
                  torch.manual_seed 11L |> ignore
                  let struct (y, _) = attention.Attend(x, x, x)
                  let u = torch.ones_like y
                  gradient y x u createGraph

              let byKernels, byOperations = gradients false, gradients true
              let largest = byOperations.abs().max().item<float32>()
              // Sums of up to 20 and 16 products, four of them one behind the other: 100 roundings of the largest, at the most.
              let most = 100.0f * largest * 1.2e-7f
              Expect.isLessThan (byKernels.sub(byOperations).abs().max().item<float32>()) most "of the input"
              attention.eval ()
              let struct (all, _) = attention.Attend(x, x, x)
              attention.train ()
              let struct (some, _) = attention.Attend(x, x, x)
              Expect.isFalse (all.equal(some).all().item<bool>()) "dropped in training alone"
          } ]
