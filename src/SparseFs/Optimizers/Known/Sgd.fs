namespace SparseFs.Torch

open SparseFs
open TorchSharp
open TorchSharp.Modules

module internal KnownSgd =

    let private options (o: SGD.Options) : OptimizerField list =
        [ KnownFields.option "momentum" (fun () -> o.momentum) (fun x -> o.momentum <- x)
          KnownFields.option "dampening" (fun () -> o.dampening) (fun x -> o.dampening <- x)
          KnownFields.option "weight_decay" (fun () -> o.weight_decay) (fun x -> o.weight_decay <- x)
          KnownFields.switch "nesterov" (fun () -> o.nesterov) (fun x -> o.nesterov <- x)
          KnownFields.switch "maximize" (fun () -> o.maximize) (fun x -> o.maximize <- x) ]

    let private momentumBuffer (s: SGD.State) : OptimizerTensor =
        OptimizerTensor(
            "momentum_buffer",
            TensorPresence.Later,
            (fun () -> Unseen.Number 0.0),
            KnownFields.always (Seeding.Gradient 1.0),
            (fun () -> s.momentum_buffer),
            (fun x -> s.momentum_buffer <- x)
        )

    /// What the last step added to a weight, had it this gradient.
    let private moveOf (o: SGD.Options) (s: SGD.State) (before: torch.Tensor) (grad: torch.Tensor) : torch.Tensor =
        let grad = grad.add (before.mul (Scalars.Of(o.weight_decay.GetValueOrDefault 0.0)))

        let move =
            match TorchNulls.momentumOf s with
            | null -> grad
            | buffer when o.nesterov.GetValueOrDefault false ->
                grad.add (buffer.mul (Scalars.Of(o.momentum.GetValueOrDefault 0.0)))
            | buffer -> buffer

        move.mul (Scalars.Of(-(KnownFields.signOf o.maximize * o.LearningRate.GetValueOrDefault 0.0)))

    /// A fresh buffer begins with the gradient as it is, without dampening.
    let private state (p: Parameter) (s: SGD.State) (o: SGD.Options) : ParameterState =
        { new ParameterState([], [ momentumBuffer s ]) with
            member _.IsYoung age =
                age = 0L && o.momentum.Value <> 0.0 && o.dampening.Value <> 0.0

            member _.Prepare(ages, grad, _) =
                match TorchNulls.momentumOf s with
                | null -> ()
                | buffer ->
                    let young = YoungSlots(ages, p)
                    let g = young.Gradient(grad, 1.0, o.weight_decay.Value)
                    // The optimizer makes it momentum · buffer + (1 − dampening) · g.
                    young.Put(buffer, g * (Scalars.Of(o.dampening.Value / o.momentum.Value)))

                Prepared.Before ignore

            member _.LastMove = ValueSome(moveOf o s) }

    let known = KnownOptimizer.define<SGD, SGD.State, SGD.Options> "SGD" options state
