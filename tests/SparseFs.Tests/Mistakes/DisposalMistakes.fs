/// Mistakes of disposal: what is used after its end.
module SparseFs.Tests.Mistakes.DisposalMistakes

open Expecto
open SparseFs
open SparseFs.Tests.Mistakes.Mistake
open TorchSharp

let private text =
    "SparseLinear(in_features=4, out_features=3, nnz=12, sparsity=0, bias=True)"

let private over (name: string) =
    "the layer has been disposed of, by its own Dispose or by that of a model that held it: dispose of it after its last use"
    + $"\nObject name: '{name}'."

let private ended () =
    let layer = new SparseLinear(Connectivity.full 3 4)
    layer.Dispose()
    layer

[<Tests>]
let tests =
    testList
        "Mistakes of disposal"
        [ expect "a layer that is called after its end" (over text) (fun () ->
              use x = torch.zeros (2L, 4L)
              ended().call x |> ignore)

          expect "a layer that is read after its end" (over text) (fun () -> ended().weightMatrix() |> ignore)

          expect "a layer that is moved after its end" (over text) (fun () -> ended().``to`` torch.float64 |> ignore)

          expect "a layer that is drawn anew after its end" (over text) (fun () -> ended().reset_parameters())

          expect "a layer that is loaded after its end" (over text) (fun () ->
              use other = new SparseLinear(Connectivity.full 3 4)
              ended().load_state_dict(other.state_dict ()) |> ignore)

          expect
              "a layer whose model was disposed of, which a rewirer has told its path"
              (over $"(output): {text}")
              (fun () ->
                  let layer = new SparseLinear(Connectivity.full 3 4)

                  let named = struct ("output", layer :> torch.nn.Module<torch.Tensor, torch.Tensor>)
                  let model = torch.nn.Sequential [| named |]

                  let optimizer = torch.optim.SGD(model.parameters (), 0.1)

                  using
                      (new Rewirer(model, optimizer, Policy.set (Schedule.constant 0.3 10L 100L), seed = Seed.ofInt 3))
                      ignore

                  model.Dispose()
                  use x = torch.zeros (2L, 4L)
                  layer.call x |> ignore)

          expect
              "a K-winners layer that is called after its end"
              (over "KWinners(features=10, k=4, sparsity=0.65, alpha=0.1, boost=exponential, strength=1.5)")
              (fun () ->
                  let layer = new KWinners(10)
                  layer.Dispose()
                  use x = torch.zeros (2L, 10L)
                  layer.call x |> ignore)

          expect
              "a layer of winners in images that is asked after its end"
              (over "KWinners2d(channels=3, local=False, sparsity=0.65, alpha=0.1, boost=exponential, strength=1.5)")
              (fun () ->
                  let layer = new KWinners2d(3)
                  layer.Dispose()
                  layer.SamplesSeen |> ignore) ]
