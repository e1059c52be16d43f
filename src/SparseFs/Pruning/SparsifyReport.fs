namespace SparseFs

open System
open System.Globalization
open SparseFs.Pictures

/// <summary>What a conversion of a model did, one row a layer, in the model's order.</summary>
[<Sealed; TypeFormatterSource(typeof<HtmlFormatterSource>)>]
type SparsifyReport internal (rows: SparsifyRow[], needsOptimizer: bool) =

    static let invariant (format: string) (value: float) =
        value.ToString(format, CultureInfo.InvariantCulture)

    static let milliseconds (value: Nullable<float>) =
        if value.HasValue then invariant "0.000" value.Value else ""

    /// <summary>One a layer.</summary>
    member _.Rows: SparsifyRow[] = Array.copy rows

    /// <summary>Layers that were replaced.</summary>
    member _.Replaced: int = rows |> Array.sumBy (fun r -> if r.IsReplaced then 1 else 0)

    /// <summary>The sum over all layers, biases not counted.</summary>
    member _.Nnz: int64 = rows |> Array.sumBy _.Nnz

    /// <summary>Cells of all layers.</summary>
    member _.Cells: int64 = rows |> Array.sumBy _.Cells

    /// <summary>What has to be made anew, and in which order; empty where nothing was replaced, or where the optimizer was
    /// carried over.</summary>
    member t.Next: string =
        if needsOptimizer && t.Replaced > 0 then
            "next: make the optimizer (one made before has no state of the new weights), then the Rewirer"
        else
            ""

    /// <summary>A table for people, columns aligned, and what comes next.</summary>
    override t.ToString() =
        let heading =
            [| "layer"; "shape"; "nnz"; "sparsity"; "dense ms"; "sparse ms"; "replaced" |]

        let line (r: SparsifyRow) =
            [| (if r.Name = "" then "(the model)" else r.Name)
               $"{r.Rows} x {r.Cols}"
               string r.Nnz
               invariant "0.####" r.Sparsity
               milliseconds r.DenseMs
               milliseconds r.SparseMs
               (if r.IsEmpty then "yes, with no weight"
                elif r.IsReplaced then "yes"
                else $"no: {r.WhyNot}") |]

        let total =
            [| "all"
               ""
               string t.Nnz
               invariant "0.####" (Sparsity.ofCount t.Nnz t.Cells)
               ""
               ""
               $"{t.Replaced} of {rows.Length}" |]

        let lines = Array.concat [ [| heading |]; Array.map line rows; [| total |] ]

        let width =
            Array.init heading.Length (fun i -> lines |> Array.map (fun l -> l[i].Length) |> Array.max)

        let isNumber i = i >= 2 && i <= 5

        let pad (cells: string[]) =
            let padded =
                cells
                |> Array.mapi (fun i cell ->
                    if isNumber i then
                        cell.PadLeft width[i]
                    else
                        cell.PadRight width[i])

            String.Join("  ", padded).TrimEnd()

        let next = if t.Next = "" then [||] else [| t.Next |]
        String.Join("\n", Array.append (Array.map pad lines) next)
