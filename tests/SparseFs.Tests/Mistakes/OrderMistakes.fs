/// Optimizers and rewirers that are made, called or let go in the wrong order.
module SparseFs.Tests.Mistakes.OrderMistakes

open Expecto
open SparseFs
open SparseFs.Tests.Mistakes.Mistake
open TorchSharp
open TorchSharp.Modules
open type TorchSharp.TensorExtensionMethods

type private Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

let private rigL = Policy.rigL (Schedule.cosine 0.3 10L 100L)

let private model () =
    torch.nn.Sequential(
        struct ("first", new SparseLinear(6, 4, sparsity = 0.5, seed = Seed.ofInt 1) :> Layer),
        struct ("second", new SparseLinear(4, 2, sparsity = 0.5, seed = Seed.ofInt 2) :> Layer)
    )

let private sgd (model: torch.nn.Module) =
    torch.optim.SGD(model.parameters (), 0.1)

let private backward (model: Layer) =
    (model.call (torch.ones (3L, 6L))).sum().backward()

/// What a rewirer notices of a loop, as the texts that its user reads.
let private notices (name: string) (texts: string list) (loop: Sequential -> SGD -> Rewirer -> unit) : Test =
    testCase name (fun () ->
        use model = model ()
        let optimizer = sgd model

        use rewirer =
            new Rewirer(model, optimizer, Policy.set (Schedule.constant 0.3 100L 1000L), Seed.ofInt 3)

        loop model optimizer rewirer
        Expect.equal [ for notice in rewirer.Notices -> notice.Message ] texts "notices")

[<Tests>]
let mistakes =
    testList
        "Mistakes of order"
        [ expect
              "the optimizer is made before the model is made sparse"
              ("expected an optimizer of all sparse layers, got one that lists a parameter which it has no state of, perhaps the "
               + "weight of '0'; an optimizer keeps state of the parameters that the model had when the optimizer was made: make "
               + "it after the layers became sparse or were moved, or hand it to Sparsify.modelWith (C#: "
               + "model.Sparsify(optimizer: optimizer)), which carries it over (Parameter 'optimizer')")
              (fun () ->
                  let model = torch.nn.Sequential(torch.nn.Linear(6L, 4L) :> Layer)
                  let optimizer = sgd model
                  Sparsify.model (Sparsify.each 0.5) model |> ignore
                  new Rewirer(model, optimizer, rigL) |> ignore)

          expect
              "the optimizer trains a part of the model"
              ("expected an optimizer of all sparse layers, got one without the weight of 'second'; an optimizer keeps state of "
               + "the parameters that the model had when the optimizer was made: make it after the layers became sparse or were "
               + "moved, or hand it to Sparsify.modelWith (C#: model.Sparsify(optimizer: optimizer)), which carries it over "
               + "(Parameter 'optimizer')")
              (fun () ->
                  let model = model ()
                  let first = model[0] :?> SparseLinear
                  new Rewirer(model, sgd first, rigL) |> ignore)

          expect
              "the optimizer's state is not known"
              ("expected one of SGD, Adam, AdamW, RMSProp, Adagrad, Adadelta, Adamax, NAdam, RAdam, ASGD, Rprop, or an optimizer "
               + "that implements IStatefulOptimizer, got LBFGS, whose state is not known (Parameter 'optimizer')")
              (fun () ->
                  let model = model ()
                  new Rewirer(model, torch.optim.LBFGS(model.parameters ()), rigL) |> ignore)

          expect
              "the model is moved after the optimizer was made"
              ("'first' trains, but its weight is none of the optimizer's: where the layer was frozen, add it with "
               + "optimizer.add_param_group; where the model was moved (.to, .cuda) or converted since, make optimizer and "
               + "rewirer after that")
              (fun () ->
                  use model = model ()
                  let optimizer = torch.optim.SGD(Array.ofSeq (model.parameters ()), 0.1)

                  use rewirer =
                      new Rewirer(model, optimizer, Policy.set (Schedule.constant 0.3 1L 10L))

                  model.``to`` torch.float64 |> ignore
                  rewirer.Step() |> ignore)

          expect
              "a rewirer steps after it was disposed of"
              ("the rewirer was disposed of, and so steps no more: keep it until training is over (a rewirer that is bound by "
               + "use, or by using in C#, is disposed of where its block ends), or make another\nObject name: 'Rewirer'.")
              (fun () ->
                  use model = model ()

                  let rewirer =
                      use rewirer = new Rewirer(model, sgd model, rigL)
                      rewirer

                  rewirer.Step() |> ignore)

          expect
              "an older rewirer steps"
              "'first' has a newer rewirer, which has taken it over: call Step of that one, and Dispose of this one"
              (fun () ->
                  use model = model ()
                  let optimizer = sgd model
                  use older = new Rewirer(model, optimizer, rigL)
                  use _ = new Rewirer(model, optimizer, rigL)
                  older.Step() |> ignore)

          expect
              "a pattern is loaded while a rewirer has the layer"
              ("the pattern of 'first' was loaded behind the rewirer, so that the optimizer's moments belong to other "
               + "connections: make optimizer and rewirer after the load, or put the whole run back with Checkpoint.resume (C#: "
               + "Checkpoints.Resume)")
              (fun () ->
                  use model = model ()
                  use rewirer = new Rewirer(model, sgd model, rigL)
                  use other = new SparseLinear(6, 4, sparsity = 0.5, seed = Seed.ofInt 7)
                  let first = model[0] :?> SparseLinear
                  first.load_state_dict (other.state_dict ()) |> ignore
                  rewirer.Step() |> ignore)

          expect
              "optimizer.step() is followed, whose counts the policy's moments need"
              ("expected moments of Zero or RowMean for 'first', got Fresh, which counts the steps of grown slots apart from "
               + "Adam's own: call Rewirer.Step in place of optimizer.step()")
              (fun () ->
                  use model = model ()
                  let adam = torch.optim.Adam(model.parameters (), 0.1)
                  use rewirer = new Rewirer(model, adam, { rigL with Moments = Moments.Fresh })
                  adam.step () |> ignore
                  rewirer.Follow() |> ignore)

          expect
              "backward is never called"
              ("3 updates of 'first' in a row were refused: no backward pass has reached 'first' since the last step. To mend it, "
               + "call loss.backward() before rewirer.Step(); to go on without updates, set rewirer.Refusals to Refusals.Log or "
               + "Refusals.Ignore")
              (fun () ->
                  use model = model ()

                  use rewirer =
                      new Rewirer(model, sgd model, Policy.rigL (Schedule.cosine 0.3 1L 100L))

                  for _ in 1..3 do
                      rewirer.Step() |> ignore)

          expect
              "the weights have become NaN"
              ("3 updates of 'first' in a row were refused: expected finite numbers, got weight NaN at slot 0. To mend it, load an "
               + "earlier checkpoint if weights are concerned, and lower the learning rate or clip the gradient's norm "
               + "(torch.nn.utils.clip_grad_norm_); to go on without updates, set rewirer.Refusals to Refusals.Log or "
               + "Refusals.Ignore")
              (fun () ->
                  use model = model ()

                  use rewirer =
                      new Rewirer(model, sgd model, Policy.rigL (Schedule.cosine 0.3 1L 100L))

                  for parameter in model.parameters () do
                      use _ = torch.no_grad ()
                      parameter.fill_ (nan.ToScalar()) |> ignore

                  for _ in 1..3 do
                      backward model
                      rewirer.Step() |> ignore)

          notices
              "backward is forgotten"
              [ "No parameter of the optimizer has a gradient that is not 0, so that this step trains nothing. Call loss.backward() "
                + "before rewirer.Step(), and optimizer.zero_grad() before loss.backward(), never between the two." ]
              (fun _ _ rewirer ->
                  for _ in 1..3 do
                      rewirer.Step() |> ignore)


          notices
              "optimizer.step() and Step are both called"
              [ "The optimizer has stepped since the last rewirer.Step(), which steps it too, so that each batch counts twice. Call "
                + "rewirer.Step() in place of optimizer.step(); or keep optimizer.step(), and call rewirer.Follow() after it." ]
              (fun model optimizer rewirer ->
                  for _ in 1..3 do
                      optimizer.zero_grad ()
                      backward model
                      optimizer.step () |> ignore
                      rewirer.Step() |> ignore)

          testCase "a gradient is clipped by value" (fun () ->
              use model = model ()
              let optimizer = sgd model

              use rewirer =
                  new Rewirer(model, optimizer, Policy.rigL (Schedule.cosine 0.3 1L 100L), Seed.ofInt 3)

              backward model
              torch.nn.utils.clip_grad_value_ (model.parameters (), 1e-3)
              rewirer.Step() |> ignore

              Expect.equal
                  [ for notice in rewirer.Notices do
                        if notice.Layer = "second" then
                            notice.Message ]
                  [ "The weight's gradient is not a multiple of what its backward passes gave: it was not zeroed since the "
                    + "last step (optimizer.zero_grad() before each backward), it was clipped by value, noise was "
                    + "added to it, or it was set by hand. Growth looks at the passes as they were, so that cells are grown by "
                    + "other gradients than weights are trained by. Clip by norm instead "
                    + "(torch.nn.utils.clip_grad_norm_), which growth follows." ]
                  "notices") ]
