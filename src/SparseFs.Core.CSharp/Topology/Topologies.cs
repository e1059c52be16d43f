using System;
using Microsoft.FSharp.Core;

namespace SparseFs.CSharp;

/// <summary>Generators of patterns: each exact in nnz, each a pure function of its arguments and a seed.</summary>
public static class Topologies
{
    /// <summary>Exactly nnz distinct cells, every such pattern equally likely.</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <param name="nnz">Slots, 0..rows·cols; <c>Sparsities.ToNnz</c> counts them from a sparsity.</param>
    /// <param name="seed">The same seed gives the same pattern on every machine.</param>
    /// <returns>The pattern, shape [rows, cols].</returns>
    /// <exception cref="ArgumentOutOfRangeException">A size is negative or nnz is outside 0..rows·cols.</exception>
    /// <remarks>Memory in proportion to nnz, whatever rows·cols is.</remarks>
    public static Connectivity Uniform(int rows, int cols, int nnz, Seed seed) =>
        Topology.Uniform(rows, cols, nnz, seed);

    /// <summary>Connections that get rarer with the distance of their two nodes: a small world.</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <param name="nnz">Slots: 0, or from the number of cells at distance 0 to rows·cols.</param>
    /// <param name="seed">The same seed gives the same pattern on every machine.</param>
    /// <param name="placement">How the rows are laid over the columns.</param>
    /// <param name="lambda">How fast connections get rarer, in [0, 1000]; solved if null.</param>
    /// <returns>Exactly nnz slots; the chance of a cell at distance d falls as (d + 1)^−λ.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A size is negative, nnz or lambda is outside its range.</exception>
    public static Connectivity SmallWorld(
        int rows,
        int cols,
        int nnz,
        Seed seed,
        Placement placement = Placement.Centred,
        double? lambda = null) =>
        Topology.SmallWorldWith(
            placement,
            lambda is { } value
                ? FSharpValueOption<double>.NewValueSome(value)
                : FSharpValueOption<double>.ValueNone,
            rows,
            cols,
            nnz,
            seed);

    /// <summary>Watts and Strogatz's small worlds, with rows over a ring of columns.</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <param name="fanIn">Slots of each row, 0..cols.</param>
    /// <param name="beta">The chance that a slot is rewired, in [0, 1].</param>
    /// <param name="seed">The same seed gives the same pattern on every machine.</param>
    /// <returns>rows · fanIn slots.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A size is negative, fanIn or beta is outside its range, or nnz would
    /// exceed 2^31 − 1.</exception>
    public static Connectivity WattsStrogatz(int rows, int cols, int fanIn, double beta, Seed seed) =>
        Topology.WattsStrogatz(rows, cols, fanIn, beta, seed);

    /// <summary>Every row has the same number of slots, at uniformly drawn columns.</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <param name="fanIn">Slots of each row, 0..cols.</param>
    /// <param name="seed">The same seed gives the same pattern on every machine.</param>
    /// <returns>rows · fanIn slots.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A size is negative, fanIn is outside 0..cols, or nnz would exceed
    /// 2^31 − 1.</exception>
    public static Connectivity ConstantFanIn(int rows, int cols, int fanIn, Seed seed) =>
        Topology.ConstantFanIn(rows, cols, fanIn, seed);

    /// <summary>Every column has the same number of slots, at uniformly drawn rows.</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <param name="fanOut">Slots of each column, 0..rows.</param>
    /// <param name="seed">The same seed gives the same pattern on every machine.</param>
    /// <returns>cols · fanOut slots.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A size is negative, fanOut is outside 0..rows, or nnz would exceed
    /// 2^31 − 1.</exception>
    public static Connectivity ConstantFanOut(int rows, int cols, int fanOut, Seed seed) =>
        Topology.ConstantFanOut(rows, cols, fanOut, seed);

    /// <summary>Every row has the same number of slots, and every column too.</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <param name="fanIn">Slots of each row, 0..cols; rows · fanIn must be a multiple of cols.</param>
    /// <param name="seed">The same seed gives the same pattern on every machine.</param>
    /// <returns>rows · fanIn slots; each column has rows · fanIn / cols of them.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A size is negative, fanIn is outside 0..cols, the columns cannot share
    /// the slots evenly, or nnz would exceed 2^31 − 1.</exception>
    public static Connectivity Biregular(int rows, int cols, int fanIn, Seed seed) =>
        Topology.Biregular(rows, cols, fanIn, seed);

    /// <summary>Fan-outs that follow a power law: hubs among the columns, by preferential attachment.</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <param name="nnz">Slots: 0, or cols..rows·cols, since every column has one.</param>
    /// <param name="seed">The same seed gives the same pattern on every machine.</param>
    /// <param name="exponent">γ of the law, above 2 and at most 100; 3 is Barabási and Albert's.</param>
    /// <returns>nnz slots.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A size is negative, or nnz or exponent is outside its range.</exception>
    public static Connectivity ScaleFree(int rows, int cols, int nnz, Seed seed, double exponent = 3.0) =>
        Topology.ScaleFree(rows, cols, nnz, exponent, seed);

    /// <summary>Each row's slots side by side, around its place on the diagonal.</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <param name="nnz">Slots, 0..rows·cols.</param>
    /// <returns>nnz slots; fan-ins differ by at most one.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A size is negative or nnz is outside 0..rows·cols.</exception>
    public static Connectivity Banded(int rows, int cols, int nnz) => Topology.Banded(rows, cols, nnz);

    /// <summary>Whole blocks of size by size, at uniformly drawn places of the grid of blocks.</summary>
    /// <param name="rows">out_features, a multiple of size.</param>
    /// <param name="cols">in_features, a multiple of size.</param>
    /// <param name="size">Rows and columns of a block, 1 or more.</param>
    /// <param name="blocks">How many blocks.</param>
    /// <param name="seed">The same seed gives the same pattern on every machine.</param>
    /// <returns>blocks · size² slots.</returns>
    /// <exception cref="ArgumentOutOfRangeException">size is below 1, a size is not a multiple of it, blocks is outside its
    /// range, or nnz would exceed 2^31 − 1.</exception>
    /// <remarks>Such a pattern has row groups of size, or of a multiple of it, which products take together:
    /// <c>RowGroups</c> draws blocks of one column.</remarks>
    public static Connectivity Block(int rows, int cols, int size, int blocks, Seed seed) =>
        Topology.Block(rows, cols, size, blocks, seed);

    /// <summary>Groups of neighbouring rows that share their columns: blocks of size rows by one column, at uniformly drawn
    /// places: a product loads each input once for all rows of a group.</summary>
    /// <param name="size">Rows of a group, 1 or more: 4 is the fastest.</param>
    /// <param name="rows">out_features, 0 or more; where it is no multiple of size, the last group is smaller.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <param name="nnz">Slots that are wanted, 0..rows·cols.</param>
    /// <param name="seed">The same seed gives the same pattern on every machine.</param>
    /// <returns>As many slots as whole groups have, nearest to nnz.</returns>
    /// <exception cref="ArgumentOutOfRangeException">size is below 1, a size is negative or nnz is outside 0..rows·cols.</exception>
    public static Connectivity RowGroups(int size, int rows, int cols, int nnz, Seed seed) =>
        Topology.RowGroups(size, rows, cols, nnz, seed);

    /// <summary>Groups of neighbouring rows that share their columns, as a topology of layers:
    /// <c>sparsenn.SparseLinear(784, 300, sparsity: 0.9, topology: Topologies.RowGroups(4))</c>.</summary>
    /// <param name="size">Rows of a group, 1 or more: 4 is the fastest.</param>
    /// <returns>A function of rows, columns, slots and a seed.</returns>
    /// <exception cref="ArgumentOutOfRangeException">size is below 1.</exception>
    public static Func<int, int, int, Seed, Connectivity> RowGroups(int size) =>
        size >= 1
            ? (rows, cols, nnz, seed) => Topology.RowGroups(size, rows, cols, nnz, seed)
            : throw new ArgumentOutOfRangeException(nameof(size), size, $"expected 1 or more rows, got {size}");

    /// <summary>Whole kernels of a convolution, at the pairs of channels that another topology draws, as a topology of layers:
    /// <c>sparsenn.SparseConv2d(64, 128, 3, sparsity: 0.9, topology: Topologies.InKernels(9))</c>.</summary>
    /// <param name="cells">Cells of a kernel: 9 of 3 × 3.</param>
    /// <param name="topology">Draws the pairs, from rows, input channels, kernels and a seed; null for uniform ones.</param>
    /// <returns>A function of rows, columns, slots and a seed.</returns>
    /// <exception cref="ArgumentOutOfRangeException">cells is below 1.</exception>
    public static Func<int, int, int, Seed, Connectivity> InKernels(
        int cells,
        Func<int, int, int, Seed, Connectivity>? topology = null) =>
        cells >= 1
            ? (rows, cols, nnz, seed) => Topology.InKernels(
                cells, FuncConvert.FromFunc(topology ?? Uniform), rows, cols, nnz, seed)
            : throw new ArgumentOutOfRangeException(nameof(cells), cells, $"expected 1 cell or more, got {cells}");

    /// <summary>N of every M columns that follow each other, in each row by itself: N:M sparsity.</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, a multiple of m.</param>
    /// <param name="n">Slots of each m columns, 0..m.</param>
    /// <param name="m">Columns that a choice is made of, 1 or more. They are no row group: each row chooses by itself.</param>
    /// <param name="seed">The same seed gives the same pattern on every machine.</param>
    /// <returns>rows · cols · n / m slots.</returns>
    /// <exception cref="ArgumentOutOfRangeException">m is below 1, n is outside 0..m, cols is not a multiple of m, or nnz would
    /// exceed 2^31 − 1.</exception>
    public static Connectivity NOfM(int rows, int cols, int n, int m, Seed seed) =>
        Topology.NOfM(rows, cols, n, m, seed);
}
