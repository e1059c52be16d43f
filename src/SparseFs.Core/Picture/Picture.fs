namespace SparseFs

open System
open SparseFs.Pictures

/// <summary>Patterns as pictures, for a terminal or a page.</summary>
/// <remarks>A large pattern is scaled down to square blocks of cells. In a notebook a Connectivity shows itself as
/// <c>svg</c> does.</remarks>
[<RequireQualifiedAccess>]
module Picture =

    let private blocks (maxDown: int) (maxAcross: int) (c: Connectivity) =
        PatternBlocks.create maxDown maxAcross c.Cols c.RowPtrArray c.ColIdxArray

    /// <summary>A pattern in Braille characters, of which each has 2 × 4 dots.</summary>
    /// <param name="columns">Characters in a line at most, 1 or more.</param>
    /// <param name="lines">Lines at most, 1 or more.</param>
    /// <param name="c">Any pattern.</param>
    /// <returns>A dot for each cell that has a slot; where a dot stands for more cells, it is there if they hold no fewer
    /// slots than their share. Empty for a pattern without cells.</returns>
    /// <exception cref="T:System.ArgumentException">columns or lines is below 1.</exception>
    /// <remarks>O(rows + nnz).</remarks>
    /// <example><code>
    /// Picture.brailleWithin 2 1 (Topology.banded 4 4 10) // = "⢻⣆"
    /// </code></example>
    [<CompiledName "BrailleWithin">]
    let brailleWithin (columns: int) (lines: int) (c: Connectivity) : string =
        for name, value in [ nameof columns, columns; nameof lines, lines ] do
            if value < 1 then
                raise (ArgumentException($"expected 1 or more, got {value}", name))

        Braille.draw (blocks (4 * min lines 10_000) (2 * min columns 10_000) c)

    /// <summary>A pattern in Braille characters, in at most 20 lines of 60.</summary>
    /// <param name="c">Any pattern.</param>
    /// <example><code>
    /// printfn $"{Picture.braille (Topology.smallWorld 80 120 960 (Seed.ofInt 1))}"
    /// </code></example>
    [<CompiledName "Braille">]
    let braille (c: Connectivity) : string = brailleWithin 60 20 c

    /// <summary>A pattern as an svg element: at most 96 × 96 squares, the darker the more slots they hold.</summary>
    /// <param name="c">Any pattern.</param>
    /// <remarks>O(rows + nnz); at most some hundred kilobytes, whatever the pattern's size.</remarks>
    /// <example><code>
    /// System.IO.File.WriteAllText("pattern.svg", Picture.svg layer.Connectivity)
    /// </code></example>
    [<CompiledName "Svg">]
    let svg (c: Connectivity) : string = (c :> IShownAsHtml).Html()

    /// <summary>A convolution's pattern as an svg element: its bank of filters, a box for each kernel with its cells, output channels
    /// down and input channels across (the other way round for a transposed convolution).</summary>
    /// <param name="kernel">Sizes of a kernel, one to three; the planes of three stand under each other.</param>
    /// <param name="c">Any pattern whose columns are cells of such kernels.</param>
    /// <returns>At most 24 × 24 boxes: where channels are more, neighbours lie over each other, and a cell is the darker the more of
    /// them have it.</returns>
    /// <exception cref="T:System.ArgumentException">The kernel has not one to three sizes of 1 or more whose product divides the
    /// columns.</exception>
    /// <remarks>O(rows + nnz + 576 cells of a kernel); at most some hundred kilobytes for kernels of 11 × 11, whatever the numbers of
    /// channels.</remarks>
    /// <example><code>
    /// let pattern = Topology.inKernels 9 Topology.uniform 16 72 360 (Seed.ofInt 1)
    /// System.IO.File.WriteAllText("filters.svg", Picture.filterBank [| 3; 3 |] pattern)
    /// </code></example>
    [<CompiledName "FilterBank">]
    let filterBank (kernel: int[]) (c: Connectivity) : string =
        ArgumentNullException.ThrowIfNull(kernel, nameof kernel)
        ArgumentNullException.ThrowIfNull(c, nameof c)
        let sizes = String.Join(" × ", kernel)
        let cells = kernel |> Array.fold (fun cells size -> cells * int64 size) 1L

        if
            kernel.Length < 1
            || kernel.Length > 3
            || Array.exists (fun size -> size < 1) kernel
            || cells > 10_000L
            || int64 c.Cols % cells <> 0L
        then
            raise (
                ArgumentException(
                    (invariant
                        $"expected one to three sizes of 1 or more whose product, of 10000 at most, divides the {c.Cols} columns, got [{sizes}]"),
                    nameof kernel
                )
            )

        let width = Array.last kernel

        PatternBlocks.ofKernels 24 (int cells / width) width c.Cols c.RowPtrArray c.ColIdxArray
        |> Svg.drawBoxes $"{c}, kernels of {sizes}" (int cells / width) width
