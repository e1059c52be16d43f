namespace SparseFs.Torch

open System
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>What is said of a sparse layer beside its pattern, checked.</summary>
[<NoComparison; NoEquality>]
type internal LayerSettings =
    {
        HasBias: bool
        Init: Init
        Device: torch.Device
        Dtype: torch.ScalarType
        /// How a Rewirer rewires the layer, or null.
        Policy: Policy | null
    }

    /// <exception cref="T:System.ArgumentException">dtype is not a real floating one, torch does not have the device, or a part
    /// of the policy is outside its range.</exception>
    static member Of
        (hasBias: bool option, init: Init option, device: torch.Device option, dtype, policy: Policy option)
        : LayerSettings =
        Option.iter (TensorView.checkDtype (nameof dtype)) dtype
        TorchStart.ensure ()
        Option.iter (TensorView.checkDevice (nameof device)) device

        { HasBias = defaultArg hasBias true
          Init = defaultArg init Init.FanIn
          Device = Option.defaultWith torch.get_default_device device
          Dtype = Option.defaultWith torch.get_default_dtype dtype
          Policy =
            match policy with
            | None -> null
            | Some policy -> Policy.check policy }

/// <summary>What a sparse layer begins with.</summary>
[<NoComparison; NoEquality>]
type internal LayerStart =
    {
        Connectivity: Connectivity
        Weight: Parameter
        Bias: Parameter | null
        Policy: Policy | null
        /// By what rule reset_parameters draws anew.
        Init: Init
        /// What drew the pattern, if the layer did.
        Seed: Seed option
    }

module internal LayerStart =

    /// <exception cref="T:System.ArgumentException">A part of the policy is outside its range.</exception>
    let checkPolicy (policy: Policy | null) : Policy | null =
        match policy with
        | null -> null
        | policy -> Policy.check policy

    let private parameter (settings: LayerSettings) (values: torch.Tensor) : Parameter =
        let p = new Parameter(values.``to`` (settings.Dtype, settings.Device, copy = true))

        p.DetachFromDisposeScope() :?> Parameter

    let private ofNumbers
        (settings: LayerSettings)
        (channels: LayerChannels)
        (c: Connectivity)
        (seed: Seed option)
        (numbers: InitialNumbers)
        =
        { Connectivity = c
          Weight = parameter settings (InitialNumbers.weight channels c numbers)
          Bias =
            match InitialNumbers.bias channels c numbers with
            | null -> null
            | bias -> parameter settings bias
          Policy = settings.Policy
          Init = settings.Init
          Seed = seed }

    /// <summary>Over a pattern that is given.</summary>
    let ofPattern (settings: LayerSettings) (channels: LayerChannels) (connectivity: Connectivity) : LayerStart =
        if isNull (box connectivity) then
            nullArg (nameof connectivity)

        use _ = torch.NewDisposeScope()

        let outputs = LayerChannels.outputCount channels connectivity.Rows connectivity.Cols

        InitialNumbers.draw null settings.Init connectivity.Nnz outputs settings.HasBias
        |> ofNumbers settings channels connectivity None

    /// <summary>Over a pattern that is given, with all weights 0: those of a file or of another layer come into it.</summary>
    /// <remarks>Nothing is drawn; the settings' rule is the one by which reset_parameters will.</remarks>
    let blank (settings: LayerSettings) (channels: LayerChannels) (connectivity: Connectivity) : LayerStart =
        { ofPattern { settings with Init = Init.Zeros } channels connectivity with
            Init = settings.Init }

    /// <summary>Draws weight and bias anew, into storage that no running call reads: the Parameters stay.</summary>
    let redraw (init: Init) (channels: LayerChannels) (versions: LayerVersions) : unit =
        versions.Exclusively(fun () ->
            use _ = torch.NewDisposeScope()
            use _ = torch.no_grad ()
            let c, like = versions.Settle(), versions.Weight

            let own (t: torch.Tensor) =
                t.``to`` (like.dtype, like.device, copy = true)

            let numbers =
                InitialNumbers.draw
                    null
                    init
                    c.Nnz
                    (LayerChannels.outputCount channels c.Rows c.Cols)
                    (not (isNull versions.Bias))

            let bias: torch.Tensor | null =
                match InitialNumbers.bias channels c numbers with
                | null -> null
                | bias -> own bias

            versions.Replace(c, own (InitialNumbers.weight channels c numbers), bias))

    /// Whether row groups, or whole kernels, round the number of slots that was asked for to that of the pattern.
    let private isRounded (cells: int) (nnz: int) (c: Connectivity) =
        let size = Connectivity.rowGroupSize c

        /// Kernels count as slots of a pattern of pairs of channels.
        let isRoundedTo (cells: int) (least: int) =
            let wanted = WholeKernels.ofSlots cells nnz

            c.Nnz % cells = 0
            && seq { least..size }
               |> Seq.exists (fun part ->
                   size % part = 0 && RowGroupCounts.nnz part c.Rows wanted = int64 (c.Nnz / cells))

        isRoundedTo 1 2
        || cells > 1
           && WholeKernels.has cells c.RowPtrArray c.ColIdxArray
           && isRoundedTo cells 1

    let private checkPattern (cells: int) (rows: int) (cols: int) (nnz: int) (c: Connectivity) =
        let refuse (got: string) =
            raise (ArgumentException($"expected a pattern [{rows}, {cols}] with {nnz} slots, got {got}", "topology"))

        if isNull (box c) then
            refuse "null"
        elif c.Rows <> rows || c.Cols <> cols then
            refuse $"[{c.Rows}, {c.Cols}] with {c.Nnz}"
        elif c.Nnz <> nnz then
            match isRounded cells nnz c, c.Nnz with
            | true, 0 -> // a layer without weights cannot learn
                refuse
                    $"[{c.Rows}, {c.Cols}] with 0: row groups and whole kernels round so few to none, so take smaller groups or a lower sparsity"
            | true, _ -> ()
            | false, _ -> refuse $"[{c.Rows}, {c.Cols}] with {c.Nnz}"

    /// <summary>Over a pattern that is drawn by a topology, from rows (outFeatures), columns (inFeatures), nnz and a seed.</summary>
    /// <remarks>Where no seed is given, one is drawn after the initial numbers: these are the ones that a layer with a seed
    /// would have at the same state of torch's generator.</remarks>
    let ofTopology
        (settings: LayerSettings)
        (channels: LayerChannels)
        (inFeatures: int)
        (outFeatures: int)
        (sparsity: float)
        (topology: int -> int -> int -> Seed -> Connectivity)
        (seed: Seed option)
        : LayerStart =
        Sparsity.checkSize (nameof inFeatures) inFeatures
        Sparsity.checkSize (nameof outFeatures) outFeatures
        let nnz = Sparsity.nnzOfLayer outFeatures inFeatures sparsity
        let outputs = LayerChannels.outputCount channels outFeatures inFeatures

        let drawn (seed: Seed) =
            let c = topology outFeatures inFeatures nnz seed
            checkPattern channels.Cells outFeatures inFeatures nnz c
            c

        match seed with
        | Some seed ->
            { ofPattern settings channels (drawn seed) with
                Seed = Some seed }
        | None ->
            use _ = torch.NewDisposeScope()
            use before = torch.random.get_rng_state ()

            let numbers = InitialNumbers.draw null settings.Init nnz outputs settings.HasBias

            let seed = DrawnSeed.draw null
            let c = drawn seed

            if c.Nnz = nnz then
                ofNumbers settings channels c (Some seed) numbers
            else
                // Row groups have another number of slots, as many from any seed: the numbers are drawn again, by a generator
                // of their own, since other threads may have drawn from torch's meanwhile.
                use again = new torch.Generator()
                again.set_state before

                let numbers = InitialNumbers.draw again settings.Init c.Nnz outputs settings.HasBias

                let seed = DrawnSeed.draw again
                ofNumbers settings channels (drawn seed) (Some seed) numbers
