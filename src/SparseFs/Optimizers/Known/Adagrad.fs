namespace SparseFs.Torch

open SparseFs
open TorchSharp.Modules

module internal KnownAdagrad =

    let private options (o: Adagrad.Options) : OptimizerField list =
        [ KnownFields.option "lr_decay" (fun () -> o.lr_decay) (fun x -> o.lr_decay <- x)
          KnownFields.option "initial_accumulator_value" (fun () -> o.initial_accumulator_value) (fun x ->
              o.initial_accumulator_value <- x)
          KnownFields.option "eps" (fun () -> o.eps) (fun x -> o.eps <- x)
          KnownFields.option "weight_decay" (fun () -> o.weight_decay) (fun x -> o.weight_decay <- x) ]

    let private state (_: Parameter) (s: Adagrad.State) (o: Adagrad.Options) : ParameterState =
        let initial () =
            o.initial_accumulator_value.GetValueOrDefault 0.0

        let numbers = [ KnownFields.steps (fun () -> s.step) (fun x -> s.step <- x) ]

        let tensors =
            [ OptimizerTensor(
                  "sum",
                  TensorPresence.Always,
                  (fun () -> Unseen.Number(initial ())),
                  (fun () -> Seeding.Square(1.0, initial ())),
                  (fun () -> s.sum),
                  (fun x -> s.sum <- x)
              ) ]

        { new ParameterState(numbers, tensors) with
            member _.Steps = s.step }

    let known =
        KnownOptimizer.define<Adagrad, Adagrad.State, Adagrad.Options> "Adagrad" options state
