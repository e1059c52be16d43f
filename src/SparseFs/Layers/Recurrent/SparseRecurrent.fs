namespace SparseFs

open System
open System.Collections.Generic
open System.Globalization
open System.Runtime.InteropServices
open SparseFs.Kernels
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules

/// <summary>A recurrent module whose matrices store, multiply and train only the weights that exist.</summary>
/// <remarks>
/// <para>Its matrices are SparseLinear layers: ih [gates · hidden_size, inputs] takes the inputs, and hh [gates · hidden_size, outputs] the hidden
/// state. Rewirers, reports and checkpoints see them as they see any sparse layer. A module of layers has them for each layer and
/// direction: ih_l0, hh_l0, ih_l1, and ih_l0_reverse of the backward direction.</para>
/// <para>state_dict has PyTorch's names: <c>weight_ih_l0</c> [nnz] in slot order, <c>bias_ih_l0</c>, and the pattern as <c>row_ptr_ih_l0</c>
/// and <c>col_idx_ih_l0</c>; without the layer's number of a cell.</para>
/// <para>Float32 on the CPU runs on kernels that take all steps in one node of the graph; other dtypes and devices, and second
/// derivatives, go step by step.</para>
/// </remarks>
/// <typeparam name="'State">What a call may begin with.</typeparam>
/// <typeparam name="'Result">What a call gives.</typeparam>
[<AbstractClass>]
type SparseRecurrent<'State, 'Result> internal (settings: RecurrentSettings, matrices: RecurrentMatrices list) =
    inherit torch.nn.Module<torch.Tensor, 'State, 'Result>(settings.Kind)

    let parts: struct (string * torch.nn.Module) list =
        [ for m in matrices do
              for struct (name, layer) in m.Named do
                  struct (name, layer :> torch.nn.Module) ]

    let tensors = Parts parts

    do
        for struct (name, part) in parts do
            base.register_module (name, part)

    let matrixOf (name: string) : SparseLinear =
        parts
        |> List.tryPick (fun struct (part, layer) -> if part = name then Some(layer :?> SparseLinear) else None)
        |> Option.defaultWith (fun () ->
            let known = String.Join(", ", parts |> List.map (fun struct (part, _) -> part))
            raise (ArgumentException($"expected one of {known}, got {name}", nameof name)))

    /// What it is.
    member internal _.Settings: RecurrentSettings = settings

    /// The matrices of each layer and direction.
    member internal _.Matrices: RecurrentMatrices list = matrices

    /// <summary>Features of each step of an input.</summary>
    member _.input_size: int64 = int64 settings.InputSize

    /// <summary>Units of each layer and direction.</summary>
    member _.hidden_size: int64 = int64 settings.HiddenSize

    /// <summary>Whether both matrices have a bias.</summary>
    member _.bias: bool = settings.HasBias

    /// <summary>One of the module's matrices, by its name.</summary>
    /// <param name="name">ih_l0, hh_l0, ih_l1, ih_l0_reverse, and of an LSTM with a proj_size hr_l0; of a cell ih and hh.</param>
    /// <exception cref="T:System.ArgumentException">There is no such matrix.</exception>
    /// <example><code>
    /// let lstm = new SparseLSTM(64, 128, sparsity = 0.9)
    /// lstm.Matrix("hh_l0").Connectivity.Nnz // = 6554
    /// </code></example>
    member _.Matrix(name: string) : SparseLinear =
        ArgumentNullException.ThrowIfNull(name, nameof name)
        matrixOf name

    /// <summary>Draws all weights and biases anew, in place, as those of a new module.</summary>
    member _.reset_parameters() : unit =
        for struct (_, part) in parts do
            (part :?> SparseLinear).reset_parameters()

    /// All layers and directions of a call, with the batch and the order that the caller has.
    member internal this.Run
        (x: torch.Tensor, h: torch.Tensor | null, c: torch.Tensor | null, lengths: int64[] | null)
        : struct (torch.Tensor * torch.Tensor * (torch.Tensor | null)) =
        DeferredDispose.Release()
        BackwardFailure.Raise()
        use _ = torch.NewDisposeScope()
        let i = RecurrentInputs.make settings this x lengths
        let states = settings.Layers * settings.Directions

        let result =
            RecurrentLayers.run
                settings
                this.training
                matrices
                i
                { Hidden = RecurrentInputs.states i this "h" states settings.OutputSize h
                  Cells = RecurrentInputs.states i this "c" states settings.HiddenSize c }

        let back dimension t = RecurrentInputs.back i dimension t

        let hidden =
            match result.Last.Hidden with
            | null -> invalidOp "every recurrent layer has a hidden state"
            | hidden -> back 1L hidden

        let cells: torch.Tensor | null =
            match result.Last.Cells with
            | null -> null
            | cells -> (back 1L cells).MoveToOuterDisposeScope()

        let outputs = back i.BatchDimension result.Outputs

        // What a sequence of one sample or one layer leaves may be the tensor of another result: each is one of its own.
        struct (outputs.MoveToOuterDisposeScope(), hidden.MoveToOuterDisposeScope(), cells)

    override _.ToString() =
        let layers = parts |> List.map (fun struct (_, part) -> part :?> SparseLinear)
        let patterns = layers |> List.map (fun layer -> layer.Versions.Shown)
        let nnz = patterns |> List.sumBy (fun c -> int64 c.Nnz)
        let cells = patterns |> List.sumBy (fun c -> int64 c.Rows * int64 c.Cols)

        let sparsity =
            (1.0 - float nnz / float (max 1L cells)).ToString("0.######", CultureInfo.InvariantCulture)

        let said =
            RecurrentSettings.text settings @ [ $"nnz={nnz}"; $"sparsity={sparsity}" ]

        $"""{settings.Kind}({String.Join(", ", said)})"""

    override _.RegisterComponents() = () // parts are registered by name; the default would reflect over fields

    override _.named_parameters([<Optional; DefaultParameterValue(true)>] recurse: bool) = tensors.Parameters recurse

    override _.named_buffers
        (
            [<Optional; DefaultParameterValue(true)>] recurse: bool,
            [<Optional; DefaultParameterValue(true)>] include_nonpersistent: bool
        ) =
        tensors.Buffers(recurse, include_nonpersistent)

    override this.state_dict
        (
            [<Optional; DefaultParameterValue(null: Dictionary<string, torch.Tensor> | null)>] destination:
                Dictionary<string, torch.Tensor> | null,
            [<Optional; DefaultParameterValue(null: string | null)>] prefix: string | null
        ) =
        Parts.State(this, destination, prefix)
