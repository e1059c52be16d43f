namespace SparseFs.Torch

open System
open SparseFs.Kernels
open TorchSharp
open TorchSharp.Modules

/// The memories of the optimizers that are known.
module internal OptimizerMemories =

    let private zero (tensor: torch.Tensor) (seeding: Seeding) : Moment =
        { Tensor = tensor
          Unseen = Unseen.Number 0.0
          Seeding = seeding }

    let private signOf (maximize: Nullable<bool>) =
        if maximize.GetValueOrDefault false then -1.0 else 1.0

    /// A fresh buffer begins with the gradient as it is, without dampening.
    let sgd (p: Parameter) (state: SGD.State) (options: SGD.Options) : OptimizerMemory =
        let momentum, dampening = options.momentum.Value, options.dampening.Value

        { new OptimizerMemory() with
            member _.Moments = [ zero state.momentum_buffer (Seeding.Gradient 1.0) ]
            member _.Steps = -1L

            member _.IsYoung age =
                age = 0L && momentum <> 0.0 && dampening <> 0.0

            member _.Prepare(ages, grad) =
                if not (isNull state.momentum_buffer) then
                    let young = YoungSlots(ages, p)
                    let g = young.Gradient(grad, 1.0, options.weight_decay.Value)
                    // The optimizer makes it momentum · buffer + (1 − dampening) · g.
                    young.Put(state.momentum_buffer, g * (dampening / momentum).ToScalar())

                ignore }

    /// What the kernel takes of cohorts: its tables, their stride, and the cohorts whose mean changes.
    let private tables (beta1: float) (beta2: float) (steps: int64) (ages: int64[]) : struct (float32[] * int * int) =
        let stride =
            if ages.Length < YoungMoments.Few then
                YoungMoments.Few
            else
                256

        let tables: float32[] = Array.zeroCreate (4 * stride)
        let mutable means = 0

        for cohort in 1 .. ages.Length do
            let struct (taken1, given1) = RunningMean.coefficients beta1 steps ages[cohort - 1]
            let struct (taken2, given2) = RunningMean.coefficients beta2 steps ages[cohort - 1]
            tables[cohort] <- float32 taken1
            tables[stride + cohort] <- float32 given1
            tables[2 * stride + cohort] <- float32 taken2
            tables[3 * stride + cohort] <- float32 given2

            if given1 <> 0.0 then
                means <- cohort

        struct (tables, stride, means)

    /// Means of the gradient and of its square, both corrected: Adam and its kin.
    let private adamLike
        (p: Parameter)
        (steps: unit -> int64)
        (mean: torch.Tensor)
        (square: torch.Tensor)
        (largest: torch.Tensor)
        (beta1: float)
        (beta2: float)
        (sign: float)
        (decay: float)
        : OptimizerMemory =
        let onKernel (grad: torch.Tensor) =
            let fits (t: torch.Tensor) =
                isNull t
                || (t.dtype = torch.ScalarType.Float32
                    && t.device_type = DeviceType.CPU
                    && t.is_contiguous ())

            fits p && fits grad && fits mean && fits square && fits largest

        { new OptimizerMemory() with
            member _.Moments =
                let steps = steps ()
                let squares = Seeding.Square(RunningMean.correction beta2 steps, 0.0)

                [ zero mean (Seeding.Gradient(sign * RunningMean.correction beta1 steps))
                  zero square squares
                  zero largest squares ]

            member _.Steps = steps ()

            member _.IsYoung age =
                RunningMean.isYoung beta1 age || RunningMean.isYoung beta2 age

            member _.Cohorts = YoungMoments.Few - 1

            member _.Prepare(ages, grad) =
                let steps = steps ()

                if onKernel grad then
                    Team.attach ()
                    let struct (tables, stride, means) = tables beta1 beta2 steps ages.OfCohorts

                    YoungMoments.adamOf
                        (torch.get_num_threads ())
                        ages.Cohorts
                        tables
                        stride
                        means
                        { Gradient = TensorView.floats "grad" grad
                          Weight = TensorView.floats "weight" p
                          Mean = TensorView.floats "mean" mean
                          Square = TensorView.floats "square" square
                          Largest = TensorView.floatsOrNull "largest" largest
                          Sign = float32 sign
                          Decay = float32 decay }

                    GC.KeepAlive(struct (grad, p, mean, square, largest))
                else
                    let young = YoungSlots(ages, p)
                    let g = young.Gradient(grad, sign, decay)
                    RunningMean.change young beta1 steps mean g
                    RunningMean.change young beta2 steps square (g * g)

                    if not (isNull largest) then
                        let kept =
                            young.Numbers(fun age ->
                                let struct (taken, _) = RunningMean.coefficients beta2 steps age
                                1.0 - taken)

                        young.Put(largest, kept * young.Of largest)

                ignore }

    let adam (p: Parameter) (s: Adam.State) (o: Adam.Options) : OptimizerMemory =
        let sign = signOf o.maximize

        adamLike
            p
            (fun () -> s.step)
            s.exp_avg
            s.exp_avg_sq
            s.max_exp_avg_sq
            o.beta1.Value
            o.beta2.Value
            sign
            o.weight_decay.Value

    /// Its weight decay is the weight's own affair.
    let adamW (p: Parameter) (s: AdamW.State) (o: AdamW.Options) : OptimizerMemory =
        adamLike
            p
            (fun () -> s.step)
            s.exp_avg
            s.exp_avg_sq
            s.max_exp_avg_sq
            o.beta1.Value
            o.beta2.Value
            (signOf o.maximize)
            0.0

    /// Its means are Adam's; its rectification stays the run's.
    let rAdam (p: Parameter) (s: RAdam.State) (o: RAdam.Options) : OptimizerMemory =
        adamLike p (fun () -> s.step) s.exp_avg s.exp_avg_sq null o.beta1.Value o.beta2.Value 1.0 o.weight_decay.Value

    /// Only the mean is corrected: the largest magnitude begins with the first.
    let adamax (p: Parameter) (s: Adamax.State) (o: Adamax.Options) : OptimizerMemory =
        let beta1 = o.beta1.Value

        { new OptimizerMemory() with
            member _.Moments =
                [ zero s.exp_avg (Seeding.Gradient(RunningMean.correction beta1 s.step))
                  zero s.exp_inf (if s.step = 0L then Seeding.Unseen else Seeding.Magnitude) ]

            member _.Steps = s.step
            member _.IsYoung age = RunningMean.isYoung beta1 age

            member _.Prepare(ages, grad) =
                let young = YoungSlots(ages, p)
                RunningMean.change young beta1 s.step s.exp_avg (young.Gradient(grad, 1.0, o.weight_decay.Value))
                ignore }

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

                [ zero s.exp_avg (Seeding.Gradient(known * (1.0 - beta1)))
                  zero s.exp_avg_sq (Seeding.Square(RunningMean.correction beta2 s.step, 0.0)) ]

            member _.Steps = s.step

            member _.IsYoung age =
                RunningMean.isYoung beta1 age || RunningMean.isYoung beta2 age

            member _.Prepare(ages, grad) =
                let young = YoungSlots(ages, p)
                let g = young.Gradient(grad, 1.0, o.weight_decay.Value)
                RunningMean.change young beta2 s.step s.exp_avg_sq (g * g)

                if beta1 = 0.0 then
                    ignore
                else
                    let struct (ofGradient, ofMean) = nAdamWeights beta1 decay s.mu_product s.step

                    let own (which: struct (float * float) -> float) =
                        young.Numbers(fun age ->
                            let age = min age s.step
                            which (nAdamWeights beta1 decay (nAdamProduct beta1 decay age) age))

                    let ownOfGradient = own (fun (struct (weight, _)) -> weight)
                    let ownOfMean = own (fun (struct (_, weight)) -> weight)
                    let scalar (x: float) = x.ToScalar()
                    let mean = young.Of s.exp_avg * scalar beta1 + g * scalar (1.0 - beta1)

                    // The step multiplies the mean by ofMean and adds ofGradient · g.
                    let wanted =
                        mean * ownOfMean / scalar ofMean
                        + g * (ownOfGradient - scalar ofGradient) / scalar ofMean

                    young.Put(s.exp_avg, (wanted - g * scalar (1.0 - beta1)) / scalar beta1)
                    fun () -> young.Put(s.exp_avg, mean) }

    /// Means without a correction: a fresh weight's first update is 1 / √(1 − α) learning rates, in a fresh optimizer too.
    let rmsProp (s: RMSProp.State) : OptimizerMemory =
        { new OptimizerMemory() with
            member _.Moments =
                [ zero s.square_avg (Seeding.Square(1.0, 0.0))
                  zero s.momentum_buffer Seeding.Unseen
                  // A mean of one gradient would leave no variance to divide by.
                  zero s.grad_avg Seeding.Unseen ]

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
                [ zero s.square_avg (Seeding.Square(1.0, 0.0))
                  zero s.acc_delta Seeding.Unseen ]

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
                    ignore // of all slots, so of the younger ones too
                else
                    let young = YoungSlots(ages, p)
                    let before = young.Of s.ax
                    let weights = young.Numbers weight
                    fun () -> young.Put(s.ax, before + weights * (young.Of p - before)) }

    /// A step of 0 would never grow: it starts with the learning rate.
    let rprop (s: Rprop.State) (o: Rprop.Options) : OptimizerMemory =
        { new OptimizerMemory() with
            member _.Moments =
                [ zero s.prev (Seeding.Gradient(signOf o.maximize))
                  { Tensor = s.step_size
                    Unseen = Unseen.Number(o.LearningRate.GetValueOrDefault 0.0)
                    Seeding = Seeding.Unseen } ]

            member _.Steps = s.step }
