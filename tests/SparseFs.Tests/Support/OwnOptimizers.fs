/// Optimizers such as users write.
module SparseFs.Tests.OwnOptimizers

open System
open System.Collections.Generic
open System.Runtime.InteropServices
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>Lion: the sign of a running mean (Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023,
/// algorithm 2), and an average of the weights beside it, which is made at the first step that is averaged.</summary>
type Lion(parameters: Parameter seq, rate: float) as this =
    inherit OptimizerHelper()
    let means = Dictionary<nativeint, torch.Tensor>()
    let averages = Dictionary<nativeint, torch.Tensor>()
    let steps = Dictionary<nativeint, int64>()

    let meanOf (p: Parameter) =
        match means.TryGetValue p.Handle with
        | true, mean -> mean
        | _ ->
            means[p.Handle] <- torch.zeros_like(p).DetachFromDisposeScope()
            averages[p.Handle] <- p.detach().clone().DetachFromDisposeScope()
            steps[p.Handle] <- 0L
            means[p.Handle]

    do
        let options = OptimizerOptions()
        options.LearningRate <- Nullable rate
        options.InitialLearningRate <- rate
        this._parameter_groups <- List<ParamGroup>()
        this.add_param_group (ParamGroup(Parameters = Array.ofSeq parameters, Options = options))

    member val Beta1 = 0.9 with get, set
    member val Beta2 = 0.99 with get, set
    member val Averages = true with get, set

    /// How many parameters it keeps something for.
    member _.Kept = means.Count

    override o.step
        ([<Optional; DefaultParameterValue(null: Func<torch.Tensor> | null)>] _closure: Func<torch.Tensor> | null)
        =
        use _ = torch.no_grad ()
        use _ = torch.NewDisposeScope()

        for group in o.ParamGroups do
            for p in (group :?> ParamGroup).Parameters do
                match p.grad with
                | null -> ()
                | grad ->
                    let mean = meanOf p

                    let direction =
                        (mean.mul (o.Beta1.ToScalar())).add(grad.mul ((1.0 - o.Beta1).ToScalar())).sign()

                    p.add_ (direction, alpha = (-group.LearningRate).ToScalar()) |> ignore

                    mean.mul_(o.Beta2.ToScalar()).add_(grad, alpha = (1.0 - o.Beta2).ToScalar())
                    |> ignore

                    steps[p.Handle] <- steps[p.Handle] + 1L

                    if o.Averages then
                        averages[p.Handle].mul_((0.75).ToScalar()).add_(p, alpha = (0.25).ToScalar())
                        |> ignore

        null

    interface IStatefulOptimizer with
        member _.Kind = "Lion"

        member o.OptionsOf _ =
            [ OptimizerField.Number("beta1", (fun () -> o.Beta1), (fun x -> o.Beta1 <- x))
              OptimizerField.Number("beta2", (fun () -> o.Beta2), (fun x -> o.Beta2 <- x))
              OptimizerField.Switch("averages", (fun () -> o.Averages), (fun x -> o.Averages <- x)) ]

        member _.StateOf p =
            meanOf p |> ignore
            let h = p.Handle

            { new IParameterState with
                member _.Numbers =
                    [ OptimizerField.Count("step", (fun () -> steps[h]), (fun x -> steps[h] <- x)) ]

                member _.Tensors =
                    [ OptimizerTensor("mean", 0.0, (fun () -> means[h]), (fun t -> means[h] <- t))
                      OptimizerTensor.Average("average", (fun () -> averages[h]), (fun t -> averages[h] <- t)) ] }

        member _.Forget p =
            means.Remove p.Handle |> ignore
            averages.Remove p.Handle |> ignore
            steps.Remove p.Handle |> ignore

/// <summary>Sharpness-aware minimisation over another optimizer (Foret et al., ICLR 2021, algorithm 1): Climb after the first
/// backward, and a step after the second.</summary>
type Sam(inner: OptimizerHelper, radius: float) =
    inherit torch.optim.Optimizer(0n)
    let climbs = List<struct (Parameter * torch.Tensor)>()
    let kept = StatefulOptimizer.Of inner

    member _.Climb() : unit =
        use _ = torch.no_grad ()
        use _ = torch.NewDisposeScope()

        for p in inner.parameters () do
            match p.grad with
            | null -> ()
            | grad ->
                let climb =
                    grad
                        .mul((radius / float (grad.norm().item<float32>() + 1e-12f)).ToScalar())
                        .DetachFromDisposeScope()

                p.add_ climb |> ignore
                climbs.Add(struct (p, climb))

    override _.step
        ([<Optional; DefaultParameterValue(null: Func<torch.Tensor> | null)>] closure: Func<torch.Tensor> | null)
        =
        (use _ = torch.no_grad ()

         for struct (p, climb) in climbs do
             p.sub_ climb |> ignore
             climb.Dispose())

        climbs.Clear()
        inner.step closure

    override _.zero_grad() = inner.zero_grad ()
    override _.parameters() = inner.parameters ()
    override _.ParamGroups = inner.ParamGroups

    interface IStatefulOptimizer with
        member _.Kind = "SAM-" + kept.Kind
        member _.OptionsOf group = kept.OptionsOf group
        member _.StateOf p = kept.StateOf p
        member _.Forget p = kept.Forget p
