namespace SparseFs

open System

/// <summary>Scores made of others, for rules of one's own.</summary>
[<RequireQualifiedAccess; CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module CellScores =

    /// <summary>Scores of a function of each cell's place and score.</summary>
    /// <param name="map">From row, column and score to a score; without effects, for the parts of the source may call it side
    /// by side.</param>
    /// <param name="scores">The source, which is read as these are read: some rows at a time, never held as a whole.</param>
    /// <example><code>
    /// // Growth by |gradient|, less of it in rows that have many slots already.
    /// let balanced =
    ///     Grow.NamedScore("balanced gradient", GrowthInputs.Gradient, fun (state: LayerState) ->
    ///         let rowPtr = state.Connectivity.RowPtr.ToArray()
    ///         let fanIn row = float32 (rowPtr[row + 1] - rowPtr[row])
    ///         state.Gradient |> CellScores.mapi (fun row _ score -> abs score / (1f + fanIn row)))
    /// let policy = { Policy.rigL (Schedule.cosine 0.3 100L 75_000L) with Grow = balanced }
    /// </code></example>
    [<CompiledName "MapIndexed">]
    let mapi (map: int -> int -> float32 -> float32) (scores: CellScores) : CellScores =
        ArgumentNullException.ThrowIfNull(scores, nameof scores)
        MappedScores(OptimizedClosures.FSharpFunc<_, _, _, _>.Adapt map, scores)

    /// <summary>Scores of a function of each score.</summary>
    /// <param name="map">As that of <c>mapi</c>, without the place.</param>
    /// <param name="scores">The source.</param>
    /// <example><code>
    /// let scores = RowScores(fun first count -> [| for row in first .. first + count - 1 -> float32 -row |])
    /// (CellScores.map (fun score -> 2f * score) scores).Rows(1, 2) // = [|-2.0f; -4.0f|]
    /// </code></example>
    [<CompiledName "Map">]
    let map (map: float32 -> float32) (scores: CellScores) : CellScores =
        mapi (fun _ _ score -> map score) scores

    /// <summary>Magnitudes of scores: what growth by gradient or momentum ranks by, which are signed as they come.</summary>
    /// <param name="scores">The source.</param>
    /// <example><code>
    /// let scores = RowScores(fun first count -> [| for row in first .. first + count - 1 -> float32 -row |])
    /// (CellScores.abs scores).Rows(1, 2) // = [|1.0f; 2.0f|]
    /// </code></example>
    [<CompiledName "Abs">]
    let abs (scores: CellScores) : CellScores =
        map (fun score -> MathF.Abs score) scores
