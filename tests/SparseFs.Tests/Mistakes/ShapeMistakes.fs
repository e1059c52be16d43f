/// Mistakes in shapes and ranks.
module SparseFs.Tests.Mistakes.ShapeMistakes

open System.IO
open Expecto
open SparseFs
open SparseFs.Tests.Mistakes.Mistake
open TorchSharp

let private digits () =
    new SparseLinear(784, 300, seed = Seed.ofInt 1)

let private text =
    "SparseLinear(in_features=784, out_features=300, nnz=23520, sparsity=0.9, bias=True, seed=1)"

/// A call of the layer with zeros of a shape.
let private called (shape: int64 list) () =
    use _ = torch.NewDisposeScope()
    use layer = digits ()
    layer.call (torch.zeros (Array.ofList shape)) |> ignore

/// Two layers, of which the second is one too narrow.
let private network () =
    let layers: (string * torch.nn.Module<torch.Tensor, torch.Tensor>) list =
        [ "hidden", new SparseLinear(784, 300, seed = Seed.ofInt 1)
          "output", new SparseLinear(200, 10, seed = Seed.ofInt 2) ]

    torch.nn.Sequential [| for name, layer in layers -> struct (name, layer) |]

let private outputText =
    "SparseLinear(in_features=200, out_features=10, nnz=200, sparsity=0.9, bias=True, seed=2)"

let private notFitting =
    "expected x of shape [*, in_features] = [*, 200], got [32, 300]. The layer is "

let private run (model: Modules.Sequential) =
    use _ = torch.NewDisposeScope()
    model.call (torch.zeros (32L, 784L)) |> ignore

[<Tests>]
let tests =
    testList
        "Mistakes in shapes and ranks"
        [ expect
              "a batch of images that nobody has flattened"
              $"expected x of shape [*, in_features] = [*, 784], got [32, 1, 28, 28]: x.flatten(1), or torch.nn.Flatten() before the layer. The layer is {text} (Parameter 'x')"
              (called [ 32L; 1L; 28L; 28L ])

          expect
              "one image without a batch"
              $"expected x of shape [*, in_features] = [*, 784], got [28, 28]: x.flatten(). The layer is {text} (Parameter 'x')"
              (called [ 28L; 28L ])

          expect
              "images in a sequence, of which the last two dimensions are one image"
              $"expected x of shape [*, in_features] = [*, 784], got [32, 5, 28, 28]: x.flatten(-2). The layer is {text} (Parameter 'x')"
              (called [ 32L; 5L; 28L; 28L ])

          expect
              "a batch that lies on its side"
              $"expected x of shape [*, in_features] = [*, 784], got [784, 32]: its rows are columns, x.t(). The layer is {text} (Parameter 'x')"
              (called [ 784L; 32L ])

          expect
              "images of another size"
              $"expected x of shape [*, in_features] = [*, 784], got [32, 3072]. The layer is {text} (Parameter 'x')"
              (called [ 32L; 3072L ])

          expect
              "a number for an input"
              $"expected x of shape [*, in_features] = [*, 784], got []. The layer is {text} (Parameter 'x')"
              (called [])

          expect
              "two layers of a Sequential that do not fit: the one that refuses says which it is"
              $"{notFitting}{outputText} (Parameter 'x')"
              (fun () ->
                  use model = network ()
                  run model)

          expect
              "the same under a rewirer, which has told the layers their paths"
              $"{notFitting}(output): {outputText} (Parameter 'x')"
              (fun () ->
                  use model = network ()
                  let optimizer = torch.optim.SGD(model.parameters (), 0.1)

                  use _ =
                      new Rewirer(model, optimizer, Policy.set (Schedule.constant 0.3 10L 100L), Seed.ofInt 3)

                  run model)

          expect
              "the same after a checkpoint was written"
              $"{notFitting}(output): {outputText} (Parameter 'x')"
              (fun () ->
                  use model = network ()
                  let file = Path.GetTempFileName()

                  try
                      Checkpoint.save file model
                  finally
                      File.Delete file

                  run model)

          expect
              "the same after Sparsify"
              "expected x of shape [*, in_features] = [*, 20], got [1, 30]. The layer is (0): SparseLinear(in_features=20, out_features=10, nnz=100, sparsity=0.5, bias=True) (Parameter 'x')"
              (fun () ->
                  use model = torch.nn.Sequential(torch.nn.Linear(20L, 10L))
                  Sparsify.model (Sparsify.each 0.5) model |> ignore
                  use x = torch.zeros (1L, 30L)
                  model.call x |> ignore)

          expect
              "a product whose samples have another width than its pattern"
              "expected x of shape [*, cols] = [*, 4], got [2, 3] (Parameter 'x')"
              (fun () ->
                  use _ = torch.NewDisposeScope()

                  SparseOps.spmm (Connectivity.full 2 4) (torch.ones 8L) (torch.ones (2L, 3L))
                  |> ignore)

          expect
              "a dense weight where the values of the slots belong"
              "expected shape [8], got [2, 4] (Parameter 'values')"
              (fun () ->
                  use _ = torch.NewDisposeScope()

                  SparseOps.spmm (Connectivity.full 2 4) (torch.ones (2L, 4L)) (torch.ones (2L, 4L))
                  |> ignore)

          expect "inputs and gradients of different batches" "expected g's 2 samples, got 3 (Parameter 'x')" (fun () ->
              use _ = torch.NewDisposeScope()

              SparseOps.sddmm (Connectivity.full 2 4) (torch.ones (2L, 2L)) (torch.ones (3L, 4L))
              |> ignore)

          expect "vectors for a layer of images" "expected shape [N, 3, H, W], got [8, 3] (Parameter 'x')" (fun () ->
              use layer = new KWinners2d(3)
              use x = torch.zeros (8L, 3L)
              layer.call x |> ignore)

          expect
              "units of another number for a K-winners layer"
              "expected x of shape [*, features] = [*, 10], got [8, 12]. The layer is KWinners(features=10, k=4, sparsity=0.65, alpha=0.1, boost=exponential, strength=1.5) (Parameter 'x')"
              (fun () ->
                  use layer = new KWinners(10)
                  use x = torch.zeros (8L, 12L)
                  layer.call x |> ignore) ]
