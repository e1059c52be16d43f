using System;

namespace SparseFs.CSharp;

/// <summary>Patterns as pictures, for a terminal or a page.</summary>
public static class Pictures
{
    /// <summary>A pattern in Braille characters, of which each has 2 × 4 dots, in at most 20 lines of 60.</summary>
    /// <param name="connectivity">Any pattern; a large one is scaled down.</param>
    /// <returns>A dot for each cell that has a slot; where a dot stands for more cells, it is there if they hold no fewer
    /// slots than their share.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="connectivity"/> is null.</exception>
    /// <example><code>Console.WriteLine(layer.Connectivity.ToBraille());</code></example>
    public static string ToBraille(this Connectivity connectivity) =>
        SparseFs.Picture.Braille(Require.NotNull(connectivity));

    /// <summary>As above, in a size of your own.</summary>
    /// <param name="connectivity">Any pattern; a large one is scaled down.</param>
    /// <param name="columns">Characters in a line at most, 1 or more.</param>
    /// <param name="lines">Lines at most, 1 or more.</param>
    /// <returns>The lines.</returns>
    /// <exception cref="ArgumentException"><paramref name="columns"/> or <paramref name="lines"/> is below 1, or
    /// <paramref name="connectivity"/> is null.</exception>
    /// <example><code>Console.WriteLine(layer.Connectivity.ToBraille(columns: 30, lines: 10));</code></example>
    public static string ToBraille(this Connectivity connectivity, int columns, int lines) =>
        SparseFs.Picture.BrailleWithin(columns, lines, Require.NotNull(connectivity));

    /// <summary>A pattern as an svg element: at most 96 × 96 squares, the darker the more slots they hold.</summary>
    /// <param name="connectivity">Any pattern.</param>
    /// <returns>The element, of bounded size.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="connectivity"/> is null.</exception>
    /// <example><code>File.WriteAllText("pattern.svg", layer.Connectivity.ToSvg());</code></example>
    public static string ToSvg(this Connectivity connectivity) => SparseFs.Picture.Svg(Require.NotNull(connectivity));

    /// <summary>A convolution's pattern as an svg element: its bank of filters, a box for each kernel with its cells, output
    /// channels down and input channels across.</summary>
    /// <param name="connectivity">Any pattern whose columns are cells of such kernels.</param>
    /// <param name="kernel">Sizes of a kernel, one to three.</param>
    /// <returns>The element, of at most 24 × 24 boxes: where channels are more, neighbours lie over each other.</returns>
    /// <exception cref="ArgumentException">An argument is null, or the kernel has not one to three sizes of 1 or more whose product
    /// divides the columns.</exception>
    /// <example><code>File.WriteAllText("filters.svg", conv.Connectivity.ToFilterBankSvg(3, 3));</code></example>
    public static string ToFilterBankSvg(this Connectivity connectivity, params int[] kernel) =>
        SparseFs.Picture.FilterBank(Require.NotNull(kernel), Require.NotNull(connectivity));
}
