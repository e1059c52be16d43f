using System;

namespace SparseFs.CSharp;

/// <summary>What a pattern is like as a graph whose nodes are the rows and the columns, and whose edges are the slots.</summary>
public static class ConnectivityMetrics
{
    /// <summary>How many inputs the rows have.</summary>
    /// <param name="connectivity">The pattern.</param>
    /// <returns>The distribution of the fan-ins.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="connectivity"/> is null.</exception>
    public static DegreeDistribution FanInDistribution(this Connectivity connectivity) =>
        GraphMetrics.FanInDistribution(Require.NotNull(connectivity));

    /// <summary>How many outputs the columns have.</summary>
    /// <param name="connectivity">The pattern.</param>
    /// <returns>The distribution of the fan-outs.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="connectivity"/> is null.</exception>
    public static DegreeDistribution FanOutDistribution(this Connectivity connectivity) =>
        GraphMetrics.FanOutDistribution(Require.NotNull(connectivity));

    /// <summary>Rows without a slot: outputs that depend on no input.</summary>
    /// <param name="connectivity">The pattern.</param>
    /// <returns>How many there are.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="connectivity"/> is null.</exception>
    public static int DeadRows(this Connectivity connectivity) => GraphMetrics.DeadRows(Require.NotNull(connectivity));

    /// <summary>Columns without a slot: inputs that nothing depends on.</summary>
    /// <param name="connectivity">The pattern.</param>
    /// <returns>How many there are.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="connectivity"/> is null.</exception>
    public static int DeadCols(this Connectivity connectivity) => GraphMetrics.DeadCols(Require.NotNull(connectivity));

    /// <summary>The mean distance of the two nodes of a slot, |column − place of the row|.</summary>
    /// <param name="connectivity">The pattern.</param>
    /// <param name="placement">How the rows are laid over the columns.</param>
    /// <returns>In columns; 0 without slots.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="connectivity"/> is null.</exception>
    /// <exception cref="ArgumentException">The placement does not exist.</exception>
    public static double MeanDistance(
        this Connectivity connectivity,
        Placement placement = Placement.Centred) =>
        GraphMetrics.MeanDistance(placement, Require.NotNull(connectivity));

    /// <summary>The Jaccard overlap of two patterns: common slots over slots of either.</summary>
    /// <param name="a">Shape [rows, cols].</param>
    /// <param name="b">The same shape.</param>
    /// <returns>In [0, 1]; 1 for equal patterns, two empty ones included.</returns>
    /// <exception cref="ArgumentNullException">A pattern is null.</exception>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    public static double Overlap(this Connectivity a, Connectivity b) =>
        GraphMetrics.Overlap(Require.NotNull(a), Require.NotNull(b));

    /// <summary>Connected components of the graph; a row or a column without a slot is one by itself.</summary>
    /// <param name="connectivity">The pattern.</param>
    /// <returns>0 without nodes, 1 where every node can be reached from every other.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="connectivity"/> is null.</exception>
    public static int Components(this Connectivity connectivity) => GraphMetrics.Components(Require.NotNull(connectivity));

    /// <summary>The bipartite clustering coefficient: the part of the paths of three slots whose ends are joined too.</summary>
    /// <param name="connectivity">The pattern.</param>
    /// <param name="samples">Rows whose paths are counted; if there are no more rows, it is exact.</param>
    /// <param name="seed">Draws the rows, where there are more.</param>
    /// <returns>In [0, 1]: 4 · (cycles of four) / (paths of three), 0 where there is no such path.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="connectivity"/> is null.</exception>
    /// <exception cref="ArgumentOutOfRangeException">samples is below 1.</exception>
    public static double Clustering(this Connectivity connectivity, int samples = 1000, Seed seed = default) =>
        GraphMetrics.Clustering(samples, seed, Require.NotNull(connectivity));

    /// <summary>The mean number of slots on the shortest way between two nodes, over all pairs that a way joins.</summary>
    /// <param name="connectivity">The pattern.</param>
    /// <param name="samples">Nodes from which ways are measured; if there are no more rows and columns, it is exact.</param>
    /// <param name="seed">Draws the nodes, where there are more.</param>
    /// <returns>1 or more; NaN where no two nodes are joined.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="connectivity"/> is null.</exception>
    /// <exception cref="ArgumentOutOfRangeException">samples is below 1.</exception>
    public static double PathLength(this Connectivity connectivity, int samples = 1000, Seed seed = default) =>
        GraphMetrics.PathLength(samples, seed, Require.NotNull(connectivity));
}
