namespace SparseFs.Torch

#nowarn "9"

open System
open System.Collections.Generic
open Microsoft.FSharp.NativeInterop
open SparseFs
open SparseFs.Kernels
open TorchSharp
open TorchSharp.Modules
open TorchSharp.Utils

/// <summary>The step of a weight whose numbers and gradient are plain: by its group's options and what is kept for it.</summary>
/// <returns>Whether it was taken: not where a tensor beside the weight is not plain.</returns>
type internal FusedStep<'State, 'Options> =
    delegate of options: 'Options * state: 'State * p: Parameter * gradient: nativeptr<float32> * slots: int -> bool

/// <summary>Walks over an optimizer's parameters: those with plain numbers are stepped here, the others are left to TorchSharp.</summary>
/// <remarks>Parameters and their states are looked up once for each group's array of parameters. A list that is made anew each time it
/// is asked for, such as <c>model.parameters()</c>, is looked up each time in groups that are added later; that which the optimizer
/// was made of, source, is asked at the first step and at every 64th whether all its parameters are still the groups'.</remarks>
[<Sealed>]
type internal FusedSteps<'State, 'Options when 'State :> OptimizerState and 'Options :> OptimizerOptions>
    (
        source: Parameter seq,
        groups: IList<ParamGroup>,
        states: OrderedDict<nativeint, OptimizerState>,
        maxNorm: float,
        step: FusedStep<'State, 'Options>,
        torchsStep: Action
    ) =

    /// Of each group: the array that was looked up, and its parameters with their states.
    let known = List<struct (Parameter[] * struct (Parameter * 'State)[])>()

    /// Weights that the last run stepped.
    let taken = List<Parameter>()

    /// Their gradients, while TorchSharp steps the others.
    let hidden = List<struct (Parameter * torch.Tensor)>()

    let lookUp (parameters: Parameter seq) : struct (Parameter * 'State)[] =
        [| for p in parameters do
               if not (states.ContainsKey p.Handle) then
                   let message =
                       "the optimizer lists a parameter that it has no state of: the model was moved, converted or thawed after "
                       + "the optimizer was made; make the optimizer after it, or add a thawed weight with add_param_group"

                   raise (InvalidOperationException message)

               struct (p, states[p.Handle] :?> 'State) |]

    let entriesOf (index: int) : struct (Parameter * 'State)[] =
        match groups[index].Parameters with
        | :? (Parameter[]) as listed ->
            while known.Count <= index do
                known.Add(struct ([||], [||]))

            let struct (before, entries) = known[index]

            if obj.ReferenceEquals(before, listed) then
                entries
            else
                let entries = lookUp listed
                known[index] <- struct (listed, entries)
                entries
        | others -> lookUp others

    let isPlainWith (p: Parameter) (gradient: nativeint) (length: int64) =
        length > 0L
        && length <= int64 Int32.MaxValue - 65_536L // room for a block beyond the last
        && NativeGradient.hasDimensions p
        && NativeGradient.isPlain p.Handle length
        && NativeGradient.isPlain gradient length

    /// The group that is walked over.
    let mutable index = 0

    /// Calls body with each parameter, its state, its gradient's handle and its length. Closures of five arguments and more would leave
    /// garbage.
    let eachGradient (body: Parameter -> 'State -> nativeint -> int64 -> unit) =
        for i in 0 .. groups.Count - 1 do
            index <- i

            for struct (p, state) in entriesOf index do
                let gradient = NativeGradient.handleOf p

                if gradient <> 0n then
                    try
                        let length = NativeGradient.length p
                        body p state gradient length
                    finally
                        NativeGradient.release gradient

    let mutable isLeft = false

    // Made once, as all of a step is: it leaves no garbage.
    let stepOne =
        fun (p: Parameter) (state: 'State) (gradient: nativeint) (length: int64) ->
            let isTaken =
                isPlainWith p gradient length
                && step.Invoke(
                    groups[index].Options :?> 'Options,
                    state,
                    p,
                    NativePtr.ofNativeInt (NativeGradient.address gradient),
                    int length
                )

            if isTaken then
                NativeTensor.noteWrite p
                taken.Add p
            else
                isLeft <- true

    let mutable squares = 0.0
    let mutable threads = 1

    let addSquares =
        fun (p: Parameter) _ (gradient: nativeint) (length: int64) ->
            if isPlainWith p gradient length then
                squares <-
                    squares
                    + GradientNorm.squares
                        (OpenMpTeam.get ())
                        threads
                        (int length)
                        (NativePtr.ofNativeInt (NativeGradient.address gradient))
            else
                use _ = torch.NewDisposeScope()

                match TorchNulls.gradOf p with
                | null -> ()
                | grad -> squares <- squares + grad.norm().to_type(torch.ScalarType.Float64).square().item<float>()

    let mutable factor = 1.0

    let scaleOne =
        fun (p: Parameter) _ (gradient: nativeint) (length: int64) ->
            use _ = torch.NewDisposeScope()

            match TorchNulls.gradOf p with
            | null -> ()
            | grad when isPlainWith p gradient length ->
                GradientNorm.scale
                    (OpenMpTeam.get ())
                    threads
                    (int length)
                    (NativePtr.ofNativeInt (NativeGradient.address gradient))
                    (float32 factor)

                NativeTensor.noteWrite grad
            | grad -> grad.mul_ (factor.ToScalar()) |> ignore

    let mutable steps = 0L

    /// <exception cref="T:System.InvalidOperationException">The model has parameters that train and are no group's.</exception>
    let checkSource () =
        match source with
        | :? (Parameter[]) -> ()
        | source ->
            let held = HashSet<struct (nativeint * int64)>()

            for group in groups do
                for p in group.Parameters do
                    held.Add(NativeTensor.identity p) |> ignore

            for p in source do
                if p.requires_grad && not (held.Contains(NativeTensor.identity p)) then
                    let message =
                        "expected the parameters that the optimizer was made of, got another: the model was converted, moved or "
                        + "extended since, and its new weights would not be trained; make the optimizer after it, hand it to "
                        + "Sparsify.modelWith (C#: model.Sparsify(optimizer: optimizer)), or add a weight with add_param_group"

                    raise (InvalidOperationException message)

    let clip () =
        squares <- 0.0
        threads <- torch.get_num_threads ()
        eachGradient addSquares
        factor <- maxNorm / (sqrt squares + 1e-6)

        // A NaN is let through: gradients become NaN, as torch's do.
        if not (factor >= 1.0) then
            eachGradient scaleOne

    let clipByTorch () =
        torch.nn.utils.clip_grad_norm_ (groups |> Seq.collect _.Parameters, maxNorm)
        |> ignore

    let mutable isClipped = false

    /// Takes the gradients of the weights that were stepped away, so that TorchSharp passes them over.
    let stepOthers () =
        try
            for p in taken do
                match TorchNulls.gradOf p with
                | null -> ()
                | grad ->
                    hidden.Add(struct (p, grad))
                    TorchNulls.setGrad p null

            torchsStep.Invoke()
        finally
            for struct (p, grad) in hidden do
                TorchNulls.setGrad p grad
                grad.Dispose()

            hidden.Clear()

    /// <summary>Brings all gradients to the greatest norm, as torch's clip_grad_norm_ does; the next step does not do it again.</summary>
    /// <remarks>The norm is summed in float64, so that no square is lost.</remarks>
    member _.Clip() : unit =
        if Double.IsFinite maxNorm && not isClipped then
            use _ = torch.no_grad ()

            if NativeGradient.isThere then clip () else clipByTorch ()

            isClipped <- true

    /// The next step clips again: one that was prepared did not come.
    member _.ForgetClip() : unit = isClipped <- false

    /// <summary>A step.</summary>
    /// <param name="closure">Computes the loss, which is returned; null for none.</param>
    member this.Step(closure: Func<torch.Tensor> | null) : torch.Tensor | null =
        let loss: torch.Tensor | null =
            match closure with
            | null -> null
            | closure ->
                use _ = torch.enable_grad ()
                closure.Invoke()

        use _ = torch.no_grad ()

        // What is wrong is found before anything is written.
        if steps % 64L = 0L then
            checkSource ()

        steps <- steps + 1L

        for i in 0 .. groups.Count - 1 do
            entriesOf i |> ignore

        this.Clip()
        isClipped <- false

        if NativeGradient.isThere then
            taken.Clear()
            isLeft <- false
            eachGradient stepOne

            if isLeft then
                stepOthers ()
        else
            torchsStep.Invoke()

        loss

    /// What the optimizer is called by: its parameters, rates and norm.
    override _.ToString() =
        let parameters = groups |> Seq.sumBy (fun group -> Seq.length group.Parameters)

        let rates =
            groups
            |> Seq.map (fun group -> invariant $"{group.LearningRate}")
            |> Seq.distinct

        let joined = String.Join(", ", rates)

        let norm =
            if Double.IsFinite maxNorm then
                invariant $", norm of gradients at most {maxNorm}"
            else
                ""

        invariant $"{parameters} parameters, rate {joined}{norm}"
