using System;
using System.Globalization;
using System.Linq;

namespace DigitServer.Models;

/// <summary>The sizes in the table that a model prints of itself: a line a layer, whose last two columns are the bytes of the dense and of the own weights.</summary>
internal static class LayerTable
{
    /// <returns>Bytes of all layers as they are, and as dense ones; 0 and 0 for a table without layers.</returns>
    public static (long Sparse, long Dense) Bytes(string info)
    {
        // The first line names the columns, the last one has the file.
        var layers = info.Split('\n').Skip(1).SkipLast(1).Select(line => line.Split("  ", StringSplitOptions.RemoveEmptyEntries)).ToArray();
        long Sum(int fromEnd) => layers.Sum(cells => long.Parse(cells[^fromEnd], CultureInfo.InvariantCulture));
        return (Sum(1), Sum(2));
    }
}
