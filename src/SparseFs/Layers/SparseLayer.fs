namespace SparseFs

open System
open System.Collections.Generic
open System.IO
open System.Runtime.InteropServices
open SparseFs.Kernels
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules

/// <summary>A layer whose weights have a pattern: only those that exist are stored, multiplied and trained.</summary>
/// <remarks>
/// Parameters: <c>weight</c> [nnz] in slot order and <c>bias</c>, one number for each output feature or channel. state_dict holds them and the
/// pattern as <c>row_ptr</c> and <c>col_idx</c> (int32). A pattern that is loaded is validated before it is used: at once by this
/// layer's own load and load_state_dict, and at the layer's next use when a parent module loads it. A wrong one raises
/// ArgumentException with the key's name and leaves pattern, weight and bias as they were when state_dict was read.
/// </remarks>
[<AbstractClass>]
type SparseLayer internal (description: LayerDescription, start: LayerStart) =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>(description.Kind)

    let name = LayerName description.Kind
    let versions = LayerVersions(name, start.Connectivity, start.Weight, start.Bias)

    let mutable arithmetic = Arithmetic.Sparse
    let mutable isTraining = true
    let mutable recorder: GradientRecorder | null = null
    let mutable policy = start.Policy
    let mutable seed = start.Seed

    do
        name.Describe <- fun () -> description.Text versions.Shown (not (isNull versions.Bias)) seed arithmetic
        base.register_parameter ("weight", versions.Weight)

        match versions.Bias with
        | null -> ()
        | bias -> base.register_parameter ("bias", bias)

    /// <summary>Which weights exist.</summary>
    /// <exception cref="T:System.ArgumentException">A pattern was loaded that is not one.</exception>
    /// <example><code>
    /// let counts = GraphMetrics.fanInDistribution layer.Connectivity
    /// printfn $"{layer.Connectivity}: rows of {counts}"
    /// </code></example>
    member _.Connectivity: Connectivity = versions.Connectivity

    /// <summary>What the layer's first pattern was drawn from; null where the pattern was given.</summary>
    /// <remarks>Rewiring and load_state_dict change the pattern and not this. Checkpoints hold it: a layer that is loaded has
    /// that of the one that was saved.</remarks>
    member _.Seed: Nullable<Seed> = Option.toNullable seed

    /// A load takes over what the file says.
    member internal _.TakeSeed(loaded: Seed option) : unit = seed <- loaded

    /// <summary>The live weights, shape [nnz], in slot order.</summary>
    /// <exception cref="T:System.ArgumentException">A pattern was loaded that is not one.</exception>
    /// <example><code>
    /// let largest = layer.weight.abs().argmax().item&lt;int64>()
    /// printfn $"input {layer.Connectivity.ColIdx[int largest]} has the largest weight"
    /// </code></example>
    member _.weight: Parameter =
        versions.Connectivity |> ignore // a pattern that is none is refused here too, not only at the next product
        versions.Weight

    /// <summary>The live bias, a number for each output feature or channel, or null.</summary>
    member _.bias: Parameter | null = versions.Bias

    /// Pattern and numbers that belong together, for as long as they are read.
    member internal _.Versions = versions

    /// What it is, for those that treat all kinds alike.
    member internal _.Description = description

    /// What errors call the layer.
    member internal _.Name = name

    /// How its tensors are called in the state of the module that holds it.
    member val internal StateName: StateName = StateName.Nested with get, set

    /// The layer's path in a model, for errors: told by who lists the model.
    member internal _.KnownAs
        with set (path: string) = name.KnownAs <- path

    /// Where backward passes are noted, or null.
    member internal _.Recorder
        with get (): GradientRecorder | null = recorder
        and set (value: GradientRecorder | null) = recorder <- value

    /// What stands for the rewirer that has the layer, or null.
    member val internal Rewiring: WeakReference | null = null with get, set

    /// <summary>How the layer is rewired by a Rewirer that follows its layers; null for not at all.</summary>
    /// <remarks>Nothing happens without a Rewirer. It is not part of state_dict, and a Rewirer reads it once, when it is
    /// made.</remarks>
    /// <exception cref="T:System.ArgumentException">A part of the policy is outside its range.</exception>
    /// <example><code>
    /// let optimizer = torch.optim.SGD(layer.parameters (), 0.1)
    /// layer.Policy &lt;- Policy.rigL (Schedule.cosine 0.3 100L 75_000L)
    /// use rewirer = new Rewirer(layer, optimizer) // follows the layers' own policies
    /// </code></example>
    member _.Policy
        with get (): Policy | null = policy
        and set (value: Policy | null) = policy <- LayerStart.checkPolicy value

    /// <summary>How the layer multiplies: Sparse unless it is set.</summary>
    /// <remarks>It changes speed and memory, not results beyond rounding; it is not part of state_dict.</remarks>
    /// <exception cref="T:System.ArgumentException">The value is none of Arithmetic's.</exception>
    /// <example><code>
    /// layer.Arithmetic &lt;- Arithmetic.SparseActivations // its inputs come from K-winners and are mostly 0
    /// </code></example>
    member _.Arithmetic
        with get (): Arithmetic = arithmetic
        and set (value: Arithmetic) = arithmetic <- Arithmetic.check (nameof value) value

    /// <summary>A dense copy of the weights for inspection: 0 where no weight exists.</summary>
    /// <returns>A new tensor of the shape of the pattern, without a gradient.</returns>
    /// <example><code>(layer.weightMatrix ()).shape // = [|300L; 784L|]</code></example>
    member _.weightMatrix() : torch.Tensor =
        versions.Read(fun version -> SparseOps.toDense version.Connectivity version.Numbers.Values)

    /// <summary>Draws weight and bias anew, in place, by the Init that the layer was made with; the Parameters stay.</summary>
    /// <remarks>torch.manual_seed governs the draws; <c>Init.reset</c> draws by another rule.</remarks>
    /// <exception cref="T:System.ObjectDisposedException">The layer has been disposed of.</exception>
    /// <example><code>
    /// torch.manual_seed 1L |> ignore
    /// layer.reset_parameters ()
    /// </code></example>
    member _.reset_parameters() : unit =
        LayerStart.redraw start.Init description.Channels versions

    /// A call: its one version, who computes, and what the layer is called.
    member private this.CallOf
        (convolutionOf: Connectivity -> ConvCall voption, product: LayerName -> SparseOperator -> LayerNumbers -> 'a)
        : 'a =
        if not (isNull this.Rewiring && isNull policy) && this.training then
            this.Unattended.Add(this, this.Rewiring, not (isNull policy))

        let version = versions.Enter()

        try
            let numbers = version.Numbers
            let backend = numbers.Backends[int arithmetic]
            let convolution = convolutionOf version.Connectivity
            product name (SparseOperator(version.Connectivity, backend, recorder, numbers, convolution)) numbers
        finally
            version.Numbers.Shared.Exit()

    /// A linear layer's.
    member internal this.Call(product: LayerName -> SparseOperator -> LayerNumbers -> 'a) : 'a =
        this.CallOf((fun _ -> ValueNone), product)

    /// A convolution's, of inputs of a size.
    member internal this.Call
        (geometry: ConvGeometry, input: Extent, product: LayerName -> SparseOperator -> LayerNumbers -> torch.Tensor)
        : torch.Tensor =
        this.CallOf(
            (fun pattern ->
                ValueSome
                    { Plan = ConvPlans.planOf pattern geometry
                      Input = input }),
            product
        )

    /// Is told the shapes of inputs and outputs by modules that compute the layer as a part of more, without its call; or null.
    member val internal ShapesSeen: Action<int64[], int64[]> | null = null with get, set

    /// Tells of a call as a part of more, on samples of so many leading sizes.
    member internal this.TellShapes(leading: int64[]) : unit =
        match this.ShapesSeen with
        | null -> ()
        | seen ->
            let dense = description.DenseShape
            seen.Invoke(Array.append leading [| dense[1] |], Array.append leading [| dense[0] |])

    /// Forward passes in training since its rewirer's last step.
    member val internal Unattended: UnattendedPasses = UnattendedPasses()

    override _.ToString() = name.Describe()

    /// <summary>Whether the layer is in training mode, as <c>train</c> and <c>eval</c> have set it.</summary>
    // torch's own asks the native module, which Dispose frees at once, also while a call on another thread reads it.
    override _.training = isTraining

    // C# and F# take the defaults of an override, not those of what it overrides.
    override _.train([<Optional; DefaultParameterValue(true)>] train: bool) = isTraining <- train

    override _.RegisterComponents() = () // parameters are registered by name; the default would reflect over fields

    member private this.Move(dtype: Nullable<torch.ScalarType>, device: torch.Device | null) =
        if dtype.HasValue then
            TensorView.checkDtype (nameof dtype) dtype.Value

        versions.Move(fun weight bias ->
            let movedBias: Parameter | null =
                match bias with
                | null -> null
                | bias -> this.Replaced("bias", bias, dtype, device)

            struct (this.Replaced("weight", weight, dtype, device), movedBias))

        match device with
        | null -> ()
        | device ->
            this._deviceType <- device.``type``
            this._deviceIndex <- device.index

        this :> torch.nn.Module

    /// The parameter itself, or its registered successor where dtype or device change.
    member private this.Replaced
        (name: string, p: Parameter, dtype: Nullable<torch.ScalarType>, device: torch.Device | null)
        : Parameter =
        let mutable moved = p

        if torch.nn.Module.ReplaceParameter(dtype, device, p, &moved) then
            this.ConditionallyRegisterParameter(name, moved)
            Replaced.later (SharedTensors [| p |])
            moved
        else
            p

    override this._to(device: torch.Device, dtype: torch.ScalarType, _: bool) = this.Move(Nullable dtype, device)

    override this._to(deviceType: DeviceType, deviceIndex: int, _: bool) =
        this.Move(Nullable(), new torch.Device(deviceType, deviceIndex))

    override this._to(dtype: torch.ScalarType, _: bool) = this.Move(Nullable dtype, null)

    // Every module asks its children for their buffers, not every one for their state_dict: here the pattern enters it.
    override _.named_buffers
        (
            [<Optional; DefaultParameterValue(true)>] recurse: bool,
            [<Optional; DefaultParameterValue(true)>] include_nonpersistent: bool
        ) =
        Seq.delay (fun () -> Seq.ofList (versions.HandOut()))

    override this.Dispose(disposing: bool) = // the base's own is not for two threads at once
        if not disposing then
            base.Dispose disposing
        elif versions.Dispose() then
            // Freed a little later than torch's own would be: see Replaced.
            this.ConditionallyRegisterParameter("weight", (null: Parameter | null))
            this.ConditionallyRegisterParameter("bias", (null: Parameter | null))
            Replaced.later (SharedTensors [| versions.Weight; versions.Bias |])
            base.Dispose disposing

    member private _.LoadStateDict(source, strict, skip) = // a closure cannot call a base member; this can
        base.load_state_dict (source, strict, skip)

    member private _.Load(reader: BinaryReader, strict, skip, loadedParameters) =
        base.load (reader, strict, skip, loadedParameters)

    override this.load_state_dict
        (
            source: Dictionary<string, torch.Tensor>,
            [<Optional; DefaultParameterValue(true)>] strict: bool,
            [<Optional; DefaultParameterValue(null: IList<string> | null)>] skip: IList<string> | null
        ) =
        if isNull (box source) then
            nullArg (nameof source)

        StateCheck.ofLayer versions source strict skip
        versions.Load(fun () -> this.LoadStateDict(source, strict, skip))

    override this.load
        (
            reader: BinaryReader,
            [<Optional; DefaultParameterValue(true)>] strict: bool,
            [<Optional; DefaultParameterValue(null: IList<string> | null)>] skip: IList<string> | null,
            [<Optional; DefaultParameterValue(null: Dictionary<string, bool> | null)>] loadedParameters:
                Dictionary<string, bool> | null
        ) : torch.nn.Module =
        versions.Load(fun () -> this.Load(reader, strict, skip, loadedParameters))
