namespace SparseFs

open System
open System.Collections.Generic
open System.IO
open System.Runtime.InteropServices
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules

/// <summary>A linear layer that stores, multiplies and trains only the weights that exist: y = x · Wᵀ + bias.</summary>
/// <remarks>
/// Input [*, in_features], output [*, out_features], as torch.nn.Linear. Parameters: <c>weight</c> [nnz] in slot order
/// and <c>bias</c> [out_features]. state_dict holds them and the pattern as <c>row_ptr</c> and <c>col_idx</c> (int32).
/// A pattern that is loaded is validated before it is used: at once by this layer's own load and load_state_dict, and at
/// the layer's next use when a parent module loads it. A wrong one raises ArgumentException with the key's name and
/// leaves pattern, weight and bias as they were when state_dict was read.
/// </remarks>
[<Sealed>]
type SparseLinear internal (start: LayerStart) =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("SparseLinear")

    let rows, cols = start.Connectivity.Rows, start.Connectivity.Cols

    let name = LayerName "SparseLinear"
    let versions = LayerVersions(name, start.Connectivity, start.Weight, start.Bias)

    let mutable arithmetic = Arithmetic.Sparse
    let mutable isTraining = true
    let mutable recorder: GradientRecorder | null = null
    let mutable policy = start.Policy
    let mutable seed = start.Seed

    do
        name.Describe <- fun () -> LayerText.ofLayer versions.Shown (not (isNull versions.Bias)) seed arithmetic
        base.register_parameter ("weight", versions.Weight)

        match versions.Bias with
        | null -> ()
        | bias -> base.register_parameter ("bias", bias)

    /// <summary>A layer over a pattern that is given.</summary>
    /// <param name="connectivity">Which weights exist; shape [out_features, in_features].</param>
    /// <param name="hasBias">Whether the layer learns an additive bias; true by default.</param>
    /// <param name="init">How the weights are drawn; Init.FanIn by default.</param>
    /// <param name="device">Where the parameters live; torch's default device if not given.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if not given.</param>
    /// <param name="policy">How a Rewirer that follows its layers rewires this one; not at all by default.</param>
    /// <exception cref="T:System.ArgumentException">connectivity is null, dtype is not a real floating one, or a part of the
    /// policy is outside its range.</exception>
    /// <example><code>new SparseLinear(Topology.constantFanIn 300 784 20 (Seed.ofInt 1))</code></example>
    new
        (
            connectivity: Connectivity,
            ?hasBias: bool,
            ?init: Init,
            ?device: torch.Device,
            ?dtype: torch.ScalarType,
            ?policy: Policy
        ) =
        new SparseLinear(LayerStart.ofPattern (LayerSettings.Of(hasBias, init, device, dtype, policy)) connectivity)

    /// <summary>A layer over a pattern that is drawn: uniformly random connections, or those of a topology.</summary>
    /// <param name="inFeatures">Size of each input sample, 0 or more.</param>
    /// <param name="outFeatures">Size of each output sample, 0 or more.</param>
    /// <param name="sparsity">The part of the weights that do not exist, in [0, 1); 0.9 by default.</param>
    /// <param name="seed">What the pattern is drawn from; one number of torch's generator if not given.</param>
    /// <param name="hasBias">Whether the layer learns an additive bias; true by default.</param>
    /// <param name="init">How the weights are drawn; Init.FanIn by default.</param>
    /// <param name="device">Where the parameters live; torch's default device if not given.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if not given.</param>
    /// <param name="topology">Draws the pattern from rows, columns, nnz and a seed, and gives back one of that shape and
    /// nnz; Topology.uniform by default.</param>
    /// <param name="policy">How a Rewirer that follows its layers rewires this one; not at all by default.</param>
    /// <exception cref="T:System.ArgumentException">A size is negative, the sparsity is outside [0, 1) or leaves no weight, nnz would exceed
    /// 2^31 − 1, the topology refuses them or gives another pattern, or dtype or policy are not as said above.</exception>
    /// <example><code>new SparseLinear(784, 300, sparsity = 0.95, topology = Topology.smallWorld)</code></example>
    new
        (
            inFeatures: int,
            outFeatures: int,
            ?sparsity: float,
            ?seed: Seed,
            ?hasBias: bool,
            ?init: Init,
            ?device: torch.Device,
            ?dtype: torch.ScalarType,
            ?topology: int -> int -> int -> Seed -> Connectivity,
            ?policy: Policy
        ) =
        new SparseLinear(
            LayerStart.ofTopology
                (LayerSettings.Of(hasBias, init, device, dtype, policy))
                inFeatures
                outFeatures
                (defaultArg sparsity 0.9)
                (defaultArg topology Topology.uniform)
                seed
        )

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

    /// <summary>The live bias, shape [out_features], or null.</summary>
    member _.bias: Parameter | null = versions.Bias

    /// <summary>Size of each input sample.</summary>
    member _.in_features: int64 = int64 cols

    /// <summary>Size of each output sample.</summary>
    member _.out_features: int64 = int64 rows

    /// Pattern and numbers that belong together, for as long as they are read.
    member internal _.Versions = versions

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

    /// <summary>What the layer will use for an input of so many samples: Sparse, Dense or SparseActivations.</summary>
    /// <param name="samples">N, the product of an input's leading dimensions; 0 or more.</param>
    /// <exception cref="T:System.ArgumentException">samples is negative, or a pattern was loaded that is not one.</exception>
    /// <example><code>
    /// let hardlySparse = new SparseLinear(784, 300, sparsity = 0.4)
    /// hardlySparse.Arithmetic &lt;- Arithmetic.Faster
    /// hardlySparse.ArithmeticFor 32 // = Dense
    /// </code></example>
    member _.ArithmeticFor(samples: int) : Arithmetic =
        if samples < 0 then
            raise (ArgumentException($"expected 0 or more, got {samples}", nameof samples))

        match arithmetic with
        | Arithmetic.Faster -> Arithmetic.faster versions.Connectivity.Sparsity samples
        | known -> known

    /// <summary>A dense copy of the weights for inspection: 0 where no weight exists.</summary>
    /// <returns>A new tensor [out_features, in_features] without a gradient.</returns>
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
    member _.reset_parameters() : unit = LayerStart.redraw start.Init versions

    /// <summary>x · Wᵀ + bias.</summary>
    /// <param name="x">Shape [*, in_features], of the dtype and on the device of the weight.</param>
    /// <returns>Shape [*, out_features].</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype or a device is not as said, or a pattern was loaded
    /// that is not one.</exception>
    /// <exception cref="T:System.ObjectDisposedException">The layer has been disposed of.</exception>
    override this.forward(x: torch.Tensor) : torch.Tensor =
        if not (isNull this.Rewiring && isNull policy) && this.training then
            this.Unattended.Add(this, this.Rewiring, not (isNull policy))

        let version = versions.Enter()

        try
            let numbers = version.Numbers

            SparseOps.ofLayer
                name
                (SparseOperator(version.Connectivity, numbers.Backends[int arithmetic], recorder, numbers))
                numbers
                x
        finally
            version.Numbers.Shared.Exit()

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
