namespace SparseFs

open System

/// <summary>Generators of patterns: each exact in nnz (row groups to whole groups), each a pure function of its arguments and a seed.</summary>
[<RequireQualifiedAccess>]
module Topology =

    /// <summary>Exactly nnz distinct cells, every such pattern equally likely.</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <param name="nnz">Slots, 0..rows·cols.</param>
    /// <param name="seed">The same seed gives the same pattern on every machine.</param>
    /// <exception cref="T:System.ArgumentOutOfRangeException">A size is negative or nnz is outside 0..rows·cols.</exception>
    /// <remarks>Memory in proportion to nnz, whatever rows·cols is; time O(nnz), with one pass a factor 2048 of cells.</remarks>
    /// <example><code>
    /// let pattern = Topology.uniform 300 784 (Sparsity.nnz 300 784 0.9) seed
    /// pattern.Nnz // = 23520
    /// </code></example>
    [<CompiledName "Uniform">]
    let uniform (rows: int) (cols: int) (nnz: int) (seed: Seed) : Connectivity =
        Sparsity.checkNnz rows cols nnz

        Connectivity.ofSortedCells
            rows
            cols
            (SampleWithoutReplacement.distinct (Sparsity.cells rows cols) nnz (Draws seed))

    /// <summary>As <c>smallWorld</c>, with a choice of the layout and, if wanted, of λ.</summary>
    /// <param name="placement">How the rows are laid over the columns.</param>
    /// <param name="lambda">How fast connections get rarer, in [0, 1000]; solved if none.</param>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <param name="nnz">Slots, 0..rows·cols.</param>
    /// <param name="seed">The same seed gives the same pattern on every machine.</param>
    /// <returns>nnz slots. With λ given, the chance at distance d is min(1, c · (d + 1)^−λ), with the c that makes the
    /// expected number nnz.</returns>
    /// <exception cref="T:System.ArgumentOutOfRangeException">As <c>smallWorld</c>, or λ is outside its range.</exception>
    /// <example><code>
    /// // Rows spread over all columns, and connections that fall off with the square of the distance.
    /// let pattern = Topology.smallWorldWith Placement.Stretched (ValueSome 2.0) 300 784 11760 seed
    /// printfn $"{GraphMetrics.meanDistance Placement.Stretched pattern} columns away in the mean"
    /// </code></example>
    [<CompiledName "SmallWorldWith">]
    let smallWorldWith (placement: Placement) (lambda: float voption) rows cols nnz (seed: Seed) : Connectivity =
        SmallWorld.pattern placement lambda rows cols nnz seed

    /// <summary>Connections that get rarer with the distance of their two nodes: a small world.</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <param name="nnz">Slots: 0, or from the number of cells at distance 0 (at most min(rows, cols) of them when centred)
    /// to rows·cols.</param>
    /// <param name="seed">The same seed gives the same pattern on every machine.</param>
    /// <returns>Exactly nnz slots; the chance of a cell at distance d is (d + 1)^−λ, with the one λ ≥ 0 that makes the
    /// expected number of slots nnz. Rows and columns lie over one line, their middles together.</returns>
    /// <exception cref="T:System.ArgumentOutOfRangeException">A size is negative, nnz is outside 0..rows·cols, or nnz is
    /// below the number of cells at distance 0, which the law makes certain.</exception>
    /// <remarks>O(rows + cols + nnz) time and memory. SparseLinear's law; it solves λ for each chunk, loosely, and tosses a
    /// coin for each cell, so that nnz varies. Here nnz is exact: classes of equal distance get their expected counts,
    /// rounded by systematic sampling, and the cells of a class are drawn uniformly.</remarks>
    /// <example><code>
    /// let layer = new SparseLinear(784, 300, sparsity = 0.95, topology = Topology.smallWorld)
    /// layer.Connectivity.Nnz // = 11760
    /// </code></example>
    [<CompiledName "SmallWorld">]
    let smallWorld (rows: int) (cols: int) (nnz: int) (seed: Seed) : Connectivity =
        smallWorldWith Placement.Centred ValueNone rows cols nnz seed

    /// <summary>Every row has the same number of slots, at uniformly drawn columns.</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <param name="fanIn">Slots of each row, 0..cols.</param>
    /// <param name="seed">The same seed gives the same pattern on every machine.</param>
    /// <returns>rows · fanIn slots; each set of columns of a row is equally likely.</returns>
    /// <exception cref="T:System.ArgumentOutOfRangeException">A size is negative, fanIn is outside 0..cols, or nnz would
    /// exceed 2^31 − 1.</exception>
    /// <remarks>O(rows · fanIn). The topology of Lasby et al., "Dynamic sparse training with structured sparsity", 2024
    /// (SRigL), at its start.</remarks>
    /// <example><code>
    /// let layer = new SparseLinear(Topology.constantFanIn 300 784 20 seed)
    /// layer.Connectivity.Nnz // = 6000
    /// </code></example>
    [<CompiledName "ConstantFanIn">]
    let constantFanIn (rows: int) (cols: int) (fanIn: int) (seed: Seed) : Connectivity =
        Sparsity.checkShape rows cols
        DegreeSequence.checkAtMost (nameof fanIn) cols fanIn "the columns"
        DegreeSequence.checkTotal (nameof fanIn) rows fanIn
        let draws = Draws seed

        DegreeSequence.byRows rows cols fanIn (fun _ ->
            SampleWithoutReplacement.distinct (int64 cols) fanIn draws |> Array.map int)

    /// <summary>Every column has the same number of slots, at uniformly drawn rows.</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <param name="fanOut">Slots of each column, 0..rows.</param>
    /// <param name="seed">The same seed gives the same pattern on every machine.</param>
    /// <returns>cols · fanOut slots; each set of rows of a column is equally likely.</returns>
    /// <exception cref="T:System.ArgumentOutOfRangeException">A size is negative, fanOut is outside 0..rows, or nnz would
    /// exceed 2^31 − 1.</exception>
    /// <example><code>
    /// let pattern = Topology.constantFanOut 300 784 3 seed // each pixel is looked at by three units
    /// pattern.Nnz // = 2352
    /// </code></example>
    [<CompiledName "ConstantFanOut">]
    let constantFanOut (rows: int) (cols: int) (fanOut: int) (seed: Seed) : Connectivity =
        Sparsity.checkShape rows cols
        DegreeSequence.checkAtMost (nameof fanOut) rows fanOut "the rows"
        DegreeSequence.checkTotal (nameof fanOut) cols fanOut
        fst (Connectivity.transpose (constantFanIn cols rows fanOut seed))

    /// <summary>Every row has the same number of slots, and every column too.</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <param name="fanIn">Slots of each row, 0..cols; rows · fanIn must be a multiple of cols.</param>
    /// <param name="seed">The same seed gives the same pattern on every machine.</param>
    /// <returns>rows · fanIn slots; each column has rows · fanIn / cols of them.</returns>
    /// <exception cref="T:System.ArgumentOutOfRangeException">A size is negative, fanIn is outside 0..cols, the columns
    /// cannot share the slots evenly, or nnz would exceed 2^31 − 1.</exception>
    /// <remarks>A shuffled circulant, then rounds of trades between rows that change no fan-in and no fan-out, enough that
    /// every such pattern is about equally likely (Carstens et al., ESA 2018). O(nnz · log rows).</remarks>
    /// <example><code>
    /// let pattern = Topology.biregular 300 600 20 seed
    /// Connectivity.fanOut pattern |> Array.distinct // = [|10|]
    /// </code></example>
    [<CompiledName "Biregular">]
    let biregular (rows: int) (cols: int) (fanIn: int) (seed: Seed) : Connectivity =
        DegreeSequence.biregular rows cols fanIn seed

    /// <summary>Fan-outs that follow a power law: hubs among the columns, by preferential attachment.</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <param name="nnz">Slots: 0, or cols..rows·cols, since every column has one.</param>
    /// <param name="exponent">γ of the law, above 2 and at most 100; 3 is Barabási and Albert's.</param>
    /// <param name="seed">The same seed gives the same pattern on every machine.</param>
    /// <returns>nnz slots. The chance of a fan-out k falls as (k + a)^−γ where a = (γ − 2)(nnz / cols − 1) − 1, up to rows,
    /// the most that a column can have; a column's rows are drawn uniformly.</returns>
    /// <exception cref="T:System.ArgumentOutOfRangeException">A size is negative, or nnz or exponent is outside its
    /// range.</exception>
    /// <remarks>Barabási and Albert, Science 286, 1999, in Simon's form (Biometrika 42, 1955) with initial attractiveness
    /// (Dorogovtsev, Mendes and Samukhin, PRL 85, 2000), for the columns alone: a row's slots are like those of a uniform
    /// pattern. Which columns are hubs is drawn too. O(nnz · log cols).</remarks>
    /// <example><code>
    /// let pattern = Topology.scaleFree 300 784 11760 3.0 seed
    /// let fanOut = GraphMetrics.fanOutDistribution pattern
    /// printfn $"hubs with {fanOut.Most} outputs, where the mean is {fanOut.Mean}"
    /// </code></example>
    [<CompiledName "ScaleFree">]
    let scaleFree (rows: int) (cols: int) (nnz: int) (exponent: float) (seed: Seed) : Connectivity =
        DegreeSequence.scaleFree rows cols nnz exponent seed

    /// <summary>Each row's slots side by side, around its place on the diagonal.</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <param name="nnz">Slots, 0..rows·cols.</param>
    /// <returns>Fan-ins that differ by at most one; row r is centred at column r · cols / rows, shifted inwards at the
    /// borders.</returns>
    /// <exception cref="T:System.ArgumentOutOfRangeException">A size is negative or nnz is outside 0..rows·cols.</exception>
    /// <remarks>Neighbouring rows have the same inputs, which the kernels then find in a nearer cache. O(rows + nnz).</remarks>
    /// <example><code>
    /// let pattern = Topology.banded 3 6 6
    /// pattern.ColIdx.ToArray() // = [|0; 1; 1; 2; 3; 4|]
    /// </code></example>
    [<CompiledName "Banded">]
    let banded (rows: int) (cols: int) (nnz: int) : Connectivity =
        Sparsity.checkNnz rows cols nnz

        let rowPtr =
            Array.init (rows + 1) (fun row ->
                if rows = 0 then
                    0
                else
                    int (int64 nnz * int64 row / int64 rows))

        let colIdx: int[] = Array.zeroCreate nnz

        for row in 0 .. rows - 1 do
            let fanIn = rowPtr[row + 1] - rowPtr[row]
            let centre = int (int64 row * int64 cols / int64 rows)
            let first = max 0 (min (cols - fanIn) (centre - fanIn / 2))

            for i in 0 .. fanIn - 1 do
                colIdx[rowPtr[row] + i] <- first + i

        Connectivity.ofTrusted rows cols rowPtr colIdx

    /// <summary>Watts and Strogatz's small worlds, with rows over a ring of columns.</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <param name="fanIn">Slots of each row, 0..cols.</param>
    /// <param name="beta">The chance that a slot is rewired, in [0, 1]: 0 is the lattice, 1 constant fan-in drawn
    /// uniformly.</param>
    /// <param name="seed">The same seed gives the same pattern on every machine.</param>
    /// <returns>rows · fanIn slots: each row has the fanIn columns nearest to its place r · cols / rows on the ring; each
    /// slot is, with chance beta, moved to a column that the row does not have, all of them alike.</returns>
    /// <exception cref="T:System.ArgumentOutOfRangeException">A size is negative, fanIn is outside 0..cols, beta is outside
    /// [0, 1], or nnz would exceed 2^31 − 1.</exception>
    /// <remarks>Watts and Strogatz, Nature 393, 1998, 440–442, for bipartite graphs: only the column end of a connection
    /// moves, so fan-ins stay. How many of a row's slots stay is binomial; which stay and where the others go are drawn
    /// without repeats. O(rows · fanIn).</remarks>
    /// <example><code>
    /// let lattice, world = Topology.wattsStrogatz 300 784 20 0.0 seed, Topology.wattsStrogatz 300 784 20 0.1 seed
    /// printfn $"a tenth of the slots has moved: {Connectivity.diff lattice world}"
    /// </code></example>
    [<CompiledName "WattsStrogatz">]
    let wattsStrogatz (rows: int) (cols: int) (fanIn: int) (beta: float) (seed: Seed) : Connectivity =
        WattsStrogatz.pattern rows cols fanIn beta seed

    /// <summary>Whole blocks of size by size, at uniformly drawn places of the grid of blocks.</summary>
    /// <param name="rows">out_features, a multiple of size.</param>
    /// <param name="cols">in_features, a multiple of size.</param>
    /// <param name="size">Rows and columns of a block, 1 or more.</param>
    /// <param name="blocks">How many blocks, 0..(rows / size) · (cols / size).</param>
    /// <param name="seed">The same seed gives the same pattern on every machine.</param>
    /// <returns>blocks · size² slots.</returns>
    /// <exception cref="T:System.ArgumentOutOfRangeException">size is below 1, a size is not a multiple of it, blocks is
    /// outside its range, or nnz would exceed 2^31 − 1.</exception>
    /// <remarks>Such a pattern has row groups of size, or of a multiple of it, which products take together:
    /// <c>rowGroups</c> draws blocks of one column.</remarks>
    /// <example><code>
    /// let pattern = Topology.block 320 768 16 96 seed // 96 of the 20 x 48 blocks, a sparsity of 0.9
    /// pattern.Nnz // = 24576
    /// </code></example>
    [<CompiledName "Block">]
    let block (rows: int) (cols: int) (size: int) (blocks: int) (seed: Seed) : Connectivity =
        BlockSparse.block rows cols size blocks seed

    /// <summary>Groups of neighbouring rows that share their columns: blocks of size rows by one column, at uniformly drawn
    /// places.</summary>
    /// <param name="size">Rows of a group, 1 or more: 4 is the fastest.</param>
    /// <param name="rows">out_features, 0 or more; where it is no multiple of size, the last group is smaller.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <param name="nnz">Slots that are wanted, 0..rows·cols.</param>
    /// <param name="seed">The same seed gives the same pattern on every machine.</param>
    /// <returns>As many slots as whole groups have, nearest to nnz: the cells of the groups are counted by the one rounding
    /// rule, those of a smaller last group by themselves. SparseLinear takes this number over.</returns>
    /// <exception cref="T:System.ArgumentOutOfRangeException">size is below 1, a size is negative or nnz is outside
    /// 0..rows·cols.</exception>
    /// <remarks>A product loads each input once for all rows of a group: docs/performance.md, "Which pattern for speed", says
    /// what that is worth. Groups of 4 are for layers of about 1000 rows and more whose pattern stays, up to 98 %: there they
    /// train as accurately as <see cref="M:SparseFs.TopologyModule.Uniform">uniform</see> patterns, to within 0.15 points in
    /// the mean on MNIST and Fashion-MNIST. Narrow layers, and patterns that are rewired at high sparsity, lose by them
    /// (docs/results/patterns.md). <c>Policy.inRowGroups</c> makes policies that keep groups.</remarks>
    /// <example><code>
    /// let layer = new SparseLinear(784, 300, sparsity = 0.9, topology = Topology.rowGroups 4)
    /// Connectivity.rowGroupSize layer.Connectivity // = 4
    /// </code></example>
    [<CompiledName "RowGroups">]
    let rowGroups (size: int) (rows: int) (cols: int) (nnz: int) (seed: Seed) : Connectivity =
        BlockSparse.rowGroups size rows cols nnz seed

    /// <summary>Whole kernels of a convolution, at the pairs of channels that another topology draws.</summary>
    /// <param name="cells">Cells of a kernel: 9 of 3 × 3.</param>
    /// <param name="topology">Draws the pairs: from rows, input channels, kernels and a seed.</param>
    /// <param name="rows">out_channels, 0 or more.</param>
    /// <param name="cols">in_channels of a row · cells.</param>
    /// <param name="nnz">Slots that are wanted, 0..rows·cols.</param>
    /// <param name="seed">The same seed gives the same pattern on every machine.</param>
    /// <returns>The kernels that are nearest to nnz slots, as many as the topology draws of them. SparseConv2d and the others take this
    /// number over.</returns>
    /// <exception cref="T:System.ArgumentOutOfRangeException">cells is below 1, cols is not a multiple of it, a size is
    /// negative or nnz is outside 0..rows·cols.</exception>
    /// <remarks><c>Policy.inKernels</c> makes policies that keep whole kernels.</remarks>
    /// <example><code>
    /// let layer = new SparseConv2d(64, 128, 3, sparsity = 0.9, topology = Topology.inKernels 9 Topology.uniform)
    /// let inGroups = Topology.inKernels 9 (Topology.rowGroups 4) 128 576 7_000 seed
    /// </code></example>
    [<CompiledName "InKernels">]
    let inKernels
        (cells: int)
        (topology: int -> int -> int -> Seed -> Connectivity)
        (rows: int)
        (cols: int)
        (nnz: int)
        (seed: Seed)
        : Connectivity =
        BlockSparse.inKernels cells topology rows cols nnz seed

    /// <summary>N of every M columns that follow each other, in each row by itself: N:M sparsity.</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, a multiple of m.</param>
    /// <param name="n">Slots of each m columns, 0..m.</param>
    /// <param name="m">Columns that a choice is made of, 1 or more. They are no row group: each row chooses by itself.</param>
    /// <param name="seed">The same seed gives the same pattern on every machine.</param>
    /// <returns>rows · cols · n / m slots; each choice of n of m columns is equally likely.</returns>
    /// <exception cref="T:System.ArgumentOutOfRangeException">m is below 1, n is outside 0..m, cols is not a multiple of m, or
    /// nnz would exceed 2^31 − 1.</exception>
    /// <remarks>Zhou et al., "Learning N:M fine-grained structured sparse neural networks from scratch", ICLR 2021.</remarks>
    /// <example><code>
    /// let layer = new SparseLinear(Topology.nOfM 300 784 2 4 seed) // 2:4, as sparse tensor cores have it
    /// layer.Connectivity.Sparsity // = 0.5
    /// </code></example>
    [<CompiledName "NOfM">]
    let nOfM (rows: int) (cols: int) (n: int) (m: int) (seed: Seed) : Connectivity = BlockSparse.nOfM rows cols n m seed
