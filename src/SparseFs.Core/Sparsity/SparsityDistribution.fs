namespace SparseFs

open System

/// <summary>How a budget of slots is spread over layers.</summary>
type SparsityDistribution =
    /// The same density everywhere.
    | Uniform = 0
    /// Density in proportion to (out + in) / (out · in): Mocanu et al., 2018 (SET). Kernel positions share it.
    | ErdosRenyi = 1
    /// Density in proportion to the sum of all dimensions over their product: Evci et al., 2020 (RigL), section 3.
    | ErdosRenyiKernel = 2

/// <summary>Integer counts of slots for the layers of a network, with the global budget met exactly.</summary>
[<RequireQualifiedAccess>]
module SparsityDistribution =

    let private product (shape: int[]) : bigint =
        shape |> Array.fold (fun cells size -> cells * bigint size) 1I

    /// A layer's share: its number of cells times the rule's weight for the density.
    let private share (rule: SparsityDistribution) (shape: int[]) : bigint =
        match rule with
        | _ when product shape = 0I -> 0I
        | SparsityDistribution.Uniform -> product shape
        | SparsityDistribution.ErdosRenyi -> (bigint shape[0] + bigint shape[1]) * product shape[2..]
        | _ -> shape |> Array.sumBy (fun size -> bigint size)

    /// <summary>Slots of each layer.</summary>
    /// <param name="rule">How the densities of the layers are related.</param>
    /// <param name="keptDense">Layers, by index, that keep all their weights; empty for none.</param>
    /// <param name="sparsity">The part of all cells, of all layers, that is absent, in [0, 1).</param>
    /// <param name="shapes">A layer each: out, in, and the kernel's sizes if it has any.</param>
    /// <returns>One count a layer, at most its cells; their sum is (1 − sparsity) · (all cells), rounded half to even.</returns>
    /// <exception cref="T:System.ArgumentException">A shape has less than two sizes or a negative one, an index is out of
    /// range, the rule does not exist, the sparsity is outside [0, 1), the layers kept dense exceed the budget, or a count
    /// exceeds 2^31 − 1.</exception>
    /// <remarks>Exact arithmetic of integers; largest remainders, a tie goes to the lower layer. A layer whose share exceeds
    /// its cells is dense, and the others share what is left, as in RigL.</remarks>
    /// <example><code>
    /// // A network of three layers at 0.9; the layer of the answers stays dense.
    /// let shapes = [| [| 300; 784 |]; [| 100; 300 |]; [| 10; 100 |] |]
    /// let counts = SparsityDistribution.counts SparsityDistribution.ErdosRenyi [| 2 |] 0.9 shapes
    /// Array.sum counts // = 26620
    /// </code></example>
    [<CompiledName "Counts">]
    let counts (rule: SparsityDistribution) (keptDense: int[]) (sparsity: float) (shapes: int[][]) : int[] =
        ArgumentNullException.ThrowIfNull(keptDense, nameof keptDense)
        ArgumentNullException.ThrowIfNull(shapes, nameof shapes)

        if not (Enum.IsDefined rule) then
            raise (
                ArgumentException(
                    (invariant $"expected Uniform, ErdosRenyi or ErdosRenyiKernel, got {rule}"),
                    nameof rule
                )
            )

        for shape in shapes do
            if
                isNull (box shape)
                || shape.Length < 2
                || Array.exists (fun size -> size < 0) shape
            then
                let got = if isNull (box shape) then "null" else Shape.text shape

                raise (
                    ArgumentException((invariant $"expected two or more sizes of 0 or more, got {got}"), nameof shapes)
                )

        for layer in keptDense do
            if layer < 0 || layer >= shapes.Length then
                let message = (invariant $"expected layers in 0..{shapes.Length - 1}, got {layer}")
                raise (ArgumentOutOfRangeException(nameof keptDense, layer, message))

        let struct (density, scale) = Rounding.ratio (Sparsity.density sparsity)
        let cells = shapes |> Array.map product
        let exact = density * Array.sum cells // times scale
        let budget = Rounding.halfToEven exact scale
        let isKept = Array.init shapes.Length (fun layer -> Array.contains layer keptDense)

        let kept =
            Array.map2 (fun kept size -> if kept then size else 0I) isKept cells
            |> Array.sum

        if kept > budget then
            let message =
                (invariant $"expected at most the budget of {budget} slots, got {kept} in layers kept dense")

            raise (ArgumentException(message, nameof keptDense))

        // Layers kept dense take no part in what is shared out.
        let shared (ofLayer: bigint[]) =
            Array.map2 (fun kept number -> if kept then 0I else number) isKept ofLayer

        let counts =
            Apportionment.counts
                (budget - kept)
                (bigint.Max(exact - kept * scale, 0I))
                scale
                (shared (Array.map (share rule) shapes))
                (shared cells)

        Array.init shapes.Length (fun layer ->
            (if isKept[layer] then cells[layer] else counts[layer])
            |> Sparsity.toNnz (invariant $"layer {layer}"))

    /// <summary>Slots of each layer whose rows come in groups: counts that <c>Topology.rowGroups</c> meets exactly.</summary>
    /// <param name="size">Rows of a group, 1 or more.</param>
    /// <param name="rule">How the densities of the layers are related.</param>
    /// <param name="keptDense">Layers, by index, that keep all their weights; empty for none.</param>
    /// <param name="sparsity">The part of all cells, of all layers, that is absent, in [0, 1).</param>
    /// <param name="shapes">A layer each: out, in, and the kernel's sizes if it has any.</param>
    /// <returns>One count a layer, at most its cells: that of <c>counts</c>, rounded to whole cells of groups, so that a layer
    /// without enough slots for one has 0. In a layer of out rows it is at most (size + out mod size) / 2 slots away, and as
    /// much for each layer is the most by which the sum misses the budget.</returns>
    /// <exception cref="T:System.ArgumentException">size is below 1, or as <c>counts</c>.</exception>
    /// <remarks>Each layer is rounded by itself, whole groups and a last group of fewer rows each by the one rounding rule, as
    /// <c>Topology.rowGroups</c> does it.</remarks>
    /// <example><code>
    /// let shapes = [| [| 300; 784 |]; [| 100; 300 |]; [| 10; 100 |] |]
    /// let counts = SparsityDistribution.countsInRowGroups 4 SparsityDistribution.ErdosRenyi [| 2 |] 0.9 shapes
    /// let first = new SparseLinear(Topology.rowGroups 4 300 784 counts[0] seed)
    /// first.Connectivity.Nnz = counts[0] // = true
    /// </code></example>
    [<CompiledName "CountsInRowGroups">]
    let countsInRowGroups
        (size: int)
        (rule: SparsityDistribution)
        (keptDense: int[])
        (sparsity: float)
        (shapes: int[][])
        : int[] =
        if size < 1 then
            raise (ArgumentOutOfRangeException(nameof size, size, (invariant $"expected 1 row or more, got {size}")))

        counts rule keptDense sparsity shapes
        |> Array.map2 (fun (shape: int[]) -> RowGroupCounts.settled size shape[0]) shapes
