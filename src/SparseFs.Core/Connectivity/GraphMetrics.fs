namespace SparseFs

open System

/// <summary>What a pattern is like as a graph whose nodes are the rows and the columns, and whose edges are the slots.</summary>
[<RequireQualifiedAccess>]
module GraphMetrics =

    let private distribution (degrees: int[]) : DegreeDistribution =
        if degrees.Length = 0 then
            { Least = 0
              Most = 0
              Mean = 0.0
              Deviation = 0.0
              Counts = [| 0 |] }
        else
            let counts: int[] = Array.zeroCreate (Array.max degrees + 1)

            for degree in degrees do
                counts[degree] <- counts[degree] + 1

            let mean = Array.averageBy float degrees

            let variance =
                degrees |> Array.averageBy (fun degree -> (float degree - mean) ** 2.0)

            { Least = Array.min degrees
              Most = counts.Length - 1
              Mean = mean
              Deviation = sqrt variance
              Counts = counts }

    /// <summary>How many inputs the rows have.</summary>
    /// <param name="c">The pattern.</param>
    /// <example><code>
    /// let fanIn = GraphMetrics.fanInDistribution (Topology.constantFanIn 300 784 20 seed)
    /// (fanIn.Least, fanIn.Most) // = (20, 20)
    /// </code></example>
    [<CompiledName "FanInDistribution">]
    let fanInDistribution (c: Connectivity) : DegreeDistribution = distribution (Connectivity.fanIn c)

    /// <summary>How many outputs the columns have.</summary>
    /// <param name="c">The pattern.</param>
    /// <example><code>
    /// let fanOut = GraphMetrics.fanOutDistribution (Topology.scaleFree 300 784 11_760 3.0 seed)
    /// for slots in fanOut.Least .. 20 do
    ///     printfn $"{slots} slots: {fanOut.Counts[slots]} columns"
    /// </code></example>
    [<CompiledName "FanOutDistribution">]
    let fanOutDistribution (c: Connectivity) : DegreeDistribution = distribution (Connectivity.fanOut c)

    let private countDead (degrees: int[]) =
        degrees |> Array.sumBy (fun degree -> if degree = 0 then 1 else 0)

    /// <summary>Rows without a slot: outputs that depend on no input.</summary>
    /// <param name="c">The pattern.</param>
    /// <example><code>
    /// let pattern = Connectivity.ofPairs 3 2 [| 0; 2 |] [| 1; 0 |]
    /// GraphMetrics.deadRows pattern // = 1
    /// </code></example>
    [<CompiledName "DeadRows">]
    let deadRows (c: Connectivity) : int = countDead (Connectivity.fanIn c)

    /// <summary>Columns without a slot: inputs that nothing depends on.</summary>
    /// <param name="c">The pattern.</param>
    /// <example><code>
    /// let pattern = Connectivity.ofPairs 2 4 [| 0; 1 |] [| 3; 0 |]
    /// GraphMetrics.deadCols pattern // = 2
    /// </code></example>
    [<CompiledName "DeadCols">]
    let deadCols (c: Connectivity) : int = countDead (Connectivity.fanOut c)

    /// <summary>The mean distance of the two nodes of a slot, |column − place of the row|.</summary>
    /// <param name="placement">How the rows are laid over the columns.</param>
    /// <param name="c">The pattern.</param>
    /// <returns>In columns; 0 without slots. A third of the columns for a uniform square pattern, less for a local one.</returns>
    /// <exception cref="T:System.ArgumentException">The placement does not exist.</exception>
    /// <example><code>
    /// let distance (pattern: Connectivity) = GraphMetrics.meanDistance Placement.Centred pattern
    /// let world, random = Topology.smallWorld 784 784 61_466 seed, Topology.uniform 784 784 61_466 seed
    /// distance world &lt; distance random // = true
    /// </code></example>
    [<CompiledName "MeanDistance">]
    let meanDistance (placement: Placement) (c: Connectivity) : float =
        let placeOf = SmallWorld.placeOf placement c.Rows c.Cols
        let mutable sum = 0L

        for row in 0 .. c.Rows - 1 do
            let place = placeOf row

            for slot in c.RowPtrArray[row] .. c.RowPtrArray[row + 1] - 1 do
                sum <- sum + abs (int64 c.ColIdxArray[slot] - place)

        if c.Nnz = 0 then 0.0 else float sum / float c.Nnz

    /// <summary>The Jaccard overlap of two patterns: common slots over slots of either.</summary>
    /// <param name="a">Shape [rows, cols].</param>
    /// <param name="b">The same shape.</param>
    /// <returns>In [0, 1]; 1 for equal patterns, two empty ones included, and 0 for disjoint ones.</returns>
    /// <exception cref="T:System.ArgumentException">The shapes differ.</exception>
    /// <example><code>
    /// let before, after = Topology.banded 4 4 4, Connectivity.ofPairs 4 4 [| 0; 1; 2; 3 |] [| 0; 1; 2; 0 |]
    /// GraphMetrics.overlap before after // = 0.6
    /// </code></example>
    [<CompiledName "Overlap">]
    let overlap (a: Connectivity) (b: Connectivity) : float =
        let common = int64 (Connectivity.intersect a b).Nnz
        let either = int64 a.Nnz + int64 b.Nnz - common
        if either = 0L then 1.0 else float common / float either

    /// <summary>Connected components of the graph; a row or a column without a slot is one by itself.</summary>
    /// <param name="c">The pattern.</param>
    /// <returns>0 without nodes, 1 where every node can be reached from every other.</returns>
    /// <remarks>Union by size with halved paths: Tarjan and van Leeuwen, JACM 31(2), 1984. Nearly O(rows + cols + nnz).</remarks>
    /// <example><code>GraphMetrics.components (Topology.banded 64 64 64) // = 64</code></example>
    [<CompiledName "Components">]
    let components (c: Connectivity) : int =
        // A root holds minus the size of its component, any other node its parent; rows come first, then columns.
        let parent: int[] = Array.create (c.Rows + c.Cols) -1

        let find (node: int) =
            let mutable node = node

            while parent[node] >= 0 do
                let above = parent[node]

                if parent[above] >= 0 then
                    parent[node] <- parent[above]

                node <- above

            node

        let mutable count = parent.Length

        for row in 0 .. c.Rows - 1 do
            for slot in c.RowPtrArray[row] .. c.RowPtrArray[row + 1] - 1 do
                let a, b = find row, find (c.Rows + c.ColIdxArray[slot])

                if a <> b then
                    let large, small = if parent[a] <= parent[b] then a, b else b, a
                    parent[large] <- parent[large] + parent[small]
                    parent[small] <- large
                    count <- count - 1

        count

    /// All of 0..size − 1, or the wanted number of them, drawn, rising.
    let private sample (wanted: int) (size: int) (seed: Seed) : int[] =
        if wanted < 1 then
            raise (ArgumentOutOfRangeException("samples", wanted, (invariant $"expected 1 or more, got {wanted}")))

        if size <= wanted then
            Array.init size id
        else
            SampleWithoutReplacement.distinct (int64 size) wanted (Draws seed)
            |> Array.map int

    /// <summary>The bipartite clustering coefficient: the part of the paths of three slots whose ends are joined too.</summary>
    /// <param name="samples">Rows whose paths are counted; if there are no more rows, it is exact.</param>
    /// <param name="seed">Draws the rows, where there are more.</param>
    /// <param name="c">The pattern.</param>
    /// <returns>In [0, 1]: 4 · (cycles of four) / (paths of three), 0 where there is no such path. About the density for a
    /// uniform pattern, more where neighbours share their neighbours, 1 for a full one.</returns>
    /// <exception cref="T:System.ArgumentOutOfRangeException">samples is below 1.</exception>
    /// <remarks>Robins and Alexander, "Small worlds among interlocking directors", Computational and Mathematical
    /// Organization Theory 10, 2004. A bipartite graph has no triangles, so that Watts and Strogatz's own coefficient
    /// would be 0. Each row costs the sum of the fan-outs of its columns.</remarks>
    /// <example><code>
    /// let lattice, random = Topology.wattsStrogatz 300 300 10 0.0 seed, Topology.wattsStrogatz 300 300 10 1.0 seed
    /// GraphMetrics.clustering 300 seed lattice > GraphMetrics.clustering 300 seed random // = true
    /// </code></example>
    [<CompiledName "Clustering">]
    let clustering (samples: int) (seed: Seed) (c: Connectivity) : float =
        let rows = sample samples c.Rows seed
        let t, _ = Connectivity.transpose c
        let shared: int[] = Array.zeroCreate c.Rows // columns that a row has in common with the row at hand
        let met = ResizeArray<int>()
        let mutable closed = 0.0
        let mutable paths = 0.0

        for row in rows do
            let fanIn = c.RowPtrArray[row + 1] - c.RowPtrArray[row]

            for slot in c.RowPtrArray[row] .. c.RowPtrArray[row + 1] - 1 do
                let col = c.ColIdxArray[slot]
                let fanOut = t.RowPtrArray[col + 1] - t.RowPtrArray[col]
                paths <- paths + float (fanIn - 1) * float (fanOut - 1)

                for slotT in t.RowPtrArray[col] .. t.RowPtrArray[col + 1] - 1 do
                    let other = t.ColIdxArray[slotT]

                    if other <> row then
                        if shared[other] = 0 then
                            met.Add other

                        shared[other] <- shared[other] + 1

            for other in met do
                closed <- closed + float shared[other] * float (shared[other] - 1)
                shared[other] <- 0

            met.Clear()

        if paths = 0.0 then 0.0 else closed / paths

    /// Sum of the distances from a node to all that can be reached, and how many these are.
    let private distances (c: Connectivity) (t: Connectivity) (distance: int[]) (queue: int[]) (source: int) =
        Array.Fill(distance, -1)
        distance[source] <- 0
        queue[0] <- source
        let mutable head = 0
        let mutable tail = 1
        let mutable sum = 0L

        while head < tail do
            let node = queue[head]
            head <- head + 1
            sum <- sum + int64 distance[node]
            // Rows come first, then columns; each is next to nodes of the other kind.
            let side, line, shift =
                if node < c.Rows then
                    c, node, c.Rows
                else
                    t, node - c.Rows, 0

            for slot in side.RowPtrArray[line] .. side.RowPtrArray[line + 1] - 1 do
                let next = side.ColIdxArray[slot] + shift

                if distance[next] < 0 then
                    distance[next] <- distance[node] + 1
                    queue[tail] <- next
                    tail <- tail + 1

        struct (sum, tail - 1)

    /// <summary>The mean number of slots on the shortest way between two nodes, over all pairs that a way joins.</summary>
    /// <param name="samples">Nodes from which ways are measured; if there are no more rows and columns, it is exact.</param>
    /// <param name="seed">Draws the nodes, where there are more.</param>
    /// <param name="c">The pattern.</param>
    /// <returns>1 or more; NaN where no two nodes are joined.</returns>
    /// <exception cref="T:System.ArgumentOutOfRangeException">samples is below 1.</exception>
    /// <remarks>Watts and Strogatz, Nature 393, 1998: the characteristic path length L, with rows and columns as nodes.
    /// O(samples · (rows + cols + nnz)).</remarks>
    /// <example><code>
    /// let path beta = GraphMetrics.pathLength 100 seed (Topology.wattsStrogatz 300 300 10 beta seed)
    /// printfn $"a few shortcuts shorten the ways: {path 0.0} slots, then {path 0.05}"
    /// </code></example>
    [<CompiledName "PathLength">]
    let pathLength (samples: int) (seed: Seed) (c: Connectivity) : float =
        let nodes = c.Rows + c.Cols
        let sources = sample samples nodes seed
        let t, _ = Connectivity.transpose c
        let distance: int[] = Array.zeroCreate nodes
        let queue: int[] = Array.zeroCreate nodes
        let mutable sum = 0L
        let mutable pairs = 0L

        for source in sources do
            let struct (ofSource, reached) = distances c t distance queue source
            sum <- sum + ofSource
            pairs <- pairs + int64 reached

        if pairs = 0L then nan else float sum / float pairs
