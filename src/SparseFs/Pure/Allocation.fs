namespace SparseFs

open System

/// <summary>How a budget of slots is spread over layers.</summary>
type Allocation =
    /// The same density everywhere.
    | Uniform = 0
    /// Density in proportion to (out + in) / (out · in): Mocanu et al., 2018 (SET). Kernel positions share it.
    | ErdosRenyi = 1
    /// Density in proportion to the sum of all dimensions over their product: Evci et al., 2020 (RigL), section 3.
    | ErdosRenyiKernel = 2

/// <summary>Integer counts of slots for the layers of a network, with the global budget met exactly.</summary>
[<RequireQualifiedAccess>]
module Allocation =

    let private product (shape: int[]) =
        shape |> Array.fold (fun cells size -> cells * decimal size) 1m

    /// A layer's share: its number of cells times the rule's weight for the density.
    let private share (rule: Allocation) (shape: int[]) : decimal =
        match rule with
        | _ when product shape = 0m -> 0m
        | Allocation.Uniform -> product shape
        | Allocation.ErdosRenyi -> (decimal shape[0] + decimal shape[1]) * product shape[2..]
        | _ -> Array.sumBy decimal shape

    /// Counts in proportion to the shares, where a layer that would exceed its cells is dense.
    let private spread (cells: decimal[]) (shares: decimal[]) (keptDense: bool[]) (budget: decimal) : decimal[] =
        let isDense = Array.copy keptDense

        let perShare () =
            let mutable left = budget
            let mutable total = 0m

            for layer in 0 .. cells.Length - 1 do
                if isDense[layer] then
                    left <- left - cells[layer]
                else
                    total <- total + shares[layer]

            if total = 0m then 0m else left / total

        let wanted (each: decimal) =
            Array.init cells.Length (fun layer ->
                if isDense[layer] then
                    cells[layer]
                else
                    each * shares[layer])

        let mutable counts = wanted (perShare ())

        // As in RigL's loop: the densest become dense, and the rest share what is left.
        while Array.exists2 (>) counts cells do
            let fullness =
                Array.map2 (fun count size -> if size = 0m then 0m else count / size) counts cells

            let most = Array.max fullness // above 1, so none that is dense already

            for layer in 0 .. cells.Length - 1 do
                if fullness[layer] = most then
                    isDense[layer] <- true

            counts <- wanted (perShare ())

        counts

    /// <summary>Slots of each layer.</summary>
    /// <param name="rule">How the densities of the layers are related.</param>
    /// <param name="keptDense">Layers, by index, that keep all their weights; empty for none.</param>
    /// <param name="sparsity">The part of all cells, of all layers, that is absent, in [0, 1).</param>
    /// <param name="shapes">A layer each: out, in, and the kernel's sizes if it has any.</param>
    /// <returns>One count a layer, at most its cells; their sum is (1 − sparsity) · (all cells), rounded half to even.</returns>
    /// <exception cref="T:System.ArgumentException">A shape has less than two sizes or a negative one, an index is out of
    /// range, the rule does not exist, the sparsity is outside [0, 1), the layers kept dense exceed the budget, or a count
    /// exceeds 2^31 − 1.</exception>
    /// <remarks>Exact decimal arithmetic; largest remainders, a tie goes to the lower layer.</remarks>
    let counts (rule: Allocation) (keptDense: int[]) (sparsity: float) (shapes: int[][]) : int[] =
        ArgumentNullException.ThrowIfNull(keptDense, nameof keptDense)
        ArgumentNullException.ThrowIfNull(shapes, nameof shapes)

        if not (Enum.IsDefined rule) then
            raise (ArgumentException($"expected Uniform, ErdosRenyi or ErdosRenyiKernel, got {rule}", nameof rule))

        for shape in shapes do
            if isNull shape || shape.Length < 2 || Array.exists (fun size -> size < 0) shape then
                let got = if isNull shape then "null" else String.Join(", ", shape)
                raise (ArgumentException($"expected two or more sizes of 0 or more, got [{got}]", nameof shapes))

        for layer in keptDense do
            if layer < 0 || layer >= shapes.Length then
                let message = $"expected layers in 0..{shapes.Length - 1}, got {layer}"
                raise (ArgumentOutOfRangeException(nameof keptDense, layer, message))

        let density = Sparsity.density sparsity
        let cells = shapes |> Array.map product
        let budget = Math.Round(density * Array.sum cells, MidpointRounding.ToEven)
        let isKept = Array.init shapes.Length (fun layer -> Array.contains layer keptDense)

        let kept =
            Array.map2 (fun kept size -> if kept then size else 0m) isKept cells
            |> Array.sum

        if kept > budget then
            let message =
                $"expected at most the budget of {budget} slots, got {kept} in layers kept dense"

            raise (ArgumentException(message, nameof keptDense))

        let wanted = spread cells (shapes |> Array.map (share rule)) isKept budget
        let counts = wanted |> Array.map Math.Floor
        let mutable left = budget - Array.sum counts

        let byRemainder =
            Array.init shapes.Length id
            |> Array.sortBy (fun layer -> counts[layer] - wanted[layer], layer)

        for layer in byRemainder do
            if left > 0m && counts[layer] < cells[layer] then
                counts[layer] <- counts[layer] + 1m
                left <- left - 1m

        counts |> Array.mapi (fun layer count -> Sparsity.toNnz $"layer {layer}" count)
