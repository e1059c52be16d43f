namespace SparseFs.Torch

open SparseFs
open TorchSharp.Modules

module internal KnownAsgd =

    let private options (o: ASGD.Options) : OptimizerField list =
        [ KnownFields.switch "maximize" (fun () -> o.maximize) (fun x -> o.maximize <- x)
          KnownFields.option "lambd" (fun () -> o.lambd) (fun x -> o.lambd <- x)
          KnownFields.option "alpha" (fun () -> o.alpha) (fun x -> o.alpha <- x)
          KnownFields.option "weight_decay" (fun () -> o.weight_decay) (fun x -> o.weight_decay <- x)
          KnownFields.option "t0" (fun () -> o.t0) (fun x -> o.t0 <- x) ]

    /// The average of a young slot's weights is over its own steps.
    let private state (p: Parameter) (s: ASGD.State) (o: ASGD.Options) : ParameterState =
        let weight (steps: int64) =
            if steps = 0L then
                1.0
            else
                1.0 / max 1.0 (float steps - o.t0.Value)

        let numbers =
            [ KnownFields.steps (fun () -> s.step) (fun x -> s.step <- x)
              KnownFields.number "eta" (fun () -> s.eta) (fun x -> s.eta <- x)
              KnownFields.number "mu" (fun () -> s.mu) (fun x -> s.mu <- x) ]

        let tensors =
            [ OptimizerTensor(
                  "ax",
                  TensorPresence.Always,
                  (fun () -> Unseen.Weight),
                  KnownFields.always Seeding.Unseen,
                  (fun () -> s.ax),
                  (fun x -> s.ax <- x)
              ) ]

        { new ParameterState(numbers, tensors) with
            member _.Steps = s.step
            member _.AgeOfSeeded = 0L // no gradient is kept
            member _.IsYoung _ = true

            member _.Prepare(ages, _, _) =
                if s.mu = 1.0 then
                    Prepared.Before ignore // of all slots, so of the younger ones too
                else
                    let young = YoungSlots(ages, p)
                    let before = young.Of s.ax
                    let weights = young.Numbers(Array.map weight young.Ages)
                    Prepared.Before(fun () -> young.Put(s.ax, before + weights * (young.Of p - before))) }

    let known =
        KnownOptimizer.define<ASGD, ASGD.State, ASGD.Options> "ASGD" options state
