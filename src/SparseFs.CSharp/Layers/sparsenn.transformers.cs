using System;
using Microsoft.FSharp.Core;
using TorchSharp;
using static TorchSharp.torch;

namespace SparseFs.CSharp;

#pragma warning disable CS8981 // lower case, as torch, torch.nn and torch.nn.functional are

public static partial class sparsenn
{
    /// <summary>The feed-forward part of a transformer: two sparse layers with an activation between them.</summary>
    /// <param name="features">Features of a sample, 1 or more.</param>
    /// <param name="hidden">Units between the layers; 4 · features if null.</param>
    /// <param name="activation">What stands between the layers. With SwiGLU the first layer has 2 · hidden outputs.</param>
    /// <param name="winners">K-winners in place of the activation; none if null.</param>
    /// <param name="dropout">The part of the hidden units that is dropped in training.</param>
    /// <param name="hasBias">Whether both layers have a bias.</param>
    /// <param name="sparsity">The part of the weights that do not exist, in [0, 1).</param>
    /// <param name="topology">Draws a pattern from rows, columns, nnz and a seed; uniformly random if null.</param>
    /// <param name="seed">What the patterns are drawn from, each from a child of it; numbers of torch's generator if null.</param>
    /// <param name="init">How the weights are drawn; torch.manual_seed governs the draws.</param>
    /// <param name="device">Where the parameters live; torch's default device if null.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if null.</param>
    /// <param name="policy">How <c>Rewiring.Rewire(model, optimizer)</c> rewires the layers; not at all if null.</param>
    /// <returns>The module: input and output [*, features].</returns>
    /// <exception cref="ArgumentException">A size is below 1, a part is outside its range, or the topology refuses.</exception>
    public static SparseFeedForward SparseFeedForward(
        long features,
        long? hidden = null,
        FeedForwardActivation activation = FeedForwardActivation.GELU,
        KWinnersOptions? winners = null,
        double dropout = 0.0,
        bool hasBias = true,
        double sparsity = 0.9,
        Func<int, int, int, Seed, Connectivity>? topology = null,
        Seed? seed = null,
        Initialization init = Initialization.FanIn,
        Device? device = null,
        ScalarType? dtype = null,
        Policy? policy = null) =>
        new(
            Require.Size(features),
            (hidden is { } units ? (int?)Require.Size(units, nameof(hidden)) : null).OrNone(),
            activation,
            winners.OrNone(),
            dropout,
            hasBias,
            sparsity,
            seed.OrNone(),
            init.ToCore(),
            device.OrNone(),
            dtype.OrNone(),
            FuncConvert.FromFunc(topology ?? Topologies.Uniform),
            policy.OrNone());

    /// <summary>Multi-head attention whose projections store, multiply and train only the weights that exist.</summary>
    /// <param name="embedDim">Features of queries and outputs, 1 or more.</param>
    /// <param name="numHeads">Heads, which divide the features.</param>
    /// <param name="dropout">The part of the attention's weights that is dropped in training.</param>
    /// <param name="hasBias">Whether projections have a bias.</param>
    /// <param name="kdim">Features of keys; embedDim if null.</param>
    /// <param name="vdim">Features of values; embedDim if null.</param>
    /// <param name="batchFirst">Whether inputs are [batch, tokens, features] rather than [tokens, batch, features].</param>
    /// <param name="sparsity">The part of the weights that do not exist, in [0, 1).</param>
    /// <param name="topology">Draws a pattern from rows, columns, nnz and a seed; uniformly random if null.</param>
    /// <param name="seed">What the patterns are drawn from, each from a child of it; numbers of torch's generator if null.</param>
    /// <param name="init">How the weights of queries, keys and values are drawn; torch.manual_seed governs the draws.</param>
    /// <param name="device">Where the parameters live; torch's default device if null.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if null.</param>
    /// <param name="policy">How <c>Rewiring.Rewire(model, optimizer)</c> rewires the layers; not at all if null.</param>
    /// <returns>The module: <c>attention.call(x)</c>, or <c>attention.Attend(query, key, value)</c>.</returns>
    /// <exception cref="ArgumentException">A size is below 1, heads do not divide the features, a part is outside its range, or the topology
    /// refuses.</exception>
    public static SparseMultiheadAttention SparseMultiheadAttention(
        long embedDim,
        long numHeads,
        double dropout = 0.0,
        bool hasBias = true,
        long? kdim = null,
        long? vdim = null,
        bool batchFirst = false,
        double sparsity = 0.9,
        Func<int, int, int, Seed, Connectivity>? topology = null,
        Seed? seed = null,
        Initialization init = Initialization.XavierUniform,
        Device? device = null,
        ScalarType? dtype = null,
        Policy? policy = null) =>
        new(
            Require.Size(embedDim),
            Require.Size(numHeads),
            dropout,
            hasBias,
            Require.Size(kdim ?? embedDim, nameof(kdim)),
            Require.Size(vdim ?? embedDim, nameof(vdim)),
            batchFirst,
            sparsity,
            seed.OrNone(),
            init.ToCore(),
            device.OrNone(),
            dtype.OrNone(),
            FuncConvert.FromFunc(topology ?? Topologies.Uniform),
            policy.OrNone());

    /// <summary>A block of a decoder-only transformer, as GPT has it.</summary>
    /// <param name="features">Features of a token, 1 or more.</param>
    /// <param name="heads">Heads of the attention, which divide the features.</param>
    /// <param name="hidden">Units of the feed-forward part; 4 · features if null.</param>
    /// <param name="activation">That of the feed-forward part.</param>
    /// <param name="winners">K-winners in place of the activation; none if null.</param>
    /// <param name="dropout">The part of both parts' outputs, and of the attention's weights, that is dropped in training.</param>
    /// <param name="hasBias">Whether projections and layers have a bias.</param>
    /// <param name="sparsity">The part of the weights of the attention that do not exist, in [0, 1).</param>
    /// <param name="feedForwardSparsity">That of the feed-forward part; as sparsity if null.</param>
    /// <param name="topology">Draws a pattern from rows, columns, nnz and a seed; uniformly random if null.</param>
    /// <param name="seed">What the patterns are drawn from, each from a child of it; numbers of torch's generator if null.</param>
    /// <param name="device">Where the parameters live; torch's default device if null.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if null.</param>
    /// <param name="policy">How <c>Rewiring.Rewire(model, optimizer)</c> rewires the layers; not at all if null.</param>
    /// <returns>The module: input and output [batch, tokens, features].</returns>
    /// <exception cref="ArgumentException">A size is below 1, heads do not divide the features, a part is outside its range, or the topology
    /// refuses.</exception>
    public static SparseTransformerBlock SparseTransformerBlock(
        long features,
        long heads,
        long? hidden = null,
        FeedForwardActivation activation = FeedForwardActivation.GELU,
        KWinnersOptions? winners = null,
        double dropout = 0.0,
        bool hasBias = true,
        double sparsity = 0.9,
        double? feedForwardSparsity = null,
        Func<int, int, int, Seed, Connectivity>? topology = null,
        Seed? seed = null,
        Device? device = null,
        ScalarType? dtype = null,
        Policy? policy = null) =>
        new(
            Require.Size(features),
            Require.Size(heads),
            (hidden is { } units ? (int?)Require.Size(units, nameof(hidden)) : null).OrNone(),
            activation,
            winners.OrNone(),
            dropout,
            hasBias,
            sparsity,
            feedForwardSparsity.OrNone(),
            seed.OrNone(),
            device.OrNone(),
            dtype.OrNone(),
            FuncConvert.FromFunc(topology ?? Topologies.Uniform),
            policy.OrNone());

    /// <summary>A layer of a transformer's encoder whose projections store, multiply and train only the weights that exist.</summary>
    /// <param name="dModel">Features of a token, 1 or more.</param>
    /// <param name="nhead">Heads of the attention, which divide the features.</param>
    /// <param name="dimFeedforward">Units of the feed-forward part.</param>
    /// <param name="dropout">What is dropped in training, of the attention's weights, hidden units and both parts' outputs.</param>
    /// <param name="activation">That of the feed-forward part.</param>
    /// <param name="batchFirst">Whether inputs are [batch, tokens, features] rather than [tokens, batch, features].</param>
    /// <param name="normFirst">Whether normalizations come before the parts.</param>
    /// <param name="sparsity">The part of the weights that do not exist, in [0, 1).</param>
    /// <param name="topology">Draws a pattern from rows, columns, nnz and a seed; uniformly random if null.</param>
    /// <param name="seed">What the patterns are drawn from, each from a child of it; numbers of torch's generator if null.</param>
    /// <param name="device">Where the parameters live; torch's default device if null.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if null.</param>
    /// <param name="policy">How <c>Rewiring.Rewire(model, optimizer)</c> rewires the layers; not at all if null.</param>
    /// <returns>The module: <c>layer.call(src)</c>, or <c>layer.Encode(src, srcMask)</c>.</returns>
    /// <exception cref="ArgumentException">A size is below 1, heads do not divide the features, a part is outside its range, or the topology
    /// refuses.</exception>
    public static SparseTransformerEncoderLayer SparseTransformerEncoderLayer(
        long dModel,
        long nhead,
        long dimFeedforward = 2048,
        double dropout = 0.1,
        FeedForwardActivation activation = FeedForwardActivation.ReLU,
        bool batchFirst = false,
        bool normFirst = false,
        double sparsity = 0.9,
        Func<int, int, int, Seed, Connectivity>? topology = null,
        Seed? seed = null,
        Device? device = null,
        ScalarType? dtype = null,
        Policy? policy = null) =>
        new(
            Require.Size(dModel),
            Require.Size(nhead),
            Require.Size(dimFeedforward),
            dropout,
            activation,
            batchFirst,
            normFirst,
            sparsity,
            seed.OrNone(),
            device.OrNone(),
            dtype.OrNone(),
            FuncConvert.FromFunc(topology ?? Topologies.Uniform),
            policy.OrNone());
}
