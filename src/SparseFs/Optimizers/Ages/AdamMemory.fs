namespace SparseFs.Torch

open System
open SparseFs
open SparseFs.Kernels
open TorchSharp
open TorchSharp.Modules

/// Adam's memory of a weight and what its optimizer makes of it, as both are before a step.
type internal AdamWeight =
    {
        Weight: Parameter
        Mean: torch.Tensor
        Square: torch.Tensor
        /// AMSGrad's, or null.
        Largest: torch.Tensor | null
        Steps: int64
        Beta1: float
        Beta2: float
        Sign: float
        /// The part of the weight that is added to the gradient.
        Decay: float
    }

    member w.FitsKernel(grad: torch.Tensor) : bool =
        let fits (t: torch.Tensor) =
            t.dtype = torch.ScalarType.Float32
            && t.device_type = DeviceType.CPU
            && t.is_contiguous ()

        fits w.Weight
        && fits grad
        && fits w.Mean
        && fits w.Square
        && (match w.Largest with
            | null -> true
            | largest -> fits largest)

    member w.Numbers(grad: torch.Tensor) : AdamNumbers =
        { Gradient = TensorView.floats "grad" grad
          Weight = TensorView.floats "weight" w.Weight
          Mean = TensorView.floats "mean" w.Mean
          Square = TensorView.floats "square" w.Square
          Largest = TensorView.floatsOrNull "largest" w.Largest
          Sign = float32 w.Sign
          Decay = float32 w.Decay }

/// How Adam moves a weight by its means: a step that can be taken here.
type internal AdamMove =
    {
        Rate: float
        Epsilon: float
        /// What the weight is multiplied by first.
        Kept: float
        /// Counts the step.
        Count: unit -> unit
    }

/// Adam's and its kin's memory: running means of the gradient and of its square, both corrected.
module internal AdamMemory =

    /// What the kernel takes of cohorts: its tables, their stride, and the cohorts whose mean changes.
    let private tables (beta1: float) (beta2: float) (steps: int64) (ages: int64[]) : struct (float32[] * int * int) =
        let stride =
            if ages.Length < YoungMoments.Few then
                YoungMoments.Few
            else
                256

        let tables: float32[] = Array.zeroCreate (4 * stride)
        let mutable means = 0

        let ofMean = RunningMean.coefficients beta1 steps ages
        let ofSquare = RunningMean.coefficients beta2 steps ages

        for cohort in 1 .. ages.Length do
            let struct (taken1, given1) = ofMean[cohort - 1]
            let struct (taken2, given2) = ofSquare[cohort - 1]
            tables[cohort] <- float32 taken1
            tables[stride + cohort] <- float32 given1
            tables[2 * stride + cohort] <- float32 taken2
            tables[3 * stride + cohort] <- float32 given2

            if given1 <> 0.0 then
                means <- cohort

        struct (tables, stride, means)

    /// A whole step, in two passes and torch's root between them, whose bits no other gives.
    let private take (w: AdamWeight) (move: AdamMove) (cohorts: byte[]) (tables: float32[]) (means: int) grad : unit =
        let threads = torch.get_num_threads ()
        let after = w.Steps + 1L
        let numbers = w.Numbers grad

        YoungMoments.adamMeansOf
            (OpenMpTeam.get ())
            threads
            cohorts
            tables
            means
            numbers
            { Beta1 = float32 w.Beta1
              Rest1 = float32 (1.0 - w.Beta1)
              Beta2 = float32 w.Beta2
              Rest2 = float32 (1.0 - w.Beta2) }

        let square =
            match w.Largest with
            | null -> w.Square
            | largest -> largest

        let root = square.sqrt ()

        YoungMoments.adamUpdateOf
            (OpenMpTeam.get ())
            threads
            cohorts.Length
            (TensorView.floats "root" root)
            numbers.Mean
            numbers.Weight
            { Kept = float32 move.Kept
              Correction = float32 (sqrt (RunningMean.correction w.Beta2 after))
              Epsilon = float32 move.Epsilon
              Rate = float32 (-(move.Rate / RunningMean.correction w.Beta1 after)) }

        GC.KeepAlive(struct (grad, w, root))
        // libtorch must know that the weight was written to: a graph that saved it is refused, as after torch's own step.
        w.Weight.narrow(0L, 0L, 0L).zero_() |> ignore
        move.Count()

    let private same (a: torch.Tensor) (b: torch.Tensor) : bool = a.eq(b).all().item<bool>()

    /// A few steps of numbers at random, here and by torch.
    let private isTorchs (amsgrad: bool) : bool =
        use _ = torch.no_grad ()
        use _ = torch.NewDisposeScope()
        let random = Random 5
        let n = 1003

        let draw () =
            torch.tensor (Array.init n (fun _ -> float32 (random.NextDouble() * 2.0 - 1.0)), device = torch.CPU)

        let start = draw ()
        use theirs = new Parameter(start.clone ())
        use own = new Parameter(start.clone ())

        use optimizer =
            torch.optim.Adam([ theirs ], 0.01, weight_decay = 0.03, amsgrad = amsgrad)

        let state = optimizer.state_dict().State[0] :?> Adam.State

        let largest: torch.Tensor | null = if amsgrad then torch.zeros_like start else null

        let ours =
            { Weight = own
              Mean = torch.zeros_like start
              Square = torch.zeros_like start
              Largest = largest
              Steps = 0L
              Beta1 = 0.9
              Beta2 = 0.999
              Sign = 1.0
              Decay = 0.03 }

        let move =
            { Rate = 0.01
              Epsilon = 1e-8
              Kept = 1.0
              Count = ignore }

        for step in 0L .. 4L do
            let grad = draw ()
            TorchNulls.setGrad theirs grad
            optimizer.step () |> ignore
            take { ours with Steps = step } move (Array.zeroCreate n) (Array.zeroCreate (4 * YoungMoments.Few)) 0 grad

        same own theirs
        && same ours.Mean state.exp_avg
        && same ours.Square state.exp_avg_sq

    /// Whether the step here has the bits of torch's: its roundings are those of one build of libtorch.
    let takesTorchsSteps =
        lazy (YoungMoments.isFused && isTorchs false && isTorchs true)

    let private weightOf (read: unit -> struct (AdamWeight * AdamMove voption)) : AdamWeight =
        let struct (weight, _) = read ()
        weight

    /// What one gradient leaves in the mean.
    let ofMean read () : Seeding =
        let w = weightOf read
        Seeding.Gradient(w.Sign * RunningMean.correction w.Beta1 w.Steps)

    /// What one gradient leaves in the mean of squares.
    let ofSquare read () : Seeding =
        let w = weightOf read
        Seeding.Square(RunningMean.correction w.Beta2 w.Steps, 0.0)

    /// Means of the gradient and of its square, both corrected: Adam and its kin.
    let create
        (read: unit -> struct (AdamWeight * AdamMove voption))
        (numbers: OptimizerField list)
        (tensors: OptimizerTensor list)
        : ParameterState =
        { new ParameterState(numbers, tensors) with
            member _.Steps = (weightOf read).Steps

            member _.IsYoung age =
                let w = weightOf read
                age < max (RunningMean.youth w.Beta1) (RunningMean.youth w.Beta2)

            member _.Cohorts = YoungMoments.Few - 1

            member _.Prepare(ages, grad, mayStep) =
                let struct (w, move) = read ()

                if w.FitsKernel grad then
                    let struct (tables, stride, means) = tables w.Beta1 w.Beta2 w.Steps ages.OfCohorts

                    match move with
                    | ValueSome move when mayStep && stride = YoungMoments.Few && takesTorchsSteps.Value ->
                        take w move ages.Cohorts tables means grad
                        Prepared.Done
                    | _ ->
                        let threads = torch.get_num_threads ()

                        YoungMoments.adamOf
                            (OpenMpTeam.get ())
                            threads
                            ages.Cohorts
                            tables
                            stride
                            means
                            (w.Numbers grad)

                        GC.KeepAlive(struct (grad, w))
                        Prepared.Before ignore
                else
                    let young = YoungSlots(ages, w.Weight)
                    let g = young.Gradient(grad, w.Sign, w.Decay)
                    RunningMean.change young w.Beta1 w.Steps w.Mean g
                    RunningMean.change young w.Beta2 w.Steps w.Square (g * g)

                    match w.Largest with
                    | null -> ()
                    | largest ->
                        let kept =
                            RunningMean.coefficients w.Beta2 w.Steps young.Ages
                            |> Array.map (fun (struct (taken, _)) -> 1.0 - taken)
                            |> young.Numbers

                        young.Put(largest, kept * young.Of largest)

                    Prepared.Before ignore }
