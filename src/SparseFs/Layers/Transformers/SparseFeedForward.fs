namespace SparseFs

open System
open SparseFs.Kernels
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules

/// <summary>The feed-forward part of a transformer: two sparse layers with an activation between them.</summary>
/// <remarks>
/// Input and output [*, features]. The layers are <c>linear1</c> [hidden, features] and <c>linear2</c> [features, hidden], in state_dict too. Float32
/// on the CPU goes through both layers a tile of samples at a time, so that hidden units never leave the near memory but for a
/// backward. Vaswani et al. 2017, section 3.3, arXiv 1706.03762.
/// </remarks>
/// <example><code>
/// let feedForward = new SparseFeedForward(384, 1536, sparsity = 0.9, seed = Seed.ofInt 1)
/// (feedForward.call (torch.randn (16L, 128L, 384L))).shape // = [|16L; 128L; 384L|]
/// </code></example>
[<Sealed>]
type SparseFeedForward
    internal
    (
        features: int,
        hidden: int,
        activation: FeedForwardActivation,
        dropout: float,
        winners: KWinners | null,
        linear1: SparseLinear,
        linear2: SparseLinear
    ) =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("SparseFeedForward")

    let chain: ChainLayers =
        { Layers = [| linear1; linear2 |]
          Activations = [| FeedForwardActivation.check activation |]
          Between = dropout
          Behind = 0.0 }

    do
        base.register_module ("linear1", linear1)

        match winners with
        | null -> ()
        | winners -> base.register_module ("winners", winners)

        base.register_module ("linear2", linear2)

    /// <summary>A part over patterns that are drawn: uniformly random connections, or those of a topology.</summary>
    /// <param name="features">Features of a sample, 1 or more.</param>
    /// <param name="hidden">Units between the layers, 1 or more; 4 · features by default.</param>
    /// <param name="activation">What stands between the layers; GELU by default. With SwiGLU the first layer has 2 · hidden outputs.</param>
    /// <param name="winners">K-winners in place of the activation: only the largest units pass.</param>
    /// <param name="dropout">The part of the hidden units that is dropped in training; 0 by default.</param>
    /// <param name="hasBias">Whether both layers have a bias; true by default.</param>
    /// <param name="sparsity">The part of the weights that do not exist, in [0, 1); 0.9 by default.</param>
    /// <param name="seed">What the patterns are drawn from, each from a child of it; numbers of torch's generator if not given.</param>
    /// <param name="init">How the weights are drawn; Init.FanIn by default.</param>
    /// <param name="device">Where the parameters live; torch's default device if not given.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if not given.</param>
    /// <param name="topology">Draws a pattern from rows, columns, nnz and a seed; Topology.uniform by default.</param>
    /// <param name="policy">How a Rewirer that follows its layers rewires both; not at all by default.</param>
    /// <exception cref="T:System.ArgumentException">A size is below 1, a part is outside its range, or the topology refuses.</exception>
    new
        (
            features: int,
            ?hidden: int,
            ?activation: FeedForwardActivation,
            ?winners: KWinnersOptions,
            ?dropout: float,
            ?hasBias: bool,
            ?sparsity: float,
            ?seed: Seed,
            ?init: Init,
            ?device: torch.Device,
            ?dtype: torch.ScalarType,
            ?topology: int -> int -> int -> Seed -> Connectivity,
            ?policy: Policy
        ) =
        TransformerSizes.check (nameof features) features
        let hidden = defaultArg hidden (4 * features)
        TransformerSizes.check (nameof hidden) hidden
        let activation = defaultArg activation FeedForwardActivation.GELU
        let taken = ChainActivation.rowsTaken (FeedForwardActivation.check activation)
        let dropout = TransformerSizes.part (nameof dropout) (defaultArg dropout 0.0)

        let layer (index: int) (inputs: int) (outputs: int) =
            new SparseLinear(
                LayerStart.ofTopology
                    (LayerSettings.Of(hasBias, init, device, dtype, policy))
                    LayerChannels.Linear
                    inputs
                    outputs
                    (defaultArg sparsity 0.9)
                    (defaultArg topology Topology.uniform)
                    (seed |> Option.map (Seed.child index))
            )

        let kWinners: KWinners | null =
            match winners with
            | None -> null
            | Some options -> new KWinners(hidden, options)

        new SparseFeedForward(
            features,
            hidden,
            activation,
            dropout,
            kWinners,
            layer 0 features ((if isNull kWinners then taken else 1) * hidden),
            layer 1 hidden features
        )

    /// <summary>The first layer, [hidden, features], or [2 · hidden, features] with SwiGLU.</summary>
    member _.linear1: SparseLinear = linear1

    /// <summary>The second layer, [features, hidden].</summary>
    member _.linear2: SparseLinear = linear2

    /// <summary>What stands between the layers, unless K-winners do.</summary>
    member _.activation: FeedForwardActivation = activation

    /// <summary>K-winners between the layers, or null.</summary>
    member _.winners: KWinners | null = winners

    /// The outputs of normalized inputs, + a residual, of which a part is dropped before.
    member internal this.Of(x: torch.Tensor, norm: LayerNorm | null, residual: Residual, behind: float) : torch.Tensor =
        match winners with
        | null -> ChainLayers.run { chain with Behind = behind } norm residual this.training x
        | winners ->
            use _ = torch.NewDisposeScope()

            let first =
                match norm with
                | null -> x
                | norm -> norm.call x

            let dropped (part: float) =
                Dropping.apply (if this.training then part else 0.0)

            let y =
                linear1.call first
                |> winners.call
                |> dropped dropout
                |> linear2.call
                |> dropped behind

            let y =
                match residual with
                | Residual.Nothing -> y
                | Residual.Input -> y.add x
                | Residual.Of t -> y.add t

            y.MoveToOuterDisposeScope()

    /// <summary>Both layers.</summary>
    /// <param name="x">Shape [*, features].</param>
    /// <returns>Shape [*, features].</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype or a device is not as said.</exception>
    override this.forward(x: torch.Tensor) : torch.Tensor = this.Of(x, null, Residual.Nothing, 0.0)

    override _.ToString() =
        let between =
            match winners with
            | null -> string activation
            | winners -> string winners

        $"SparseFeedForward({features}, {hidden}, {between}, linear1={linear1}, linear2={linear2})"

    override _.RegisterComponents() = () // parts are registered by name; the default would reflect over fields
