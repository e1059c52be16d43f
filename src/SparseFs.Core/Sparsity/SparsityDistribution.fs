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

    /// The decimal as a fraction of integers.
    let private fraction (value: decimal) : struct (bigint * bigint) =
        let bits = Decimal.GetBits value
        let places = (bits[3] >>> 16) &&& 0xFF
        let scale = pown 10I places
        struct (bigint (value * decimal scale), scale)

    /// <summary>Counts in proportion to the shares, where a layer that would exceed its cells is dense; the budget is times scale.</summary>
    /// <returns>The layers that are dense, and numerator and denominator of each other layer's slots per share.</returns>
    let private spread (cells: bigint[]) (shares: bigint[]) (keptDense: bool[]) (budget: bigint) (scale: bigint) =
        let isDense = Array.copy keptDense

        let perShare () =
            let mutable left = budget
            let mutable total = 0I

            for layer in 0 .. cells.Length - 1 do
                if isDense[layer] then
                    left <- left - cells[layer] * scale
                else
                    total <- total + shares[layer]

            struct (left, total * scale)

        let exceeds (struct (left, total): struct (bigint * bigint)) (layer: int) =
            not isDense[layer] && left * shares[layer] > cells[layer] * total

        /// Whether the first layer would be denser than the second.
        let isDenser (a: int) (b: int) =
            shares[a] * cells[b] > shares[b] * cells[a]

        let layers = [| 0 .. cells.Length - 1 |]
        let mutable each = perShare ()
        let mutable over = Array.filter (exceeds each) layers

        // As in RigL's loop: the densest become dense, and the rest share what is left.
        while over.Length > 0 do
            let densest = over |> Array.reduce (fun a b -> if isDenser b a then b else a)

            for layer in over do
                if not (isDenser densest layer) then
                    isDense[layer] <- true

            each <- perShare ()
            over <- Array.filter (exceeds each) layers

        struct (isDense, each)

    /// <summary>Slots of each layer.</summary>
    /// <param name="rule">How the densities of the layers are related.</param>
    /// <param name="keptDense">Layers, by index, that keep all their weights; empty for none.</param>
    /// <param name="sparsity">The part of all cells, of all layers, that is absent, in [0, 1).</param>
    /// <param name="shapes">A layer each: out, in, and the kernel's sizes if it has any.</param>
    /// <returns>One count a layer, at most its cells; their sum is (1 − sparsity) · (all cells), rounded half to even.</returns>
    /// <exception cref="T:System.ArgumentException">A shape has less than two sizes or a negative one, an index is out of
    /// range, the rule does not exist, the sparsity is outside [0, 1), the layers kept dense exceed the budget, or a count
    /// exceeds 2^31 − 1.</exception>
    /// <remarks>Exact arithmetic of integers; largest remainders, a tie goes to the lower layer.</remarks>
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
            if isNull shape || shape.Length < 2 || Array.exists (fun size -> size < 0) shape then
                let got = if isNull shape then "null" else String.Join(", ", shape)

                raise (
                    ArgumentException(
                        (invariant $"expected two or more sizes of 0 or more, got [{got}]"),
                        nameof shapes
                    )
                )

        for layer in keptDense do
            if layer < 0 || layer >= shapes.Length then
                let message = (invariant $"expected layers in 0..{shapes.Length - 1}, got {layer}")
                raise (ArgumentOutOfRangeException(nameof keptDense, layer, message))

        let struct (density, scale) = fraction (Sparsity.density sparsity)
        let cells = shapes |> Array.map product
        let exact = density * Array.sum cells // times scale
        let half = bigint.Compare(2I * (exact % scale), scale)

        // Rounded half to even.
        let budget =
            exact / scale
            + (if half > 0 || (half = 0 && not (exact / scale).IsEven) then
                   1I
               else
                   0I)

        let isKept = Array.init shapes.Length (fun layer -> Array.contains layer keptDense)

        let kept =
            Array.map2 (fun kept size -> if kept then size else 0I) isKept cells
            |> Array.sum

        if kept > budget then
            let message =
                (invariant $"expected at most the budget of {budget} slots, got {kept} in layers kept dense")

            raise (ArgumentException(message, nameof keptDense))

        let shares = shapes |> Array.map (share rule)

        let struct (isDense, struct (left, total)) =
            spread cells shares isKept (bigint.Max(exact, kept * scale)) scale

        /// Slots before rounding times total, whose remainder decides who gets one more.
        let wanted = shares |> Array.map (fun share -> left * share)

        let counts =
            Array.init shapes.Length (fun layer ->
                if isDense[layer] then cells[layer]
                elif total.IsZero then 0I
                else wanted[layer] / total)

        let mutable missing = budget - Array.sum counts

        let byRemainder =
            Array.init shapes.Length id
            |> Array.filter (fun layer -> not isDense[layer])
            |> Array.sortBy (fun layer -> counts[layer] * total - wanted[layer], layer)

        for layer in byRemainder do
            if missing > 0I && counts[layer] < cells[layer] then
                counts[layer] <- counts[layer] + 1I
                missing <- missing - 1I

        counts
        |> Array.mapi (fun layer count -> Sparsity.toNnz (invariant $"layer {layer}") (decimal count))
