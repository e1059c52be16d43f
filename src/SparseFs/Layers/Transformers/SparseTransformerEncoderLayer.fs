namespace SparseFs

open System
open System.Runtime.InteropServices
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules

/// <summary>A layer of a transformer's encoder whose projections store, multiply and train only the weights that exist.</summary>
/// <remarks>
/// As torch.nn.TransformerEncoderLayer: input and output [tokens, batch, features], with the batch first where batchFirst says so. Parts, in state_dict
/// too, have PyTorch's names: <c>self_attn</c>, <c>linear1</c>, <c>linear2</c>, <c>norm1</c> and <c>norm2</c>. Vaswani et al. 2017, section 3.1, arXiv
/// 1706.03762; with normFirst, Xiong et al. 2020, arXiv 2002.04745.
/// </remarks>
/// <example><code>
/// let layer = new SparseTransformerEncoderLayer(64, 4, dimFeedforward = 256, sparsity = 0.9)
/// (layer.call (torch.randn (20L, 8L, 64L))).shape // = [|20L; 8L; 64L|]
/// </code></example>
[<Sealed>]
type SparseTransformerEncoderLayer
    internal
    (
        selfAttn: SparseMultiheadAttention,
        linear1: SparseLinear,
        linear2: SparseLinear,
        norm1: LayerNorm,
        norm2: LayerNorm,
        activation: FeedForwardActivation,
        dropout: float,
        isNormFirst: bool
    ) =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("SparseTransformerEncoderLayer")

    let chain: ChainLayers =
        { Layers = [| linear1; linear2 |]
          Activations = [| FeedForwardActivation.check activation |]
          Between = dropout
          Behind = dropout }

    do
        base.register_module ("self_attn", selfAttn)
        base.register_module ("linear1", linear1)
        base.register_module ("linear2", linear2)
        base.register_module ("norm1", norm1)
        base.register_module ("norm2", norm2)

    /// <summary>A layer over patterns that are drawn: uniformly random connections, or those of a topology.</summary>
    /// <param name="dModel">Features of a token, 1 or more.</param>
    /// <param name="nhead">Heads of the attention, which divide the features.</param>
    /// <param name="dimFeedforward">Units of the feed-forward part; 2048 by default.</param>
    /// <param name="dropout">The part of the attention's weights, of the hidden units and of both parts' outputs that is dropped in training; 0.1 by
    /// default, as torch's.</param>
    /// <param name="activation">That of the feed-forward part; ReLU by default.</param>
    /// <param name="batchFirst">Whether inputs are [batch, tokens, features]; false by default.</param>
    /// <param name="normFirst">Whether normalizations come before the parts; false by default.</param>
    /// <param name="sparsity">The part of the weights that do not exist, in [0, 1); 0.9 by default.</param>
    /// <param name="seed">What the patterns are drawn from, each from a child of it; numbers of torch's generator if not given.</param>
    /// <param name="device">Where the parameters live; torch's default device if not given.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if not given.</param>
    /// <param name="topology">Draws a pattern from rows, columns, nnz and a seed; Topology.uniform by default.</param>
    /// <param name="policy">How a Rewirer that follows its layers rewires all of them; not at all by default.</param>
    /// <exception cref="T:System.ArgumentException">A size is below 1, heads do not divide the features, a part is outside its range, or the topology
    /// refuses.</exception>
    new
        (
            dModel: int,
            nhead: int,
            ?dimFeedforward: int,
            ?dropout: float,
            ?activation: FeedForwardActivation,
            ?batchFirst: bool,
            ?normFirst: bool,
            ?sparsity: float,
            ?seed: Seed,
            ?device: torch.Device,
            ?dtype: torch.ScalarType,
            ?topology: int -> int -> int -> Seed -> Connectivity,
            ?policy: Policy
        ) =
        TransformerSizes.check (nameof dModel) dModel
        TransformerSizes.checkHeads (nameof nhead) dModel nhead
        let hidden = defaultArg dimFeedforward 2048
        TransformerSizes.check (nameof dimFeedforward) hidden
        let dropout = TransformerSizes.part (nameof dropout) (defaultArg dropout 0.1)
        let activation = defaultArg activation FeedForwardActivation.ReLU

        let taken =
            Kernels.ChainActivation.rowsTaken (FeedForwardActivation.check activation)

        let attention =
            new SparseMultiheadAttention(
                dModel,
                nhead,
                dropout = dropout,
                ?batchFirst = batchFirst,
                ?sparsity = sparsity,
                ?seed = (seed |> Option.map (Seed.child 0)),
                ?device = device,
                ?dtype = dtype,
                ?topology = topology,
                ?policy = policy
            )

        let layer (index: int) (inputs: int) (outputs: int) =
            new SparseLinear(
                LayerStart.ofTopology
                    (LayerSettings.Of(None, None, device, dtype, policy))
                    LayerChannels.Linear
                    inputs
                    outputs
                    (defaultArg sparsity 0.9)
                    (defaultArg topology Topology.uniform)
                    (seed |> Option.map (Seed.child index))
            )

        let norm () =
            let like = attention.out_proj.weight
            torch.nn.LayerNorm(int64 dModel, device = like.device, dtype = like.dtype)

        new SparseTransformerEncoderLayer(
            attention,
            layer 1 dModel (taken * hidden),
            layer 2 hidden dModel,
            norm (),
            norm (),
            activation,
            dropout,
            defaultArg normFirst false
        )

    /// <summary>The attention.</summary>
    member _.self_attn: SparseMultiheadAttention = selfAttn

    /// <summary>The first layer of the feed-forward part.</summary>
    member _.linear1: SparseLinear = linear1

    /// <summary>The second layer of the feed-forward part.</summary>
    member _.linear2: SparseLinear = linear2

    /// <summary>The normalization of the attention's part.</summary>
    member _.norm1: LayerNorm = norm1

    /// <summary>The normalization of the feed-forward part.</summary>
    member _.norm2: LayerNorm = norm2

    /// <summary>Whether normalizations come before the parts.</summary>
    member _.norm_first: bool = isNormFirst

    /// What stands between the layers of the feed-forward part.
    member internal _.Activation: FeedForwardActivation = activation

    /// <summary>The sparse layer that keeps the largest magnitudes of each matrix of a dense one; a tie keeps the lower cell.</summary>
    /// <remarks>Sizes are read from the layer; heads and the activation, ReLU or GELU, are proved by a call with a small input in evaluation mode. dtype,
    /// device, requires_grad and the training flag are kept; inputs are [tokens, batch, features], as the dense layer's.</remarks>
    /// <param name="dense">Any torch.nn.TransformerEncoderLayer of a real floating dtype.</param>
    /// <param name="nhead">Its heads, which TorchSharp's module does not tell.</param>
    /// <param name="sparsity">The part of the weights that is dropped, in [0, 1).</param>
    /// <param name="dropout">What is dropped in training, which the dense layer does not tell.</param>
    /// <exception cref="T:System.ArgumentException">The layer computes something else with so many heads, or a part is outside its range.</exception>
    /// <example><code>
    /// let dense = torch.nn.TransformerEncoderLayer(64L, 4L, 256L)
    /// let pruned = SparseTransformerEncoderLayer.ofDense (dense, 4, 0.9, 0.1)
    /// pruned.linear1.Connectivity.Nnz // = 1638
    /// </code></example>
    static member ofDense
        (dense: TransformerEncoderLayer, nhead: int, sparsity: float, dropout: float)
        : SparseTransformerEncoderLayer =
        ArgumentNullException.ThrowIfNull(dense, nameof dense)
        TransformerSizes.check (nameof nhead) nhead
        let dropout = TransformerSizes.part (nameof dropout) dropout
        use _ = torch.NewDisposeScope() // the parameters of what is made are in none
        use _ = torch.no_grad ()
        Sparsity.check (nameof sparsity) sparsity
        let parameters = DenseMatrices.parameters dense
        let wasTraining = dense.training

        let make (patternOf: torch.Tensor -> Connectivity) (activation: FeedForwardActivation) =
            let parts = EncoderParts.ofParameters parameters patternOf
            let features = int parts.Attention.Outputs.out_features
            TransformerSizes.checkHeads (nameof nhead) features nhead

            let attention =
                new SparseMultiheadAttention(features, nhead, false, dropout, parts.Attention)

            new SparseTransformerEncoderLayer(
                attention,
                parts.Linear1,
                parts.Linear2,
                parts.Norm1,
                parts.Norm2,
                activation,
                dropout,
                false
            )

        dense.eval ()

        try
            let probe =
                let like = parameters["linear1.weight"]
                DenseMatrices.probe [| 3L; 2L; like.shape[1] |] like

            let agrees (activation: FeedForwardActivation) =
                // Of all weights, so that nothing else can differ.
                use whole = make DenseMatrices.all activation
                whole.eval ()
                DenseMatrices.close (whole.call probe) (dense.call probe)

            match List.tryFind agrees [ FeedForwardActivation.ReLU; FeedForwardActivation.GELU ] with
            | None ->
                let got = "another result for a small input than with the same weights"

                raise (
                    ArgumentException($"expected a layer of {nhead} heads with ReLU or GELU, got {got}", nameof dense)
                )
            | Some activation ->
                let made = make (DenseMatrices.largest sparsity) activation
                made.train wasTraining
                made
        finally
            dense.train wasTraining

    /// <summary>torch's layer of the same function, with zeros where no weight exists; it takes [tokens, batch, features].</summary>
    /// <exception cref="T:System.NotSupportedException">TorchSharp has no such layer: with normFirst, or another activation than ReLU and
    /// GELU.</exception>
    member this.toDense() : TransformerEncoderLayer =
        let activation =
            match activation with
            | FeedForwardActivation.ReLU when not isNormFirst -> torch.nn.Activations.ReLU
            | FeedForwardActivation.GELU when not isNormFirst -> torch.nn.Activations.GELU
            | other ->
                raise (
                    NotSupportedException
                        $"expected ReLU or GELU and normalizations behind the parts, as TorchSharp's layer has them, got {other}, norm_first={isNormFirst}"
                )

        let dense =
            torch.nn.TransformerEncoderLayer(
                selfAttn.embed_dim,
                selfAttn.num_heads,
                linear2.in_features,
                dropout,
                activation
            )

        let like = linear1.weight
        let dense = dense.``to``(like.dtype).``to`` like.device
        use _ = torch.no_grad ()
        let struct (projections, bias) = selfAttn.Projections

        EncoderParts.intoParameters
            (DenseMatrices.parameters dense)
            bias
            { Attention = projections
              Linear1 = linear1
              Linear2 = linear2
              Norm1 = norm1
              Norm2 = norm2 }

        dense.train this.training
        dense

    /// <summary>The layer, with masks.</summary>
    /// <param name="src">[tokens, batch, features], with the batch first where the module says so.</param>
    /// <param name="srcMask">[tokens, tokens] or [batch · heads, tokens, tokens]: true where a token may not be seen, or numbers that are added to the
    /// scores; null for none.</param>
    /// <param name="srcKeyPaddingMask">[batch, tokens]: likewise.</param>
    /// <param name="isCausal">Whether each token sees only itself and those before it.</param>
    /// <returns>As src.</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype or a device is not as said.</exception>
    /// <example><code>
    /// let layer = new SparseTransformerEncoderLayer(64, 4, dimFeedforward = 256)
    /// let tokens = torch.randn (20L, 8L, 64L)
    /// let y = layer.Encode(tokens, srcKeyPaddingMask = torch.zeros (8L, 20L))
    /// </code></example>
    member this.Encode
        (
            src: torch.Tensor,
            [<Optional; DefaultParameterValue(null: torch.Tensor | null)>] srcMask: torch.Tensor | null,
            [<Optional; DefaultParameterValue(null: torch.Tensor | null)>] srcKeyPaddingMask: torch.Tensor | null,
            [<Optional; DefaultParameterValue(false)>] isCausal: bool
        ) : torch.Tensor =
        if isNull (box src) then
            nullArg (nameof src)

        use _ = torch.NewDisposeScope()

        let attend (x: torch.Tensor) =
            let struct (y, _) =
                selfAttn.Attend(x, x, x, srcKeyPaddingMask, false, srcMask, isCausal)

            Dropping.apply (if this.training then dropout else 0.0) y

        let y =
            if isNormFirst then
                let x = src.add (attend (norm1.call src))
                ChainLayers.run chain norm2 Residual.Input this.training x
            else
                let x = norm1.call (src.add (attend src))
                norm2.call (ChainLayers.run chain null Residual.Input this.training x)

        y.MoveToOuterDisposeScope()

    /// <summary>The layer.</summary>
    /// <param name="src">[tokens, batch, features], with the batch first where the module says so.</param>
    /// <returns>As src.</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype or a device is not as said.</exception>
    override this.forward(src: torch.Tensor) : torch.Tensor = this.Encode src

    override _.ToString() =
        let first = if isNormFirst then ", norm_first=True" else ""

        $"SparseTransformerEncoderLayer(self_attn={selfAttn}, linear1={linear1}, linear2={linear2}, {activation}{first})"

    override _.RegisterComponents() = () // parts are registered by name; the default would reflect over fields
