namespace SparseFs.Torch

open SparseFs
open TorchSharp.Modules

module internal KnownAdamax =

    let private options (o: Adamax.Options) : OptimizerField list =
        [ KnownFields.option "beta1" (fun () -> o.beta1) (fun x -> o.beta1 <- x)
          KnownFields.option "beta2" (fun () -> o.beta2) (fun x -> o.beta2 <- x)
          KnownFields.option "eps" (fun () -> o.eps) (fun x -> o.eps <- x)
          KnownFields.option "weight_decay" (fun () -> o.weight_decay) (fun x -> o.weight_decay <- x) ]

    /// Only the mean is corrected: the largest magnitude begins with the first.
    let private state (p: Parameter) (s: Adamax.State) (o: Adamax.Options) : ParameterState =
        let ofMean () =
            Seeding.Gradient(RunningMean.correction o.beta1.Value s.step)

        let ofLargest () =
            if s.step = 0L then Seeding.Unseen else Seeding.Magnitude

        let numbers = [ KnownFields.steps (fun () -> s.step) (fun x -> s.step <- x) ]

        let tensors =
            [ KnownFields.tensor "exp_avg" (fun () -> s.exp_avg) (fun x -> s.exp_avg <- x) ofMean
              KnownFields.tensor "exp_inf" (fun () -> s.exp_inf) (fun x -> s.exp_inf <- x) ofLargest ]

        { new ParameterState(numbers, tensors) with
            member _.Steps = s.step
            member _.IsYoung age = age < RunningMean.youth o.beta1.Value

            member _.Prepare(ages, grad, _) =
                let young = YoungSlots(ages, p)
                let g = young.Gradient(grad, 1.0, o.weight_decay.Value)
                RunningMean.change young o.beta1.Value s.step s.exp_avg g
                Prepared.Before ignore }

    let known =
        KnownOptimizer.define<Adamax, Adamax.State, Adamax.Options> "Adamax" options state
