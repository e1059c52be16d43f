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
    internal (features: int, heads: int, isBatchFirst: bool, dropout: float, projections: AttentionProjections) =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("SparseMultiheadAttention")

    let parts: struct (string * torch.nn.Module) list =
        [ for struct (name, layer) in projections.Named do
              struct (name, layer :> torch.nn.Module) ]

    let mutable bias = projections.Bias

    let tensors =
        Parts(
            parts,
            match projections.Bias with
            | null -> []
            | bias -> [ struct ("in_proj_bias", bias) ]
        )

    /// Of queries, keys and values.
    let sizes =
        if projections.IsPacked then
            Array.create 3 (int64 features)
        else
            [| for layer in projections.Inputs -> layer.in_features |]

    let callOf (isCausal: bool) : AttentionCall = AttentionCall.Of(int64 heads, isCausal)

    do
        for struct (name, layer) in projections.Named do
            if name <> "out_proj" then
                layer.StateName <- StateName.InHolder(name + "_", "")

            base.register_module (name, layer)

        match projections.Bias with
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
        let dropout = TransformerSizes.part (nameof dropout) (defaultArg dropout 0.0)

        let start =
            { Settings = LayerSettings.Of(hasBias, init, device, dtype, policy)
              HasBias = defaultArg hasBias true
              Init = defaultArg init Init.XavierUniform
              Sparsity = defaultArg sparsity 0.9
              Topology = defaultArg topology Topology.uniform
              Seed = seed }

        new SparseMultiheadAttention(
            embedDim,
            numHeads,
            defaultArg batchFirst false,
            dropout,
            AttentionProjections.draw embedDim kdim vdim start
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
    member _.in_proj: SparseLinear = projections.Inputs.Head

    /// <summary>The projection of outputs, [features, features].</summary>
    member _.out_proj: SparseLinear = projections.Outputs

    /// <summary>The sparse module that keeps the largest magnitudes of each matrix of a dense one; a tie keeps the lower cell.</summary>
    /// <remarks>Sizes and biases are read from the module, and heads are proved by a call with a small input. dtype, device, requires_grad and the
    /// training flag are kept; inputs are [tokens, batch, features], as the dense module's.</remarks>
    /// <param name="dense">Any torch.nn.MultiheadAttention of a real floating dtype, without biases of keys and values.</param>
    /// <param name="numHeads">Its heads, which TorchSharp's module does not tell.</param>
    /// <param name="sparsity">The part of the weights that is dropped, in [0, 1).</param>
    /// <param name="dropout">The part of the weights that is dropped in training, which the dense module does not tell.</param>
    /// <exception cref="T:System.ArgumentException">The module is another, or has other heads; a part is outside its range.</exception>
    /// <example><code>
    /// let dense = torch.nn.MultiheadAttention(64L, 4L)
    /// let pruned = SparseMultiheadAttention.ofDense (dense, 4, 0.9, 0.0)
    /// pruned.in_proj.Connectivity.Nnz // = 1229
    /// </code></example>
    static member ofDense
        (dense: MultiheadAttention, numHeads: int, sparsity: float, dropout: float)
        : SparseMultiheadAttention =
        ArgumentNullException.ThrowIfNull(dense, nameof dense)
        TransformerSizes.check (nameof numHeads) numHeads
        let dropout = TransformerSizes.part (nameof dropout) dropout

        let own = DenseAttention.ofDense dense numHeads sparsity

        let made =
            new SparseMultiheadAttention(int own.Outputs.out_features, numHeads, false, dropout, own)

        made.train dense.training
        made

    /// <summary>torch's module of the same function, with zeros where no weight exists; it takes [tokens, batch, features].</summary>
    member this.toDense() : MultiheadAttention =
        let dense =
            torch.nn.MultiheadAttention(
                int64 features,
                int64 heads,
                dropout,
                not (isNull projections.Outputs.bias),
                kdim = Nullable sizes[1],
                vdim = Nullable sizes[2]
            )

        let like = projections.Outputs.weight
        let dense = dense.``to``(like.dtype).``to`` like.device
        use _ = torch.no_grad ()
        DenseAttention.intoParameters (DenseMatrices.parameters dense) "" projections bias
        dense.train this.training
        dense

    /// The matrices, and the bias of separate ones as it is now.
    member internal _.Projections: struct (AttentionProjections * (Parameter | null)) =
        struct (projections, bias)

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

        let packed =
            Packed(ChainLayers.run (ChainLayers.ofLayer projections.Inputs.Head) norm Residual.Nothing this.training x)

        let call = callOf isCausal
        let part = if this.training then dropout else 0.0
        let y = KeyValueCache.Attend(cache, call, packed, mask, part)

        let chain =
            { ChainLayers.ofLayer projections.Outputs with
                Behind = behind }

        (ChainLayers.run chain null residual this.training y).MoveToOuterDisposeScope()

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
        use _ = torch.NewDisposeScope()
        let i = AttentionInputs.make this isBatchFirst sizes query key value
        AttentionInputs.checkMasks this (int64 heads) i keyPaddingMask attnMask
        let tensors = AttentionProjections.project projections bias i
        let mask = AttentionSteps.mask (int64 heads) i.Query attnMask keyPaddingMask
        let part = if this.training then dropout else 0.0

        let call = callOf isCausal
        let struct (y, weights) = Attention.run call tensors mask part needWeights
        let y = projections.Outputs.call y

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
        AttentionProjections.text projections features heads dropout isBatchFirst

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
        | NonNull p ->
            let mutable moved = p

            if torch.nn.Module.ReplaceParameter(dtype, device, p, &moved) then
                bias <- moved
                this.ConditionallyRegisterParameter("in_proj_bias", moved)
        | _ -> ()

    override this._to(device: torch.Device, dtype: torch.ScalarType, nonBlocking: bool) =
        this.MoveBias(Nullable dtype, device)
        base._to (device, dtype, nonBlocking)

    override this._to(deviceType: DeviceType, deviceIndex: int, nonBlocking: bool) =
        this.MoveBias(Nullable(), new torch.Device(deviceType, deviceIndex))
        base._to (deviceType, deviceIndex, nonBlocking)

    override this._to(dtype: torch.ScalarType, nonBlocking: bool) =
        this.MoveBias(Nullable dtype, null)
        base._to (dtype, nonBlocking)
