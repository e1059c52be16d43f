namespace SparseFs.Torch

open SparseFs
open TorchSharp.Modules

module internal KnownRmsProp =

    let private options (o: RMSProp.Options) : OptimizerField list =
        [ KnownFields.switch "maximize" (fun () -> o.maximize) (fun x -> o.maximize <- x)
          KnownFields.option "momentum" (fun () -> o.momentum) (fun x -> o.momentum <- x)
          KnownFields.option "alpha" (fun () -> o.alpha) (fun x -> o.alpha <- x)
          KnownFields.option "eps" (fun () -> o.eps) (fun x -> o.eps <- x)
          KnownFields.option "weight_decay" (fun () -> o.weight_decay) (fun x -> o.weight_decay <- x)
          KnownFields.switch "centered" (fun () -> o.centered) (fun x -> o.centered <- x) ]

    /// Means without a correction: a fresh weight's first update is 1 / √(1 − α) learning rates, in a fresh optimizer too.
    let private state (_: Parameter) (s: RMSProp.State) (_: RMSProp.Options) : ParameterState =
        let numbers = [ KnownFields.steps (fun () -> s.step) (fun x -> s.step <- x) ]

        let tensors =
            [ KnownFields.tensor
                  "square_avg"
                  (fun () -> s.square_avg)
                  (fun x -> s.square_avg <- x)
                  (KnownFields.always (Seeding.Square(1.0, 0.0)))
              KnownFields.tensor
                  "momentum_buffer"
                  (fun () -> s.momentum_buffer)
                  (fun x -> s.momentum_buffer <- x)
                  (KnownFields.always Seeding.Unseen)
              // A mean of one gradient would leave no variance to divide by.
              KnownFields.tensor
                  "grad_avg"
                  (fun () -> s.grad_avg)
                  (fun x -> s.grad_avg <- x)
                  (KnownFields.always Seeding.Unseen) ]

        { new ParameterState(numbers, tensors) with
            member _.Steps = s.step }

    let known =
        KnownOptimizer.define<RMSProp, RMSProp.State, RMSProp.Options> "RMSProp" options state
