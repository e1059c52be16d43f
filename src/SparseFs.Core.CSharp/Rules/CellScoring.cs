using System;
using Microsoft.FSharp.Core;

namespace SparseFs.CSharp;

/// <summary>Scores made of others, for rules of one's own: <c>state => state.Gradient.Abs()</c>.</summary>
public static class CellScoring
{
    /// <summary>Scores of a function of each score.</summary>
    /// <param name="scores">The source.</param>
    /// <param name="map">Without effects: the parts of the source may call it side by side.</param>
    /// <returns>Scores that are read as the source is.</returns>
    /// <exception cref="ArgumentNullException">An argument is null.</exception>
    public static CellScores Map(this CellScores scores, Func<float, float> map) =>
        CellScoresModule.Map(FuncConvert.FromFunc(Require.NotNull(map)), scores);

    /// <summary>Scores of a function of each cell's row, column and score.</summary>
    /// <param name="scores">The source.</param>
    /// <param name="map">From row, column and score to a score; without effects: the parts of the source may call it side
    /// by side.</param>
    /// <returns>Scores that are read as the source is.</returns>
    /// <exception cref="ArgumentNullException">An argument is null.</exception>
    public static CellScores MapCells(this CellScores scores, Func<int, int, float, float> map) =>
        CellScoresModule.MapIndexed(FuncConvert.FromFunc(Require.NotNull(map)), scores);

    /// <summary>Magnitudes of scores: what growth by gradient or momentum ranks by, which are signed as they come.</summary>
    /// <param name="scores">The source.</param>
    /// <returns>Scores that are read as the source is.</returns>
    /// <exception cref="ArgumentNullException">scores is null.</exception>
    public static CellScores Abs(this CellScores scores) => CellScoresModule.Abs(scores);
}
