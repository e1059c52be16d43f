namespace SparseFs.Torch

open SparseFs
open TorchSharp.Modules

module internal KnownRprop =

    let private options (o: Rprop.Options) : OptimizerField list =
        [ KnownFields.switch "maximize" (fun () -> o.maximize) (fun x -> o.maximize <- x)
          KnownFields.option "etaminus" (fun () -> o.etaminus) (fun x -> o.etaminus <- x)
          KnownFields.option "etaplus" (fun () -> o.etaplus) (fun x -> o.etaplus <- x)
          KnownFields.option "min_step" (fun () -> o.min_step) (fun x -> o.min_step <- x)
          KnownFields.option "max_step" (fun () -> o.max_step) (fun x -> o.max_step <- x) ]

    /// A step of 0 would never grow: it starts with the learning rate.
    let private state (_: Parameter) (s: Rprop.State) (o: Rprop.Options) : ParameterState =
        let numbers = [ KnownFields.steps (fun () -> s.step) (fun x -> s.step <- x) ]

        let tensors =
            [ KnownFields.tensor "prev" (fun () -> s.prev) (fun x -> s.prev <- x) (fun () ->
                  Seeding.Gradient(KnownFields.signOf o.maximize))
              OptimizerTensor(
                  "step_size",
                  TensorPresence.Always,
                  (fun () -> Unseen.Number(o.LearningRate.GetValueOrDefault 0.0)),
                  KnownFields.always Seeding.Unseen,
                  (fun () -> s.step_size),
                  (fun x -> s.step_size <- x)
              ) ]

        { new ParameterState(numbers, tensors) with
            member _.Steps = s.step }

    let known =
        KnownOptimizer.define<Rprop, Rprop.State, Rprop.Options> "Rprop" options state
