namespace SparseFs.Torch

open SparseFs
open TorchSharp.Modules

module internal KnownAdadelta =

    let private options (o: Adadelta.Options) : OptimizerField list =
        [ KnownFields.option "rho" (fun () -> o.rho) (fun x -> o.rho <- x)
          KnownFields.option "eps" (fun () -> o.eps) (fun x -> o.eps <- x)
          KnownFields.option "weight_decay" (fun () -> o.weight_decay) (fun x -> o.weight_decay <- x)
          KnownFields.switch "maximize" (fun () -> o.maximize) (fun x -> o.maximize <- x) ]

    /// TorchSharp never counts its steps.
    let private state (_: Parameter) (s: Adadelta.State) (_: Adadelta.Options) : ParameterState =
        let numbers = [ KnownFields.steps (fun () -> s.step) (fun x -> s.step <- x) ]

        let tensors =
            [ KnownFields.tensor
                  "square_avg"
                  (fun () -> s.square_avg)
                  (fun x -> s.square_avg <- x)
                  (KnownFields.always (Seeding.Square(1.0, 0.0)))
              KnownFields.tensor
                  "acc_delta"
                  (fun () -> s.acc_delta)
                  (fun x -> s.acc_delta <- x)
                  (KnownFields.always Seeding.Unseen) ]

        { new ParameterState(numbers, tensors) with
            member _.Steps = -1L }

    let known =
        KnownOptimizer.define<Adadelta, Adadelta.State, Adadelta.Options> "Adadelta" options state
