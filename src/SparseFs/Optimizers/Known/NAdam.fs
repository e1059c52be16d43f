namespace SparseFs.Torch

open System
open SparseFs
open TorchSharp.Modules

module internal KnownNAdam =

    let private options (o: NAdam.Options) : OptimizerField list =
        [ KnownFields.option "beta1" (fun () -> o.beta1) (fun x -> o.beta1 <- x)
          KnownFields.option "beta2" (fun () -> o.beta2) (fun x -> o.beta2 <- x)
          KnownFields.option "eps" (fun () -> o.eps) (fun x -> o.eps <- x)
          KnownFields.option "weight_decay" (fun () -> o.weight_decay) (fun x -> o.weight_decay <- x)
          KnownFields.option "momentum_decay" (fun () -> o.momentum_decay) (fun x -> o.momentum_decay <- x) ]

    /// <summary>NAdam's weights of the gradient and of the mean in the step that follows so many.</summary>
    /// <remarks>μ_t = β (1 − ½ 0.96^(t ψ)); the gradient has (1 − μ_t) / (1 − μ_1 … μ_t), the mean
    /// μ_(t+1) / (1 − μ_1 … μ_(t+1)).</remarks>
    let private weights (beta: float) (decay: float) (product: float) (steps: int64) : struct (float * float) =
        let mu (step: int64) =
            beta * (1.0 - 0.5 * Math.Pow(0.96, float step * decay))

        let now, next = mu (steps + 1L), mu (steps + 2L)
        let product = product * now
        struct ((1.0 - now) / (1.0 - product), next / (1.0 - product * next))

    /// μ_1 … μ_steps, 0 once no double could tell.
    let private productOf (beta: float) (decay: float) (steps: int64) : float =
        let mutable product = 1.0
        let mutable step = 1L

        while step <= steps && product > 1e-20 do
            product <- product * beta * (1.0 - 0.5 * Math.Pow(0.96, float step * decay))
            step <- step + 1L

        if step <= steps then 0.0 else product

    /// The mean is stored as it is, for it is not corrected as a whole: each step's is put in before and taken out after.
    let private state (p: Parameter) (s: NAdam.State) (o: NAdam.Options) : ParameterState =
        let ofMean () =
            Seeding.Gradient(if s.step = 0L then 0.0 else 1.0 - o.beta1.Value)

        let ofSquare () =
            Seeding.Square(RunningMean.correction o.beta2.Value s.step, 0.0)

        let numbers =
            [ KnownFields.steps (fun () -> s.step) (fun x -> s.step <- x)
              KnownFields.number "mu_product" (fun () -> s.mu_product) (fun x -> s.mu_product <- x) ]

        let tensors =
            [ KnownFields.tensor "exp_avg" (fun () -> s.exp_avg) (fun x -> s.exp_avg <- x) ofMean
              KnownFields.tensor "exp_avg_sq" (fun () -> s.exp_avg_sq) (fun x -> s.exp_avg_sq <- x) ofSquare ]

        { new ParameterState(numbers, tensors) with
            member _.Steps = s.step

            member _.IsYoung age =
                age < max (RunningMean.youth o.beta1.Value) (RunningMean.youth o.beta2.Value)

            member _.Prepare(ages, grad, _) =
                let beta1, beta2, decay = o.beta1.Value, o.beta2.Value, o.momentum_decay.Value
                let young = YoungSlots(ages, p)
                let g = young.Gradient(grad, 1.0, o.weight_decay.Value)
                RunningMean.change young beta2 s.step s.exp_avg_sq (g * g)

                if beta1 = 0.0 then
                    Prepared.Before ignore
                else
                    let struct (ofGradient, ofMean) = weights beta1 decay s.mu_product s.step

                    let own =
                        young.Ages
                        |> Array.map (fun age ->
                            let age = min age s.step
                            weights beta1 decay (productOf beta1 decay age) age)

                    let ownOfGradient =
                        young.Numbers(own |> Array.map (fun (struct (weight, _)) -> weight))

                    let ownOfMean = young.Numbers(own |> Array.map (fun (struct (_, weight)) -> weight))
                    let scalar (x: float) = Scalars.Of x
                    let mean = young.Of s.exp_avg * scalar beta1 + g * scalar (1.0 - beta1)

                    // The step multiplies the mean by ofMean and adds ofGradient · g.
                    let wanted =
                        mean * ownOfMean / scalar ofMean
                        + g * (ownOfGradient - scalar ofGradient) / scalar ofMean

                    young.Put(s.exp_avg, (wanted - g * scalar (1.0 - beta1)) / scalar beta1)
                    Prepared.Before(fun () -> young.Put(s.exp_avg, mean)) }

    let known =
        KnownOptimizer.define<NAdam, NAdam.State, NAdam.Options> "NAdam" options state
