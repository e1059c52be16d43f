namespace SparseFs

open System
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules

/// <summary>A block of a decoder-only transformer, as GPT has it: x + attention(norm(x)), then + feed-forward(norm of that).</summary>
/// <remarks>
/// Input and output [batch, tokens, features]; a token sees itself and those before it. Parts, in state_dict too: <c>norm1</c>, <c>attn</c>, <c>norm2</c> and
/// <c>ff</c>. Float32 on the CPU takes normalizations and residuals up in the products beside them. Radford et al. 2019 (GPT-2), section 2.3.
/// </remarks>
/// <example><code>
/// let block = new SparseTransformerBlock(384, 6, sparsity = 0.9, seed = Seed.ofInt 1)
/// (block.call (torch.randn (16L, 128L, 384L))).shape // = [|16L; 128L; 384L|]
/// </code></example>
[<Sealed>]
type SparseTransformerBlock
    internal (norm1: LayerNorm, attn: SparseMultiheadAttention, norm2: LayerNorm, ff: SparseFeedForward, dropout: float)
    =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("SparseTransformerBlock")

    do
        base.register_module ("norm1", norm1)
        base.register_module ("attn", attn)
        base.register_module ("norm2", norm2)
        base.register_module ("ff", ff)

    /// <summary>A block over patterns that are drawn: uniformly random connections, or those of a topology.</summary>
    /// <param name="features">Features of a token, 1 or more.</param>
    /// <param name="heads">Heads of the attention, which divide the features.</param>
    /// <param name="hidden">Units of the feed-forward part; 4 · features by default.</param>
    /// <param name="activation">That of the feed-forward part; GELU by default.</param>
    /// <param name="winners">K-winners in place of the activation.</param>
    /// <param name="dropout">The part of both parts' outputs, and of the attention's weights, that is dropped in training; 0 by default.</param>
    /// <param name="hasBias">Whether projections and layers have a bias; true by default.</param>
    /// <param name="sparsity">The part of the weights of the attention that do not exist, in [0, 1); 0.9 by default.</param>
    /// <param name="feedForwardSparsity">That of the feed-forward part; as sparsity by default.</param>
    /// <param name="seed">What the patterns are drawn from, each from a child of it; numbers of torch's generator if not given.</param>
    /// <param name="device">Where the parameters live; torch's default device if not given.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if not given.</param>
    /// <param name="topology">Draws a pattern from rows, columns, nnz and a seed; Topology.uniform by default.</param>
    /// <param name="policy">How a Rewirer that follows its layers rewires all of them; not at all by default.</param>
    /// <exception cref="T:System.ArgumentException">A size is below 1, heads do not divide the features, a part is outside its range, or the topology
    /// refuses.</exception>
    new
        (
            features: int,
            heads: int,
            ?hidden: int,
            ?activation: FeedForwardActivation,
            ?winners: KWinnersOptions,
            ?dropout: float,
            ?hasBias: bool,
            ?sparsity: float,
            ?feedForwardSparsity: float,
            ?seed: Seed,
            ?device: torch.Device,
            ?dtype: torch.ScalarType,
            ?topology: int -> int -> int -> Seed -> Connectivity,
            ?policy: Policy
        ) =
        TransformerSizes.check (nameof features) features
        TransformerSizes.checkHeads (nameof heads) features heads
        let sparsity = defaultArg sparsity 0.9
        let dropout = TransformerSizes.part (nameof dropout) (defaultArg dropout 0.0)

        let attn =
            new SparseMultiheadAttention(
                features,
                heads,
                dropout = dropout,
                ?hasBias = hasBias,
                batchFirst = true,
                sparsity = sparsity,
                ?seed = (seed |> Option.map (Seed.child 0)),
                ?device = device,
                ?dtype = dtype,
                ?topology = topology,
                ?policy = policy
            )

        let ff =
            new SparseFeedForward(
                features,
                ?hidden = hidden,
                ?activation = activation,
                ?winners = winners,
                ?hasBias = hasBias,
                sparsity = defaultArg feedForwardSparsity sparsity,
                ?seed = (seed |> Option.map (Seed.child 1)),
                ?device = device,
                ?dtype = dtype,
                ?topology = topology,
                ?policy = policy
            )

        let norm () =
            torch.nn.LayerNorm(int64 features, device = attn.out_proj.weight.device, dtype = attn.out_proj.weight.dtype)

        new SparseTransformerBlock(norm (), attn, norm (), ff, dropout)

    /// <summary>The normalization before the attention.</summary>
    member _.norm1: LayerNorm = norm1

    /// <summary>The attention.</summary>
    member _.attn: SparseMultiheadAttention = attn

    /// <summary>The normalization before the feed-forward part.</summary>
    member _.norm2: LayerNorm = norm2

    /// <summary>The feed-forward part.</summary>
    member _.ff: SparseFeedForward = ff

    member private this.Of(x: torch.Tensor, cache: KeyValueCache | null) : torch.Tensor =
        if isNull (box x) then
            nullArg (nameof x)

        if x.dim () <> 3L || x.shape[2] <> attn.embed_dim then
            let expected =
                $"expected x of shape [batch, tokens, features] with {attn.embed_dim} features"

            raise (ArgumentException($"{expected}, got {Shape.text x.shape}. The layer is {this}", nameof x))

        use _ = torch.NewDisposeScope()
        let behind = dropout
        let middle = attn.OfBlock(x, norm1, null, true, cache, Residual.Of x, behind)
        (ff.Of(middle, norm2, Residual.Input, behind)).MoveToOuterDisposeScope()

    /// <summary>The block.</summary>
    /// <param name="x">[batch, tokens, features].</param>
    /// <returns>As x.</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype or a device is not as said.</exception>
    override this.forward(x: torch.Tensor) : torch.Tensor = this.Of(x, null)

    /// <summary>The block, of tokens behind those that a cache holds; they come into it. It gives no gradient to keys and values.</summary>
    /// <param name="x">[batch, tokens, features].</param>
    /// <param name="cache">Of this block and these sequences.</param>
    /// <returns>As x.</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype or a device is not as said, or the cache holds no more or other tokens.</exception>
    member this.call(x: torch.Tensor, cache: KeyValueCache) : torch.Tensor =
        ArgumentNullException.ThrowIfNull(cache, nameof cache)
        this.Of(x, cache)

    override _.ToString() =
        $"SparseTransformerBlock(attn={attn}, ff={ff})"

    override _.RegisterComponents() = () // parts are registered by name; the default would reflect over fields
