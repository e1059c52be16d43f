namespace SparseFs.Tool

open System
open System.IO.Enumeration
open SparseFs

/// <summary>Which weights of a file become sparse, and how sparse.</summary>
[<NoComparison>]
type internal ConvertRule =
    {
        Sparsity: float
        /// Patterns of names with * and ?; where there are none, all.
        Include: string list
        Exclude: string list
        /// Weights with fewer numbers stay dense.
        Smallest: int64
        /// Rows whose columns stay or go together; 1 for each by itself.
        RowGroup: int
    }

    /// Whether a tensor goes by the name of a layer's weight.
    static member IsWeight(t: TensorInfo) : bool =
        t.Name = "weight" || t.Name.EndsWith(".weight", StringComparison.Ordinal)

    static member private Matches (patterns: string list) (name: string) : bool =
        patterns
        |> List.exists (fun pattern -> FileSystemName.MatchesSimpleExpression(pattern, name, ignoreCase = false))

    /// <summary>Why a tensor stays dense; empty where it is to become sparse.</summary>
    member r.WhyDense(t: TensorInfo) : string =
        if not (ConvertRule.IsWeight t) then
            "no .weight"
        elif not (Elements.isFloating t.Dtype) then
            invariant $"of {t.Dtype}"
        elif t.Shape.Length < 2 || t.Shape.Length > 5 then
            invariant $"of {t.Shape.Length} dimensions"
        elif ConvertRule.Matches r.Exclude t.Name then
            "excluded"
        elif not (r.Include.IsEmpty || ConvertRule.Matches r.Include t.Name) then
            "not included"
        elif TensorFile.Count t < r.Smallest then
            invariant $"fewer than {r.Smallest} numbers"
        else
            ""
