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
type SparseLinear
    /// <summary>A layer over a pattern that is given.</summary>
    /// <param name="connectivity">Which weights exist; shape [out_features, in_features].</param>
    /// <param name="hasBias">Whether the layer learns an additive bias; true by default.</param>
    /// <param name="init">How the weights are drawn; Init.FanIn by default.</param>
    /// <param name="device">Where the parameters live; torch's default device if not given.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if not given.</param>
    /// <param name="policy">How a Rewirer that follows its layers rewires this one; not at all by default.</param>
    /// <exception cref="T:System.ArgumentException">connectivity is null, dtype is not a real floating one, or a part of the
    /// policy is outside its range.</exception>
    (
        connectivity: Connectivity,
        ?hasBias: bool,
        ?init: Init,
        ?device: torch.Device,
        ?dtype: torch.ScalarType,
        ?policy: Policy
    ) =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("SparseLinear")

    do
        if isNull (box connectivity) then
            nullArg (nameof connectivity)

        Option.iter (TensorView.checkDtype (nameof dtype)) dtype
        Option.iter (SparseFs.Policy.check >> ignore) policy

    let parameter (values: torch.Tensor) =
        let dtype = defaultArg dtype (torch.get_default_dtype ())
        let device = defaultArg device (torch.get_default_device ())
        use values = values
        let p = new Parameter(values.``to`` (dtype, device, copy = true))
        p.DetachFromDisposeScope() :?> Parameter

    let rows, cols = connectivity.Rows, connectivity.Cols
    let init = defaultArg init Init.FanIn

    let versions =
        let weight = parameter (InitialWeights.weight init connectivity)

        let bias =
            if defaultArg hasBias true then
                parameter (InitialWeights.bias init connectivity)
            else
                null

        LayerVersions("SparseLinear", connectivity, weight, bias)

    let mutable arithmetic = Arithmetic.Sparse
    let mutable isTraining = true
    let mutable recorder: GradientRecorder = null
    let mutable policy = defaultArg policy Unchecked.defaultof<Policy>

    let backendFor (c: Connectivity) (samples: int) =
        match arithmetic with
        | Arithmetic.Dense -> Backend.Dense
        | Arithmetic.SparseActivations -> Backend.SparseActivations
        | Arithmetic.Faster when c.Sparsity < Arithmetic.breakEven samples -> Backend.Dense
        | _ -> Backend.Auto

    do
        base.register_parameter ("weight", versions.Weight)

        if not (isNull versions.Bias) then
            base.register_parameter ("bias", versions.Bias)

    /// <summary>A layer with uniformly random connections, or with those of a small world.</summary>
    /// <param name="inFeatures">Size of each input sample, 0 or more.</param>
    /// <param name="outFeatures">Size of each output sample, 0 or more.</param>
    /// <param name="sparsity">The part of the weights that do not exist, in [0, 1); 0.9 by default.</param>
    /// <param name="seed">Draws the pattern; Seed.ofInt 0 by default.</param>
    /// <param name="hasBias">Whether the layer learns an additive bias; true by default.</param>
    /// <param name="init">How the weights are drawn; Init.FanIn by default.</param>
    /// <param name="device">Where the parameters live; torch's default device if not given.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if not given.</param>
    /// <param name="smallWorld">Connections get rarer with distance: Topology.smallWorld; false by default.</param>
    /// <param name="dynamic">Whether the layer carries a policy, RigL's, for a Rewirer to follow; false by default.</param>
    /// <param name="deltaT">Optimizer steps from one update to the next, 1 or more; 6000 by default.</param>
    /// <param name="tEnd">The last optimizer step that may be an update; 150000 by default.</param>
    /// <param name="alpha">The part of the slots that the first update rewires, in [0, 1], falling by a cosine; 0.1 by
    /// default.</param>
    /// <exception cref="T:System.ArgumentException">A size is negative, the sparsity is outside [0, 1), nnz would exceed
    /// 2^31 − 1, a small world cannot be that sparse, dtype is not a real floating one, or a number of the schedule is
    /// outside its range, dynamic or not.</exception>
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
            ?smallWorld: bool,
            ?dynamic: bool,
            ?deltaT: int64,
            ?tEnd: int64,
            ?alpha: float
        ) =
        Sparsity.checkSize (nameof inFeatures) inFeatures
        Sparsity.checkSize (nameof outFeatures) outFeatures
        let nnz = Sparsity.nnz outFeatures inFeatures (defaultArg sparsity 0.9)
        let seed = defaultArg seed (Seed.ofInt 0)

        // Checked before the layer is drawn.
        let policy =
            Schedule.cosine (defaultArg alpha 0.1) (defaultArg deltaT 6000L) (defaultArg tEnd 150_000L)
            |> Policy.rigL
            |> Policy.check

        let topology =
            if defaultArg smallWorld false then
                Topology.smallWorld
            else
                Topology.uniform

        new SparseLinear(
            topology outFeatures inFeatures nnz seed,
            ?hasBias = hasBias,
            ?init = init,
            ?device = device,
            ?dtype = dtype,
            ?policy = (if defaultArg dynamic false then Some policy else None)
        )

    /// <summary>Which weights exist.</summary>
    /// <exception cref="T:System.ArgumentException">A pattern was loaded that is not one.</exception>
    member _.Connectivity: Connectivity = versions.Connectivity

    /// <summary>The live weights, shape [nnz], in slot order.</summary>
    /// <exception cref="T:System.ArgumentException">A pattern was loaded that is not one.</exception>
    member _.weight: Parameter =
        versions.Connectivity |> ignore // what was loaded is refused here, not at the next product
        versions.Weight

    /// <summary>The live bias, shape [out_features], or null.</summary>
    member _.bias: Parameter = versions.Bias

    /// <summary>Size of each input sample.</summary>
    member _.in_features: int64 = int64 cols

    /// <summary>Size of each output sample.</summary>
    member _.out_features: int64 = int64 rows

    /// Pattern and numbers that belong together, for as long as they are read.
    member internal _.Versions = versions

    /// Where backward passes are noted, or null.
    member internal _.Recorder
        with get (): GradientRecorder = recorder
        and set (value: GradientRecorder) = recorder <- value

    /// What stands for the rewirer that has the layer, or null.
    member val internal Rewiring: WeakReference = null with get, set

    /// <summary>How the layer is rewired by a Rewirer that follows its layers; null for not at all.</summary>
    /// <remarks>Nothing happens without a Rewirer. It is not part of state_dict, and a Rewirer reads it once, when it is
    /// made.</remarks>
    /// <exception cref="T:System.ArgumentException">A part of the policy is outside its range.</exception>
    member _.Policy
        with get (): Policy = policy
        and set (value: Policy) =
            if not (isNull (box value)) then
                SparseFs.Policy.check value |> ignore

            policy <- value

    /// <summary>How the layer multiplies: Sparse unless it is set.</summary>
    /// <remarks>It changes speed and memory, not results beyond rounding; it is not part of state_dict.</remarks>
    /// <exception cref="T:System.ArgumentException">The value is none of Arithmetic's.</exception>
    member _.Arithmetic
        with get (): Arithmetic = arithmetic
        and set (value: Arithmetic) =
            if not (Enum.IsDefined value) then
                raise (
                    ArgumentException(
                        $"expected one of Sparse, Dense, Faster and SparseActivations, got {value}",
                        nameof value
                    )
                )

            arithmetic <- value

    /// <summary>What the layer will use for an input of so many samples: Sparse, Dense or SparseActivations.</summary>
    /// <param name="samples">N, the product of an input's leading dimensions; 0 or more.</param>
    /// <exception cref="T:System.ArgumentException">samples is negative, or a pattern was loaded that is not one.</exception>
    member _.ArithmeticFor(samples: int) : Arithmetic =
        if samples < 0 then
            raise (ArgumentException($"expected 0 or more, got {samples}", nameof samples))

        match backendFor versions.Connectivity samples with
        | Backend.Dense -> Arithmetic.Dense
        | Backend.SparseActivations -> Arithmetic.SparseActivations
        | _ -> Arithmetic.Sparse

    /// <summary>A dense copy of the weights for inspection: 0 where no weight exists.</summary>
    /// <returns>A new tensor [out_features, in_features] without a gradient.</returns>
    member _.weightMatrix() : torch.Tensor =
        versions.Read(fun version -> SparseOps.toDense version.Connectivity version.Numbers.Values)

    /// <summary>x · Wᵀ + bias.</summary>
    /// <param name="x">Shape [*, in_features], of the dtype and on the device of the weight.</param>
    /// <returns>Shape [*, out_features].</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype or a device is not as said, or a pattern was loaded
    /// that is not one.</exception>
    /// <exception cref="T:System.ObjectDisposedException">The layer has been disposed of.</exception>
    override this.forward(x: torch.Tensor) : torch.Tensor =
        if not (isNull this.Rewiring && isNull (box policy)) && this.training then
            this.Attend()

        let version = versions.Enter()
        let c = version.Connectivity

        try
            let backend =
                match arithmetic with
                | Arithmetic.Sparse -> Backend.Auto
                | Arithmetic.Faster when not (isNull x) -> backendFor c (TensorView.checkSamples "x" x c.Cols)
                | _ -> backendFor c 0

            SparseOps.ofLayer (SparseOperator(c, backend, recorder, version.Numbers)) x
        finally
            version.Numbers.Shared.Exit()

    /// Says once that nobody rewires the layer, as if it were to be: a layer does nothing by itself.
    member private this.Attend() =
        if this.Unattended < SparseLinear.Patience && torch.is_grad_enabled () then
            this.Unattended <- this.Unattended + 1

            if this.Unattended = SparseLinear.Patience then
                let isFollowed = not (isNull this.Rewiring) && this.Rewiring.IsAlive

                if isFollowed then
                    NoticeSource.Log.Noticed(
                        string NoticeKind.NotStepped,
                        this.ToString(),
                        $"{SparseLinear.Patience} passes in training since the layer's rewirer took its last step: call its "
                        + "Step in place of optimizer.step(), or Follow after it; or dispose of it"
                    )
                elif not (isNull (box policy)) then
                    NoticeSource.Log.Noticed(
                        string NoticeKind.NotFollowed,
                        this.ToString(),
                        "the layer carries a policy (dynamic = true), but no Rewirer follows it, so that nothing is rewired: "
                        + "make a Rewirer over the model and its optimizer, and call its Step"
                    )

    /// Forward passes in training since its rewirer's last step, as far as they are counted.
    member val internal Unattended = 0 with get, set

    /// So many are noticed.
    static member private Patience = 1000

    override _.ToString() =
        let c = versions.Connectivity

        let sparsity =
            c.Sparsity.ToString("0.######", Globalization.CultureInfo.InvariantCulture)

        let hasBias = if isNull versions.Bias then "False" else "True"

        $"SparseLinear(in_features={c.Cols}, out_features={c.Rows}, nnz={c.Nnz}, "
        + $"sparsity={sparsity}, bias={hasBias}"
        + (if arithmetic = Arithmetic.Sparse then
               ")"
           else
               $", arithmetic={arithmetic})")

    /// <summary>Whether the layer is in training mode, as <c>train</c> and <c>eval</c> have set it.</summary>
    // torch's own asks the native module, which Dispose frees at once, also while a call on another thread reads it.
    override _.training = isTraining

    override _.train(train: bool) = isTraining <- train

    // Parameters are registered by name above; the default would reflect over fields.
    override _.RegisterComponents() = ()

    member private this.Move(dtype: Nullable<torch.ScalarType>, device: torch.Device) =
        if dtype.HasValue then
            TensorView.checkDtype (nameof dtype) dtype.Value

        versions.Move(fun weight bias ->
            struct (this.Replaced("weight", weight, dtype, device),
                    (if isNull bias then
                         null
                     else
                         this.Replaced("bias", bias, dtype, device))))

        if not (isNull device) then
            this._deviceType <- device.``type``
            this._deviceIndex <- device.index

        this :> torch.nn.Module

    /// The parameter itself, or its registered successor where dtype or device change.
    member private this.Replaced(name: string, p: Parameter, dtype: Nullable<torch.ScalarType>, device: torch.Device) =
        let mutable moved: Parameter = null

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

    // Every module asks its children for their buffers, but not every one for their state_dict: so this is where the
    // pattern enters it.
    override _.named_buffers(_: bool, _: bool) =
        Seq.delay (fun () -> Seq.ofList (versions.HandOut()))

    // The base's own is not for two threads at once.
    override this.Dispose(disposing: bool) =
        if not disposing then
            base.Dispose disposing
        elif versions.Dispose() then
            // Freed a little later than torch's own would be: see Replaced.
            this.ConditionallyRegisterParameter("weight", (null: Parameter))
            this.ConditionallyRegisterParameter("bias", (null: Parameter))
            Replaced.later (SharedTensors [| versions.Weight; versions.Bias |])
            base.Dispose disposing

    // A closure cannot call a base member; these can.
    member private _.LoadStateDict(source, strict, skip) =
        base.load_state_dict (source, strict, skip)

    member private _.Load(reader: BinaryReader, strict, skip, loadedParameters) =
        base.load (reader, strict, skip, loadedParameters)

    // C# takes the defaults of an override, not those of what it overrides.
    override this.load_state_dict
        (
            source: Dictionary<string, torch.Tensor>,
            [<Optional; DefaultParameterValue(true)>] strict: bool,
            [<Optional; DefaultParameterValue(null: IList<string>)>] skip: IList<string>
        ) =
        if isNull source then
            nullArg (nameof source)

        this.CheckSource(source, skip)
        versions.Load(fun () -> this.LoadStateDict(source, strict, skip))

    /// Refuses what copy_ would broadcast, cast or take unseen, before anything is copied.
    member private _.CheckSource(source: Dictionary<string, torch.Tensor>, skip: IList<string>) =
        let find (key: string) =
            match source.TryGetValue key with
            | true, tensor when isNull skip || not (skip.Contains key) -> ValueSome tensor
            | _ -> ValueNone

        let checkLength (key: string) (length: int) =
            find key |> ValueOption.iter (fun t -> TensorView.checkVector key t length)

        let ints (key: string) (length: int) (current: int[]) =
            checkLength key length

            match find key with
            | ValueSome t -> TensorView.toInts key t
            | ValueNone -> current

        let c = versions.Connectivity
        checkLength "weight" c.Nnz

        if not (isNull versions.Bias) then
            checkLength "bias" c.Rows

        let rowPtr = ints "row_ptr" (c.Rows + 1) c.RowPtrArray
        let colIdx = ints "col_idx" c.Nnz c.ColIdxArray

        match SparseFs.Connectivity.tryCreate c.Rows c.Cols rowPtr colIdx with
        | Ok _ -> ()
        | Error refusal -> raise (PatternTensors.Refused refusal)

    override this.load
        (reader: BinaryReader, strict: bool, skip: IList<string>, loadedParameters: Dictionary<string, bool>)
        : torch.nn.Module =
        versions.Load(fun () -> this.Load(reader, strict, skip, loadedParameters))
