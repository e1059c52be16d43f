using System;
using Microsoft.FSharp.Core;
using TorchSharp;
using static TorchSharp.torch;

namespace SparseFs.CSharp;

#pragma warning disable CS8981 // lower case, as torch, torch.nn and torch.nn.functional are

public static partial class sparsenn
{
    /// <summary>Plain recurrent units whose matrices store, multiply and train only the weights that exist.</summary>
    /// <param name="inputSize">Features of each step of an input, 1 or more.</param>
    /// <param name="hiddenSize">Units of each layer and direction, 1 or more.</param>
    /// <param name="numLayers">Layers, 1 or more.</param>
    /// <param name="nonlinearity">What the units do with their sum.</param>
    /// <param name="hasBias">Whether both matrices have a bias.</param>
    /// <param name="batchFirst">Whether sequences are [batch, steps, features] rather than [steps, batch, features].</param>
    /// <param name="dropout">The part of the outputs that is dropped between two layers, in training.</param>
    /// <param name="bidirectional">Whether each layer also goes through the sequences from their ends.</param>
    /// <param name="sparsity">The part of the weights that do not exist, in [0, 1).</param>
    /// <param name="recurrentSparsity">That of the matrices that take the hidden state; as sparsity if null.</param>
    /// <param name="topology">Draws a pattern from rows, columns, nnz and a seed; uniformly random if null.</param>
    /// <param name="recurrentTopology">That of the matrices that take the hidden state; as topology if null.</param>
    /// <param name="seed">What the patterns are drawn from, each from a child of it; numbers of torch's generator if null.</param>
    /// <param name="init">How the weights are drawn; torch.manual_seed governs the draws.</param>
    /// <param name="device">Where the parameters live; torch's default device if null.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if null.</param>
    /// <param name="policy">How <c>Rewiring.Rewire(model, optimizer)</c> rewires the matrices; not at all if null.</param>
    /// <returns>The module: <c>var (y, h) = rnn.call(x)</c>.</returns>
    /// <exception cref="ArgumentException">A size is below 1, a part is outside its range, dropout is asked for with one layer, or a topology
    /// refuses.</exception>
    public static SparseRNN SparseRNN(
        long inputSize,
        long hiddenSize,
        long numLayers = 1,
        RecurrentNonlinearity nonlinearity = RecurrentNonlinearity.Tanh,
        bool hasBias = true,
        bool batchFirst = false,
        double dropout = 0.0,
        bool bidirectional = false,
        double sparsity = 0.9,
        double? recurrentSparsity = null,
        Func<int, int, int, Seed, Connectivity>? topology = null,
        Func<int, int, int, Seed, Connectivity>? recurrentTopology = null,
        Seed? seed = null,
        Initialization init = Initialization.FanIn,
        Device? device = null,
        ScalarType? dtype = null,
        Policy? policy = null) =>
        new(
            Require.Size(inputSize),
            Require.Size(hiddenSize),
            Require.Size(numLayers),
            nonlinearity,
            hasBias,
            batchFirst,
            dropout,
            bidirectional,
            sparsity,
            recurrentSparsity.OrNone(),
            seed.OrNone(),
            init.ToCore(),
            device.OrNone(),
            dtype.OrNone(),
            FuncConvert.FromFunc(topology ?? Topologies.Uniform),
            FuncConvert.FromFunc(recurrentTopology ?? topology ?? Topologies.Uniform),
            policy.OrNone());

    /// <summary>Gated recurrent units whose matrices store, multiply and train only the weights that exist.</summary>
    /// <param name="inputSize">Features of each step of an input, 1 or more.</param>
    /// <param name="hiddenSize">Units of each layer and direction, 1 or more.</param>
    /// <param name="numLayers">Layers, 1 or more.</param>
    /// <param name="hasBias">Whether both matrices have a bias.</param>
    /// <param name="batchFirst">Whether sequences are [batch, steps, features] rather than [steps, batch, features].</param>
    /// <param name="dropout">The part of the outputs that is dropped between two layers, in training.</param>
    /// <param name="bidirectional">Whether each layer also goes through the sequences from their ends.</param>
    /// <param name="sparsity">The part of the weights that do not exist, in [0, 1).</param>
    /// <param name="recurrentSparsity">That of the matrices that take the hidden state; as sparsity if null.</param>
    /// <param name="topology">Draws a pattern from rows, columns, nnz and a seed; uniformly random if null.</param>
    /// <param name="recurrentTopology">That of the matrices that take the hidden state; as topology if null.</param>
    /// <param name="seed">What the patterns are drawn from, each from a child of it; numbers of torch's generator if null.</param>
    /// <param name="init">How the weights are drawn; torch.manual_seed governs the draws.</param>
    /// <param name="device">Where the parameters live; torch's default device if null.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if null.</param>
    /// <param name="policy">How <c>Rewiring.Rewire(model, optimizer)</c> rewires the matrices; not at all if null.</param>
    /// <returns>The module: <c>var (y, h) = gru.call(x)</c>.</returns>
    /// <exception cref="ArgumentException">A size is below 1, a part is outside its range, dropout is asked for with one layer, or a topology
    /// refuses.</exception>
    public static SparseGRU SparseGRU(
        long inputSize,
        long hiddenSize,
        long numLayers = 1,
        bool hasBias = true,
        bool batchFirst = false,
        double dropout = 0.0,
        bool bidirectional = false,
        double sparsity = 0.9,
        double? recurrentSparsity = null,
        Func<int, int, int, Seed, Connectivity>? topology = null,
        Func<int, int, int, Seed, Connectivity>? recurrentTopology = null,
        Seed? seed = null,
        Initialization init = Initialization.FanIn,
        Device? device = null,
        ScalarType? dtype = null,
        Policy? policy = null) =>
        new(
            Require.Size(inputSize),
            Require.Size(hiddenSize),
            Require.Size(numLayers),
            hasBias,
            batchFirst,
            dropout,
            bidirectional,
            sparsity,
            recurrentSparsity.OrNone(),
            seed.OrNone(),
            init.ToCore(),
            device.OrNone(),
            dtype.OrNone(),
            FuncConvert.FromFunc(topology ?? Topologies.Uniform),
            FuncConvert.FromFunc(recurrentTopology ?? topology ?? Topologies.Uniform),
            policy.OrNone());

    /// <summary>A long short-term memory whose matrices store, multiply and train only the weights that exist.</summary>
    /// <param name="inputSize">Features of each step of an input, 1 or more.</param>
    /// <param name="hiddenSize">Units of each layer and direction, 1 or more.</param>
    /// <param name="numLayers">Layers, 1 or more.</param>
    /// <param name="hasBias">Whether both matrices have a bias.</param>
    /// <param name="batchFirst">Whether sequences are [batch, steps, features] rather than [steps, batch, features].</param>
    /// <param name="dropout">The part of the outputs that is dropped between two layers, in training.</param>
    /// <param name="bidirectional">Whether each layer also goes through the sequences from their ends.</param>
    /// <param name="projSize">Outputs of a layer and direction, made of its units' by a matrix hr_l0; 0 for none.</param>
    /// <param name="sparsity">The part of the weights that do not exist, in [0, 1).</param>
    /// <param name="recurrentSparsity">That of the matrices that take the hidden state; as sparsity if null.</param>
    /// <param name="topology">Draws a pattern from rows, columns, nnz and a seed; uniformly random if null.</param>
    /// <param name="recurrentTopology">That of the matrices that take the hidden state; as topology if null.</param>
    /// <param name="seed">What the patterns are drawn from, each from a child of it; numbers of torch's generator if null.</param>
    /// <param name="init">How the weights are drawn; torch.manual_seed governs the draws.</param>
    /// <param name="device">Where the parameters live; torch's default device if null.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if null.</param>
    /// <param name="policy">How <c>Rewiring.Rewire(model, optimizer)</c> rewires the matrices; not at all if null.</param>
    /// <returns>The module: <c>var (y, h, c) = lstm.call(x)</c>.</returns>
    /// <exception cref="ArgumentException">A size is below 1, a part is outside its range, dropout is asked for with one layer, or a topology
    /// refuses.</exception>
    public static SparseLSTM SparseLSTM(
        long inputSize,
        long hiddenSize,
        long numLayers = 1,
        bool hasBias = true,
        bool batchFirst = false,
        double dropout = 0.0,
        bool bidirectional = false,
        long projSize = 0,
        double sparsity = 0.9,
        double? recurrentSparsity = null,
        Func<int, int, int, Seed, Connectivity>? topology = null,
        Func<int, int, int, Seed, Connectivity>? recurrentTopology = null,
        Seed? seed = null,
        Initialization init = Initialization.FanIn,
        Device? device = null,
        ScalarType? dtype = null,
        Policy? policy = null) =>
        new(
            Require.Size(inputSize),
            Require.Size(hiddenSize),
            Require.Size(numLayers),
            hasBias,
            batchFirst,
            dropout,
            bidirectional,
            Require.Size(projSize),
            sparsity,
            recurrentSparsity.OrNone(),
            seed.OrNone(),
            init.ToCore(),
            device.OrNone(),
            dtype.OrNone(),
            FuncConvert.FromFunc(topology ?? Topologies.Uniform),
            FuncConvert.FromFunc(recurrentTopology ?? topology ?? Topologies.Uniform),
            policy.OrNone());

    /// <summary>One step of gated recurrent units.</summary>
    /// <param name="inputSize">Features of an input, 1 or more.</param>
    /// <param name="hiddenSize">Units, 1 or more.</param>
    /// <param name="hasBias">Whether both matrices have a bias.</param>
    /// <param name="sparsity">The part of the weights that do not exist, in [0, 1).</param>
    /// <param name="recurrentSparsity">That of the matrix that takes the hidden state; as sparsity if null.</param>
    /// <param name="topology">Draws a pattern from rows, columns, nnz and a seed; uniformly random if null.</param>
    /// <param name="recurrentTopology">That of the matrix that takes the hidden state; as topology if null.</param>
    /// <param name="seed">What the patterns are drawn from, each from a child of it; numbers of torch's generator if null.</param>
    /// <param name="init">How the weights are drawn; torch.manual_seed governs the draws.</param>
    /// <param name="device">Where the parameters live; torch's default device if null.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if null.</param>
    /// <param name="policy">How <c>Rewiring.Rewire(model, optimizer)</c> rewires the matrices; not at all if null.</param>
    /// <returns>The cell: <c>h = cell.call(x, h)</c>.</returns>
    /// <exception cref="ArgumentException">A size is below 1, a part is outside its range, or a topology refuses.</exception>
    public static SparseGRUCell SparseGRUCell(
        long inputSize,
        long hiddenSize,
        bool hasBias = true,
        double sparsity = 0.9,
        double? recurrentSparsity = null,
        Func<int, int, int, Seed, Connectivity>? topology = null,
        Func<int, int, int, Seed, Connectivity>? recurrentTopology = null,
        Seed? seed = null,
        Initialization init = Initialization.FanIn,
        Device? device = null,
        ScalarType? dtype = null,
        Policy? policy = null) =>
        new(
            Require.Size(inputSize),
            Require.Size(hiddenSize),
            hasBias,
            sparsity,
            recurrentSparsity.OrNone(),
            seed.OrNone(),
            init.ToCore(),
            device.OrNone(),
            dtype.OrNone(),
            FuncConvert.FromFunc(topology ?? Topologies.Uniform),
            FuncConvert.FromFunc(recurrentTopology ?? topology ?? Topologies.Uniform),
            policy.OrNone());

    /// <summary>One step of a long short-term memory.</summary>
    /// <param name="inputSize">Features of an input, 1 or more.</param>
    /// <param name="hiddenSize">Units, 1 or more.</param>
    /// <param name="hasBias">Whether both matrices have a bias.</param>
    /// <param name="sparsity">The part of the weights that do not exist, in [0, 1).</param>
    /// <param name="recurrentSparsity">That of the matrix that takes the hidden state; as sparsity if null.</param>
    /// <param name="topology">Draws a pattern from rows, columns, nnz and a seed; uniformly random if null.</param>
    /// <param name="recurrentTopology">That of the matrix that takes the hidden state; as topology if null.</param>
    /// <param name="seed">What the patterns are drawn from, each from a child of it; numbers of torch's generator if null.</param>
    /// <param name="init">How the weights are drawn; torch.manual_seed governs the draws.</param>
    /// <param name="device">Where the parameters live; torch's default device if null.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if null.</param>
    /// <param name="policy">How <c>Rewiring.Rewire(model, optimizer)</c> rewires the matrices; not at all if null.</param>
    /// <returns>The cell: <c>(h, c) = cell.call(x, (h, c))</c>.</returns>
    /// <exception cref="ArgumentException">A size is below 1, a part is outside its range, or a topology refuses.</exception>
    public static SparseLSTMCell SparseLSTMCell(
        long inputSize,
        long hiddenSize,
        bool hasBias = true,
        double sparsity = 0.9,
        double? recurrentSparsity = null,
        Func<int, int, int, Seed, Connectivity>? topology = null,
        Func<int, int, int, Seed, Connectivity>? recurrentTopology = null,
        Seed? seed = null,
        Initialization init = Initialization.FanIn,
        Device? device = null,
        ScalarType? dtype = null,
        Policy? policy = null) =>
        new(
            Require.Size(inputSize),
            Require.Size(hiddenSize),
            hasBias,
            sparsity,
            recurrentSparsity.OrNone(),
            seed.OrNone(),
            init.ToCore(),
            device.OrNone(),
            dtype.OrNone(),
            FuncConvert.FromFunc(topology ?? Topologies.Uniform),
            FuncConvert.FromFunc(recurrentTopology ?? topology ?? Topologies.Uniform),
            policy.OrNone());
}
