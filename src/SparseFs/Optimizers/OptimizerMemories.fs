namespace SparseFs.Torch

open System
open TorchSharp
open TorchSharp.Modules

/// The memories of the optimizers that are known.
module internal OptimizerMemories =

    let private signOf (maximize: Nullable<bool>) =
        if maximize.GetValueOrDefault false then -1.0 else 1.0

    /// A fresh buffer begins with the gradient as it is, without dampening.
    let sgd (p: Parameter) (state: SGD.State) (options: SGD.Options) : OptimizerMemory =
        let momentum, dampening = options.momentum.Value, options.dampening.Value

        { new OptimizerMemory() with
            member _.Moments = [ Moment.zero state.momentum_buffer (Seeding.Gradient 1.0) ]
            member _.Steps = -1L

            member _.IsYoung age =
                age = 0L && momentum <> 0.0 && dampening <> 0.0

            member _.Prepare(ages, grad) =
                if not (isNull state.momentum_buffer) then
                    let young = YoungSlots(ages, p)
                    let g = young.Gradient(grad, 1.0, options.weight_decay.Value)
                    // The optimizer makes it momentum · buffer + (1 − dampening) · g.
                    young.Put(state.momentum_buffer, g * (Scalars.Of(dampening / momentum)))

                Prepared.Before ignore }

    let adam (p: Parameter) (s: Adam.State) (o: Adam.Options) : OptimizerMemory =
        AdamMemory.create (fun () ->
            struct ({ Weight = p
                      Mean = s.exp_avg
                      Square = s.exp_avg_sq
                      Largest = s.max_exp_avg_sq
                      Steps = s.step
                      Beta1 = o.beta1.Value
                      Beta2 = o.beta2.Value
                      Sign = signOf o.maximize
                      Decay = o.weight_decay.Value },
                    ValueSome
                        { Rate = o.LearningRate.Value
                          Epsilon = o.eps.Value
                          Kept = 1.0
                          Count = fun () -> s.step <- s.step + 1L }))

    /// Its weight decay is the weight's own affair.
    let adamW (p: Parameter) (s: AdamW.State) (o: AdamW.Options) : OptimizerMemory =
        AdamMemory.create (fun () ->
            struct ({ Weight = p
                      Mean = s.exp_avg
                      Square = s.exp_avg_sq
                      Largest = s.max_exp_avg_sq
                      Steps = s.step
                      Beta1 = o.beta1.Value
                      Beta2 = o.beta2.Value
                      Sign = signOf o.maximize
                      Decay = 0.0 },
                    ValueSome
                        { Rate = o.LearningRate.Value
                          Epsilon = o.eps.Value
                          Kept = 1.0 - o.LearningRate.Value * o.weight_decay.Value
                          Count = fun () -> s.step <- s.step + 1L }))

    /// Its means are Adam's; its rectification stays the run's.
    let rAdam (p: Parameter) (s: RAdam.State) (o: RAdam.Options) : OptimizerMemory =
        AdamMemory.create (fun () ->
            struct ({ Weight = p
                      Mean = s.exp_avg
                      Square = s.exp_avg_sq
                      Largest = null
                      Steps = s.step
                      Beta1 = o.beta1.Value
                      Beta2 = o.beta2.Value
                      Sign = 1.0
                      Decay = o.weight_decay.Value },
                    ValueNone))

    /// Only the mean is corrected: the largest magnitude begins with the first.
    let adamax (p: Parameter) (s: Adamax.State) (o: Adamax.Options) : OptimizerMemory =
        let beta1 = o.beta1.Value

        { new OptimizerMemory() with
            member _.Moments =
                [ Moment.zero s.exp_avg (Seeding.Gradient(RunningMean.correction beta1 s.step))
                  Moment.zero s.exp_inf (if s.step = 0L then Seeding.Unseen else Seeding.Magnitude) ]

            member _.Steps = s.step
            member _.IsYoung age = age < RunningMean.youth beta1

            member _.Prepare(ages, grad) =
                let young = YoungSlots(ages, p)
                RunningMean.change young beta1 s.step s.exp_avg (young.Gradient(grad, 1.0, o.weight_decay.Value))
                Prepared.Before ignore }

    /// <summary>NAdam's weights of the gradient and of the mean in the step that follows so many.</summary>
    /// <remarks>μ_t = β (1 − ½ 0.96^(t ψ)); the gradient has (1 − μ_t) / (1 − μ_1 … μ_t), the mean
    /// μ_(t+1) / (1 − μ_1 … μ_(t+1)).</remarks>
    let private nAdamWeights (beta: float) (decay: float) (product: float) (steps: int64) : struct (float * float) =
        let mu (step: int64) =
            beta * (1.0 - 0.5 * Math.Pow(0.96, float step * decay))

        let now, next = mu (steps + 1L), mu (steps + 2L)
        let product = product * now
        struct ((1.0 - now) / (1.0 - product), next / (1.0 - product * next))

    /// μ_1 … μ_steps, 0 once no double could tell.
    let private nAdamProduct (beta: float) (decay: float) (steps: int64) : float =
        let mutable product = 1.0
        let mutable step = 1L

        while step <= steps && product > 1e-20 do
            product <- product * beta * (1.0 - 0.5 * Math.Pow(0.96, float step * decay))
            step <- step + 1L

        if step <= steps then 0.0 else product

    /// The mean is stored as it is, for it is not corrected as a whole: each step's is put in before and taken out after.
    let nAdam (p: Parameter) (s: NAdam.State) (o: NAdam.Options) : OptimizerMemory =
        let beta1, beta2, decay = o.beta1.Value, o.beta2.Value, o.momentum_decay.Value

        { new OptimizerMemory() with
            member _.Moments =
                let known = if s.step = 0L then 0.0 else 1.0

                [ Moment.zero s.exp_avg (Seeding.Gradient(known * (1.0 - beta1)))
                  Moment.zero s.exp_avg_sq (Seeding.Square(RunningMean.correction beta2 s.step, 0.0)) ]

            member _.Steps = s.step

            member _.IsYoung age =
                age < max (RunningMean.youth beta1) (RunningMean.youth beta2)

            member _.Prepare(ages, grad) =
                let young = YoungSlots(ages, p)
                let g = young.Gradient(grad, 1.0, o.weight_decay.Value)
                RunningMean.change young beta2 s.step s.exp_avg_sq (g * g)

                if beta1 = 0.0 then
                    Prepared.Before ignore
                else
                    let struct (ofGradient, ofMean) = nAdamWeights beta1 decay s.mu_product s.step

                    let own =
                        young.Ages
                        |> Array.map (fun age ->
                            let age = min age s.step
                            nAdamWeights beta1 decay (nAdamProduct beta1 decay age) age)

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

    /// Means without a correction: a fresh weight's first update is 1 / √(1 − α) learning rates, in a fresh optimizer too.
    let rmsProp (s: RMSProp.State) : OptimizerMemory =
        { new OptimizerMemory() with
            member _.Moments =
                [ Moment.zero s.square_avg (Seeding.Square(1.0, 0.0))
                  Moment.zero s.momentum_buffer Seeding.Unseen
                  // A mean of one gradient would leave no variance to divide by.
                  Moment.zero s.grad_avg Seeding.Unseen ]

            member _.Steps = s.step }

    let adagrad (s: Adagrad.State) (o: Adagrad.Options) : OptimizerMemory =
        let initial = o.initial_accumulator_value.GetValueOrDefault 0.0

        { new OptimizerMemory() with
            member _.Moments =
                [ { Tensor = s.sum
                    Unseen = Unseen.Number initial
                    Seeding = Seeding.Square(1.0, initial) } ]

            member _.Steps = s.step }

    let adadelta (s: Adadelta.State) : OptimizerMemory =
        { new OptimizerMemory() with
            member _.Moments =
                [ Moment.zero s.square_avg (Seeding.Square(1.0, 0.0))
                  Moment.zero s.acc_delta Seeding.Unseen ]

            member _.Steps = -1L }

    /// The average of a young slot's weights is over its own steps.
    let asgd (p: Parameter) (s: ASGD.State) (o: ASGD.Options) : OptimizerMemory =
        let weight (steps: int64) =
            if steps = 0L then
                1.0
            else
                1.0 / max 1.0 (float steps - o.t0.Value)

        { new OptimizerMemory() with
            member _.Moments =
                [ { Tensor = s.ax
                    Unseen = Unseen.Weight
                    Seeding = Seeding.Unseen } ]

            member _.Steps = s.step
            member _.AgeOfSeeded = 0L // no gradient is kept
            member _.IsYoung _ = true

            member _.Prepare(ages, _) =
                if s.mu = 1.0 then
                    Prepared.Before ignore // of all slots, so of the younger ones too
                else
                    let young = YoungSlots(ages, p)
                    let before = young.Of s.ax
                    let weights = young.Numbers(Array.map weight young.Ages)
                    Prepared.Before(fun () -> young.Put(s.ax, before + weights * (young.Of p - before))) }

    /// A step of 0 would never grow: it starts with the learning rate.
    let rprop (s: Rprop.State) (o: Rprop.Options) : OptimizerMemory =
        { new OptimizerMemory() with
            member _.Moments =
                [ Moment.zero s.prev (Seeding.Gradient(signOf o.maximize))
                  { Tensor = s.step_size
                    Unseen = Unseen.Number(o.LearningRate.GetValueOrDefault 0.0)
                    Seeding = Seeding.Unseen } ]

            member _.Steps = s.step }
