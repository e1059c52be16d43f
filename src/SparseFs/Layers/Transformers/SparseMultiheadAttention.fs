namespace SparseFs

open System
open System.Collections.Generic
open System.Runtime.InteropServices
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules

/// <summary>Multi-head attention whose projections store, multiply and train only the weights that exist.</summary>
/// <remarks>
/// <para>As torch.nn.MultiheadAttention: queries, keys and values [tokens, batch, features], with the batch first where batchFirst says so.
/// Queries, keys and values come from one sparse matrix, <c>in_proj</c> [3 · features, features], and outputs go through <c>out_proj</c>; keys or values
/// of other sizes have matrices of their own, <c>q_proj</c>, <c>k_proj</c> and <c>v_proj</c>. torch's scaled_dot_product_attention is in between.</para>
/// <para>state_dict has PyTorch's names: <c>in_proj_weight</c> [nnz] in slot order, <c>in_proj_bias</c>, and the pattern as <c>in_proj_row_ptr</c> and
/// <c>in_proj_col_idx</c>; <c>out_proj.weight</c> and so on. Vaswani et al. 2017, section 3.2, arXiv 1706.03762.</para>
/// </remarks>
/// <example><code>
/// let attention = new SparseMultiheadAttention(64, 4, batchFirst = true, sparsity = 0.9)
/// (attention.call (torch.randn (8L, 20L, 64L))).shape // = [|8L; 20L; 64L|]
/// </code></example>
[<Sealed>]
type SparseMultiheadAttention
    internal
    (
        features: int,
        heads: int,
        isBatchFirst: bool,
        dropout: float,
        projections: SparseLinear list,
        inBias: Parameter | null,
        outProj: SparseLinear
    ) =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("SparseMultiheadAttention")

    let isPacked = projections.Length = 1

    let names =
        if isPacked then
            [ "in_proj" ]
        else
            [ "q_proj"; "k_proj"; "v_proj" ]

    let parts: struct (string * torch.nn.Module) list =
        [ for name, layer in List.zip names projections do
              struct (name, layer :> torch.nn.Module)
          struct ("out_proj", outProj :> torch.nn.Module) ]

    let mutable bias = inBias

    let tensors =
        Parts(
            parts,
            match inBias with
            | null -> []
            | bias -> [ struct ("in_proj_bias", bias) ]
        )

    do
        for name, layer in List.zip names projections do
            layer.StateName <- StateName.InHolder(name + "_", "")

        for struct (name, part) in parts do
            base.register_module (name, part)

        match inBias with
        | null -> ()
        | bias -> base.register_parameter ("in_proj_bias", bias)

    /// <summary>A module over patterns that are drawn: uniformly random connections, or those of a topology.</summary>
    /// <param name="embedDim">Features of queries and outputs, 1 or more.</param>
    /// <param name="numHeads">Heads, which divide the features.</param>
    /// <param name="dropout">The part of the attention's weights that is dropped in training; 0 by default.</param>
    /// <param name="hasBias">Whether projections have a bias; true by default.</param>
    /// <param name="kdim">Features of keys; embedDim by default.</param>
    /// <param name="vdim">Features of values; embedDim by default.</param>
    /// <param name="batchFirst">Whether inputs are [batch, tokens, features]; false by default.</param>
    /// <param name="sparsity">The part of the weights that do not exist, in [0, 1); 0.9 by default.</param>
    /// <param name="seed">What the patterns are drawn from, each from a child of it; numbers of torch's generator if not given.</param>
    /// <param name="init">How the weights of queries, keys and values are drawn; Init.XavierUniform by default, as torch does, with the slots that there
    /// are. Those of the outputs are drawn by Init.FanIn, and biases begin with 0.</param>
    /// <param name="device">Where the parameters live; torch's default device if not given.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if not given.</param>
    /// <param name="topology">Draws a pattern from rows, columns, nnz and a seed; Topology.uniform by default.</param>
    /// <param name="policy">How a Rewirer that follows its layers rewires the projections; not at all by default.</param>
    /// <exception cref="T:System.ArgumentException">A size is below 1, heads do not divide the features, a part is outside its range, or the topology
    /// refuses.</exception>
    new
        (
            embedDim: int,
            numHeads: int,
            ?dropout: float,
            ?hasBias: bool,
            ?kdim: int,
            ?vdim: int,
            ?batchFirst: bool,
            ?sparsity: float,
            ?seed: Seed,
            ?init: Init,
            ?device: torch.Device,
            ?dtype: torch.ScalarType,
            ?topology: int -> int -> int -> Seed -> Connectivity,
            ?policy: Policy
        ) =
        TransformerSizes.check (nameof embedDim) embedDim
        TransformerSizes.checkHeads (nameof numHeads) embedDim numHeads
        let kdim, vdim = defaultArg kdim embedDim, defaultArg vdim embedDim
        TransformerSizes.check (nameof kdim) kdim
        TransformerSizes.check (nameof vdim) vdim
        let hasBias = defaultArg hasBias true
        let dropout = TransformerSizes.part (nameof dropout) (defaultArg dropout 0.0)

        let channels =
            { LayerChannels.Linear with
                HasZeroBias = true }

        let settings (hasBias: bool) (init: Init option) =
            LayerSettings.Of(Some hasBias, init, device, dtype, policy)

        let layer (index: int) (hasBias: bool) (init: Init) (inputs: int) (outputs: int) =
            new SparseLinear(
                channels,
                LayerStart.ofTopology
                    (settings hasBias (Some init))
                    channels
                    inputs
                    outputs
                    (defaultArg sparsity 0.9)
                    (defaultArg topology Topology.uniform)
                    (seed |> Option.map (Seed.child index))
            )

        let ofInputs = defaultArg init Init.XavierUniform

        let projections, bias =
            if kdim = embedDim && vdim = embedDim then
                [ layer 0 hasBias ofInputs embedDim (3 * embedDim) ], (null: Parameter | null)
            else
                let own =
                    [ layer 0 false ofInputs embedDim embedDim
                      layer 2 false ofInputs kdim embedDim
                      layer 3 false ofInputs vdim embedDim ]

                let like = own.Head.weight

                own,
                (if not hasBias then
                     null
                 else
                     let zeros =
                         torch.zeros (3L * int64 embedDim, dtype = like.dtype, device = like.device)

                     new Parameter(zeros.DetachFromDisposeScope()))

        new SparseMultiheadAttention(
            embedDim,
            numHeads,
            defaultArg batchFirst false,
            dropout,
            projections,
            bias,
            layer 1 hasBias Init.FanIn embedDim embedDim
        )

    /// <summary>Features of queries and outputs.</summary>
    member _.embed_dim: int64 = int64 features

    /// <summary>Heads.</summary>
    member _.num_heads: int64 = int64 heads

    /// <summary>Whether inputs are [batch, tokens, features] rather than [tokens, batch, features].</summary>
    member _.batch_first: bool = isBatchFirst

    /// <summary>The part of the attention's weights that is dropped in training.</summary>
    member _.dropout: float = dropout

    /// <summary>The projection to queries, keys and values below each other, [3 · features, features]; of a module with other sizes of keys or
    /// values, that to queries.</summary>
    member _.in_proj: SparseLinear = projections.Head

    /// <summary>The projection of outputs, [features, features].</summary>
    member _.out_proj: SparseLinear = outProj

    /// What error messages show.
    member private this.Refuse(name: string, message: string) : 'a =
        raise (ArgumentException($"{message}. The layer is {this}", name))

    /// Refuses what is no batch of tokens with so many features.
    member private this.Check(name: string, t: torch.Tensor, features: int64) : unit =
        if isNull (box t) then
            nullArg name

        let shape = t.shape

        if shape.Length <> 3 || shape[2] <> features then
            let form =
                if isBatchFirst then
                    "[batch, tokens, features]"
                else
                    "[tokens, batch, features]"

            this.Refuse(name, $"expected {name} of shape {form} with {features} features, got {Shape.text shape}")

    /// A part of the packed projection, or of the bias of separate ones.
    static member private Third(t: torch.Tensor, index: int64, dimension: int64) : torch.Tensor =
        let size = t.shape[int dimension] / 3L
        t.narrow (dimension, index * size, size)

    /// Queries, keys and values of batches first, [batch, heads, tokens, features of a head].
    member private _.Project
        (query: torch.Tensor, key: torch.Tensor, value: torch.Tensor)
        : struct (torch.Tensor * torch.Tensor * torch.Tensor) =
        let byHeads (t: torch.Tensor) = AttentionCore.heads (int64 heads) t

        match projections with
        | [ packed ] ->
            if obj.ReferenceEquals(query, key) && obj.ReferenceEquals(key, value) then
                AttentionCore.split (int64 heads) (packed.call query)
            else
                let ofKey = packed.call key

                let ofValue =
                    if obj.ReferenceEquals(key, value) then
                        ofKey
                    else
                        packed.call value

                let third t index =
                    SparseMultiheadAttention.Third(t, index, 2L)

                struct (byHeads (third (packed.call query) 0L), byHeads (third ofKey 1L), byHeads (third ofValue 2L))
        | own ->
            let project (index: int) (t: torch.Tensor) =
                let y = own[index].call t

                match bias with
                | null -> byHeads y
                | bias -> byHeads (y.add (SparseMultiheadAttention.Third(bias, int64 index, 0L)))

            struct (project 0 query, project 1 key, project 2 value)

    /// Self-attention of normalized inputs [batch, tokens, features], + a residual, of which a part is dropped before.
    member internal this.OfBlock
        (
            x: torch.Tensor,
            norm: LayerNorm | null,
            mask: torch.Tensor | null,
            isCausal: bool,
            cache: KeyValueCache | null,
            residual: Residual,
            behind: float
        ) : torch.Tensor =
        use _ = torch.NewDisposeScope()

        let struct (q, k, v) =
            ChainLayers.run (ChainLayers.ofLayer projections.Head) norm Residual.Nothing this.training x
            |> AttentionCore.split (int64 heads)

        let struct (k, v) =
            match cache with
            | null -> struct (k, v)
            | cache -> cache.Append(k, v)

        let part = if this.training then dropout else 0.0
        let struct (y, _) = AttentionCore.attend q k v mask isCausal part false

        let chain =
            { ChainLayers.ofLayer outProj with
                Behind = behind }

        (ChainLayers.run chain null residual this.training (AttentionCore.join y)).MoveToOuterDisposeScope()

    /// <summary>What queries make of keys and values.</summary>
    /// <param name="query">[tokens, batch, features], with the batch first where the module says so.</param>
    /// <param name="key">Likewise, of as many tokens as there are to be seen.</param>
    /// <param name="value">Likewise, as many as keys.</param>
    /// <param name="keyPaddingMask">[batch, keys]: true where a key may not be seen, or numbers that are added to its scores; null for none.</param>
    /// <param name="needWeights">Whether the weights are wanted, mean over the heads.</param>
    /// <param name="attnMask">[queries, keys] or [batch · heads, queries, keys]: true where a key may not be seen, or numbers that are added to the
    /// scores; null for none.</param>
    /// <param name="isCausal">Whether each query sees only keys up to its own place.</param>
    /// <returns>The outputs, as queries, and the weights [batch, queries, keys], or null.</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype or a device is not as said.</exception>
    /// <example><code>
    /// let attention = new SparseMultiheadAttention(64, 4, batchFirst = true)
    /// let image, text = torch.randn (8L, 49L, 64L), torch.randn (8L, 20L, 64L)
    /// let struct (y, weights) = attention.Attend(text, image, image, needWeights = true)
    /// y.shape // = [|8L; 20L; 64L|]
    /// </code></example>
    member this.Attend
        (
            query: torch.Tensor,
            key: torch.Tensor,
            value: torch.Tensor,
            [<Optional; DefaultParameterValue(null: torch.Tensor | null)>] keyPaddingMask: torch.Tensor | null,
            [<Optional; DefaultParameterValue(false)>] needWeights: bool,
            [<Optional; DefaultParameterValue(null: torch.Tensor | null)>] attnMask: torch.Tensor | null,
            [<Optional; DefaultParameterValue(false)>] isCausal: bool
        ) : struct (torch.Tensor * (torch.Tensor | null)) =
        this.Check(nameof query, query, int64 features)

        this.Check(
            nameof key,
            key,
            (if isPacked then
                 int64 features
             else
                 projections[1].in_features)
        )

        this.Check(
            nameof value,
            value,
            (if isPacked then
                 int64 features
             else
                 projections[2].in_features)
        )

        use _ = torch.NewDisposeScope()

        let batchFirst (t: torch.Tensor) =
            if isBatchFirst then t else t.transpose (0L, 1L)

        let first = batchFirst query

        let second =
            if obj.ReferenceEquals(key, query) then
                first
            else
                batchFirst key

        let third =
            if obj.ReferenceEquals(value, key) then second
            elif obj.ReferenceEquals(value, query) then first
            else batchFirst value

        let batch, queries, keys = first.shape[0], first.shape[1], second.shape[1]

        if second.shape[0] <> batch then
            this.Refuse(nameof key, $"expected keys of the {batch} samples of queries, got {second.shape[0]}")

        if third.shape[0] <> batch || third.shape[1] <> keys then
            this.Refuse(
                nameof value,
                $"expected values of {batch} samples and {keys} tokens, as keys, got {third.shape[0]} and {third.shape[1]}"
            )

        match keyPaddingMask with
        | null -> ()
        | mask when mask.shape <> [| batch; keys |] ->
            let expected = Shape.text [| batch; keys |]

            this.Refuse(
                nameof keyPaddingMask,
                $"expected shape [batch, keys] = {expected}, got {Shape.text mask.shape}"
            )
        | _ -> ()

        match attnMask with
        | null -> ()
        | mask when
            mask.shape <> [| queries; keys |]
            && mask.shape <> [| batch * int64 heads; queries; keys |]
            ->
            let one, all =
                Shape.text [| queries; keys |], Shape.text [| batch * int64 heads; queries; keys |]

            this.Refuse(
                nameof attnMask,
                $"expected shape [queries, keys] = {one} or [batch · heads, queries, keys] = {all}, got {Shape.text mask.shape}"
            )
        | _ -> ()

        let struct (q, k, v) = this.Project(first, second, third)
        let mask = AttentionCore.mask q attnMask keyPaddingMask
        let part = if this.training then dropout else 0.0
        let struct (y, weights) = AttentionCore.attend q k v mask isCausal part needWeights
        let y = outProj.call (AttentionCore.join y)

        let weights: torch.Tensor | null =
            match weights with
            | null -> null
            | weights -> weights.MoveToOuterDisposeScope()

        struct ((if isBatchFirst then y else y.transpose (0L, 1L)).MoveToOuterDisposeScope(), weights)

    /// <summary>Self-attention: queries, keys and values are one.</summary>
    /// <param name="x">[tokens, batch, features], with the batch first where the module says so.</param>
    /// <returns>As x.</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype or a device is not as said.</exception>
    override this.forward(x: torch.Tensor) : torch.Tensor =
        let struct (y, _) = this.Attend(x, x, x)
        y

    override _.ToString() =
        let said =
            [ string features
              string heads
              if dropout > 0.0 then
                  invariant $"dropout={dropout}"
              if isBatchFirst then
                  "batch_first=True"
              for name, layer in List.zip names projections do
                  $"{name}={layer}"
              $"out_proj={outProj}" ]

        $"""SparseMultiheadAttention({String.Join(", ", said)})"""

    override _.RegisterComponents() = () // parts are registered by name; the default would reflect over fields

    override this.named_parameters([<Optional; DefaultParameterValue(true)>] recurse: bool) =
        match bias with
        | null -> tensors.Parameters recurse
        | bias -> tensors.Parameters((fun _ -> bias), recurse)

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

    /// The bias of separate projections, where dtype or device change.
    member private this.MoveBias(dtype: Nullable<torch.ScalarType>, device: torch.Device | null) : unit =
        match bias with
        | null -> ()
        | p ->
            let mutable moved = p

            if torch.nn.Module.ReplaceParameter(dtype, device, p, &moved) then
                bias <- moved
                this.ConditionallyRegisterParameter("in_proj_bias", moved)

    override this._to(device: torch.Device, dtype: torch.ScalarType, nonBlocking: bool) =
        this.MoveBias(Nullable dtype, device)
        base._to (device, dtype, nonBlocking)

    override this._to(deviceType: DeviceType, deviceIndex: int, nonBlocking: bool) =
        this.MoveBias(Nullable(), new torch.Device(deviceType, deviceIndex))
        base._to (deviceType, deviceIndex, nonBlocking)

    override this._to(dtype: torch.ScalarType, nonBlocking: bool) =
        this.MoveBias(Nullable dtype, null)
        base._to (dtype, nonBlocking)
