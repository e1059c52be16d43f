namespace SparseFs

open System

/// <summary>Which weights of a [rows, cols] matrix exist: a CSR pattern without values, immutable and always valid.</summary>
/// <remarks>
/// Row r owns slots RowPtr[r] .. RowPtr[r + 1] - 1, columns strictly increasing. No function builds a value that breaks
/// this, so kernels skip bounds checks. rows = out_features, cols = in_features. Equality and hash are by content.
/// </remarks>
[<Sealed; NoComparison; Pictures.TypeFormatterSource(typeof<Pictures.HtmlFormatterSource>)>]
type Connectivity =
    interface IEquatable<Connectivity>
    interface Pictures.IShownAsHtml

    /// <summary>out_features.</summary>
    member Rows: int

    /// <summary>in_features.</summary>
    member Cols: int

    /// <summary>Slots: stored weights, zeros included.</summary>
    member Nnz: int

    /// <summary>rows · cols; it may exceed 2^31.</summary>
    member Cells: int64

    /// <summary>nnz / (rows · cols); 0 where there is no cell.</summary>
    member Density: float

    /// <summary>1 − density.</summary>
    member Sparsity: float

    /// <summary>Length rows + 1: the first slot of each row, then nnz.</summary>
    member RowPtr: ReadOnlySpan<int>

    /// <summary>Length nnz: the column of each slot, strictly increasing within a row.</summary>
    member ColIdx: ReadOnlySpan<int>

    /// <summary>64 bits that depend on the content alone: the same on every machine and in every version of .NET.</summary>
    member Fingerprint: uint64

    /// The arrays themselves, for the transpose, the plan and the kernels; nobody writes to them.
    member internal RowPtrArray: int[]
    member internal ColIdxArray: int[]

/// <summary>What separates one pattern from another of the same shape.</summary>
type ConnectivityDiff =
    {
        /// <summary>Slots that only the second pattern has.</summary>
        Added: Connectivity
        /// <summary>Slots that only the first pattern has.</summary>
        Removed: Connectivity
    }

/// <summary>Building, reading and combining patterns.</summary>
[<RequireQualifiedAccess>]
module Connectivity =

    /// <summary>Copies CSR buffers and checks the copy, for data from outside. O(rows + nnz).</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <param name="rowPtr">Length rows + 1, from 0 to nnz, never falling.</param>
    /// <param name="colIdx">Length nnz, in 0..cols − 1, strictly increasing within a row.</param>
    /// <returns>The pattern, or the first rule that is broken.</returns>
    /// <example><code>
    /// match Connectivity.tryCreate 2 4 [| 0; 1; 3 |] [| 3; 2; 0 |] with
    /// | Ok pattern -> printfn $"{pattern}"
    /// // colIdx: expected rising columns in row 1, got 0 after 2
    /// | Error broken -> printfn $"{broken.ParamName}: {broken.Message}"
    /// </code></example>
    [<CompiledName "TryCreate">]
    val tryCreate: rows: int -> cols: int -> rowPtr: int[] -> colIdx: int[] -> Result<Connectivity, ConnectivityError>

    /// <summary>As <c>tryCreate</c>, for data that the program made.</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <param name="rowPtr">Length rows + 1, from 0 to nnz, never falling.</param>
    /// <param name="colIdx">Length nnz, in 0..cols − 1, strictly increasing within a row.</param>
    /// <exception cref="T:System.ArgumentException">A rule is broken; the message says what was expected and what came.</exception>
    /// <example><code>
    /// (Connectivity.create 2 4 [| 0; 1; 3 |] [| 3; 0; 2 |]).Sparsity // = 0.625
    /// </code></example>
    [<CompiledName "Create">]
    val create: rows: int -> cols: int -> rowPtr: int[] -> colIdx: int[] -> Connectivity

    /// <summary>From (row, column) pairs in any order: the (2, nnz) form of SparseLinear. O(rows + cols + nnz).</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <param name="rowIdx">Length nnz, in 0..rows − 1.</param>
    /// <param name="colIdx">Length nnz, in 0..cols − 1.</param>
    /// <returns>The pattern, or the first rule that is broken; a repeated pair is refused, not merged.</returns>
    /// <example><code>
    /// match Connectivity.tryOfPairs 2 4 [| 0; 1; 0 |] [| 3; 2; 3 |] with
    /// | Ok pattern -> printfn $"{pattern.Nnz} slots"
    /// | Error(ConnectivityError.Duplicate(row, col)) -> printfn $"({row}, {col}) comes twice"
    /// | Error other -> printfn $"{other.Message}"
    /// </code></example>
    [<CompiledName "TryOfPairs">]
    val tryOfPairs: rows: int -> cols: int -> rowIdx: int[] -> colIdx: int[] -> Result<Connectivity, ConnectivityError>

    /// <summary>As <c>tryOfPairs</c>, for data that the program made.</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <param name="rowIdx">Length nnz, in 0..rows − 1.</param>
    /// <param name="colIdx">Length nnz, in 0..cols − 1.</param>
    /// <exception cref="T:System.ArgumentException">An index is out of range, a pair is repeated, or the lengths differ.</exception>
    /// <example><code>
    /// (Connectivity.ofPairs 2 4 [| 1; 0; 1 |] [| 2; 3; 0 |]).ColIdx.ToArray() // = [|3; 0; 2|]
    /// </code></example>
    [<CompiledName "OfPairs">]
    val ofPairs: rows: int -> cols: int -> rowIdx: int[] -> colIdx: int[] -> Connectivity

    /// <summary>A slot wherever a dense mask is true.</summary>
    /// <param name="mask">Shape [rows, cols].</param>
    /// <example><code>
    /// let lowerTriangle = Connectivity.ofMask (Array2D.init 4 4 (fun row col -> col &lt;= row))
    /// lowerTriangle.Nnz // = 10
    /// </code></example>
    [<CompiledName "OfMask">]
    val ofMask: mask: bool[,] -> Connectivity

    /// <summary>The <paramref name="nnz"/> largest magnitudes of a dense weight; a tie goes to the lower cell.</summary>
    /// <param name="nnz">Slots to keep, 0..rows·cols.</param>
    /// <param name="weight">Shape [rows, cols].</param>
    /// <exception cref="T:System.ArgumentException">nnz is outside 0..rows·cols, or a weight is NaN.</exception>
    /// <remarks>O(cells), without a copy of the weights; a cell is row · cols + column, row-major.</remarks>
    /// <example><code>
    /// let weight = array2D [ [ 0.1f; -2.0f; 0.0f ]; [ 0.5f; 0.3f; -0.4f ] ]
    /// let pattern = Connectivity.ofMagnitude 3 weight
    /// Connectivity.toMask pattern // = [[false; true; false] [true; false; true]]
    /// </code></example>
    [<CompiledName "OfMagnitude">]
    val ofMagnitude: nnz: int -> weight: float32[,] -> Connectivity

    /// <summary>As ofMagnitude, of several layers together; a tie goes to the lower layer, then to the lower cell.</summary>
    /// <param name="nnz">Slots to keep in all layers, 0..(all cells).</param>
    /// <param name="weights">A layer each, shape [rows, cols].</param>
    /// <returns>A pattern a layer; their slots add up to nnz.</returns>
    /// <exception cref="T:System.ArgumentException">nnz is outside 0..(all cells), or a weight is NaN.</exception>
    /// <remarks>O(cells), without a copy of the weights. The Global Magnitude baseline of Blalock et al., 2020.</remarks>
    /// <example><code>
    /// let first, second = array2D [ [ 3.0f; 0.1f ] ], array2D [ [ -2.0f; 1.0f ] ]
    /// let patterns = Connectivity.ofMagnitudes 3L [| first; second |]
    /// patterns |> Array.map _.Nnz // = [|1; 2|]
    /// </code></example>
    [<CompiledName "OfMagnitudes">]
    val ofMagnitudes: nnz: int64 -> weights: float32[,][] -> Connectivity[]

    /// <summary>No slot at all.</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <exception cref="T:System.ArgumentException">A size is negative.</exception>
    /// <example><code>
    /// let growing = Connectivity.union (Connectivity.empty 300 784) (Topology.banded 300 784 3000)
    /// growing.Nnz // = 3000
    /// </code></example>
    [<CompiledName "Empty">]
    val empty: rows: int -> cols: int -> Connectivity

    /// <summary>A slot in every cell.</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <exception cref="T:System.ArgumentException">A size is negative, or rows·cols exceeds 2^31 − 1.</exception>
    /// <example><code>
    /// let dense = new SparseLinear(Connectivity.full 10 300) // as torch.nn.Linear(300, 10), to be pruned later
    /// dense.Connectivity.Density // = 1.0
    /// </code></example>
    [<CompiledName "Full">]
    val full: rows: int -> cols: int -> Connectivity

    /// <summary>The row of each slot, in slot order; with ColIdx the COO form.</summary>
    /// <param name="c">The pattern.</param>
    /// <returns>Length nnz, never falling.</returns>
    /// <example><code>
    /// let pattern = Connectivity.create 2 4 [| 0; 1; 3 |] [| 3; 0; 2 |]
    /// Array.zip (Connectivity.rowIndices pattern) (pattern.ColIdx.ToArray()) // = [|(0, 3); (1, 0); (1, 2)|]
    /// </code></example>
    [<CompiledName "RowIndices">]
    val rowIndices: c: Connectivity -> int[]

    /// <summary>The dense mask: true where a slot is.</summary>
    /// <param name="connectivity">The pattern.</param>
    /// <returns>Shape [rows, cols].</returns>
    /// <exception cref="T:System.ArgumentException">rows·cols exceeds 2^31 − 1.</exception>
    /// <example><code>
    /// let mask = Connectivity.toMask (Topology.banded 2 4 4)
    /// mask |> Array2D.map (fun exists -> if exists then 1 else 0) // = [[1; 1; 0; 0] [0; 1; 1; 0]]
    /// </code></example>
    [<CompiledName "ToMask">]
    val toMask: connectivity: Connectivity -> bool[,]

    /// <summary>The slot of a cell, or none.</summary>
    /// <param name="row">0..rows − 1.</param>
    /// <param name="col">0..cols − 1.</param>
    /// <param name="c">The pattern.</param>
    /// <exception cref="T:System.ArgumentOutOfRangeException">The cell is outside the matrix.</exception>
    /// <remarks>O(log fan-in).</remarks>
    /// <example><code>
    /// let pattern = Connectivity.create 2 4 [| 0; 1; 3 |] [| 3; 0; 2 |]
    /// Connectivity.tryFindSlot 1 2 pattern // = Some 2
    /// </code></example>
    [<CompiledName "TryFindSlot">]
    val tryFindSlot: row: int -> col: int -> c: Connectivity -> int option

    /// <summary>Slots of each row.</summary>
    /// <param name="c">The pattern.</param>
    /// <returns>Length rows; the sum is nnz.</returns>
    /// <example><code>
    /// Topology.constantFanIn 300 784 20 seed |> Connectivity.fanIn |> Array.distinct // = [|20|]
    /// </code></example>
    [<CompiledName "FanIn">]
    val fanIn: c: Connectivity -> int[]

    /// <summary>Slots of each column.</summary>
    /// <param name="c">The pattern.</param>
    /// <returns>Length cols; the sum is nnz.</returns>
    /// <example><code>
    /// let pattern = Topology.uniform 300 784 2000 seed
    /// let unused = Connectivity.fanOut pattern |> Seq.filter ((=) 0) |> Seq.length
    /// printfn $"{unused} of {pattern.Cols} inputs reach no output"
    /// </code></example>
    [<CompiledName "FanOut">]
    val fanOut: c: Connectivity -> int[]

    /// <summary>The same pairs ordered by column.</summary>
    /// <param name="c">Shape [rows, cols], nnz slots.</param>
    /// <returns>Shape [cols, rows], and <c>from</c> (length nnz) with <c>valuesT[s] = values[from[s]]</c>; transposing
    /// twice gives the pattern back.</returns>
    /// <remarks>One counting sort, O(rows + cols + nnz); cf. Gustavson, ACM TOMS 4(3), 1978, 250–269.</remarks>
    /// <example><code>
    /// let pattern = Connectivity.create 2 4 [| 0; 1; 3 |] [| 3; 0; 2 |]
    /// let transposed, from = Connectivity.transpose pattern
    /// let values = [| 0.3; 1.0; 1.2 |] // in the slot order of pattern
    /// from |> Array.map (fun slot -> values[slot]) // = [|1.0; 1.2; 0.3|]
    /// </code></example>
    [<CompiledName "Transpose">]
    val transpose: c: Connectivity -> Connectivity * int[]

    /// <summary>Slots that are in either pattern.</summary>
    /// <param name="a">Shape [rows, cols].</param>
    /// <param name="b">The same shape.</param>
    /// <exception cref="T:System.ArgumentException">The shapes differ, or the union exceeds 2^31 − 1 slots.</exception>
    /// <example><code>
    /// let local = Topology.banded 300 784 6000
    /// let withShortcuts = Connectivity.union local (Topology.uniform 300 784 600 seed)
    /// Connectivity.isSubset local withShortcuts // = true
    /// </code></example>
    [<CompiledName "Union">]
    val union: a: Connectivity -> b: Connectivity -> Connectivity

    /// <summary>Slots that are in both patterns.</summary>
    /// <param name="a">Shape [rows, cols].</param>
    /// <param name="b">The same shape.</param>
    /// <exception cref="T:System.ArgumentException">The shapes differ.</exception>
    /// <example><code>
    /// let a, b = Topology.uniform 300 784 2352 seed, Topology.uniform 300 784 2352 (Seed.ofInt 43)
    /// printfn $"two runs share {(Connectivity.intersect a b).Nnz} of {a.Nnz} connections"
    /// </code></example>
    [<CompiledName "Intersect">]
    val intersect: a: Connectivity -> b: Connectivity -> Connectivity

    /// <summary>Slots of <paramref name="a"/> that <paramref name="b"/> lacks.</summary>
    /// <param name="a">Shape [rows, cols].</param>
    /// <param name="b">The same shape.</param>
    /// <exception cref="T:System.ArgumentException">The shapes differ.</exception>
    /// <example><code>
    /// (Connectivity.difference (Connectivity.full 64 64) (Topology.banded 64 64 64)).Nnz // = 4032
    /// </code></example>
    [<CompiledName "Difference">]
    val difference: a: Connectivity -> b: Connectivity -> Connectivity

    /// <summary>What was added and removed on the way from one pattern to another.</summary>
    /// <param name="before">Shape [rows, cols].</param>
    /// <param name="after">The same shape.</param>
    /// <returns>union (difference before Removed) Added = after.</returns>
    /// <exception cref="T:System.ArgumentException">The shapes differ.</exception>
    /// <example><code>
    /// let before = Connectivity.ofPairs 2 4 [| 0; 1 |] [| 3; 2 |]
    /// let after = Connectivity.ofPairs 2 4 [| 0; 1 |] [| 3; 0 |]
    /// printfn $"{Connectivity.diff before after}" // 1 added, 1 removed
    /// </code></example>
    [<CompiledName "Diff">]
    val diff: before: Connectivity -> after: Connectivity -> ConnectivityDiff

    /// <summary>Whether every slot of the first is in the second.</summary>
    /// <param name="inner">Shape [rows, cols].</param>
    /// <param name="outer">The same shape.</param>
    /// <exception cref="T:System.ArgumentException">The shapes differ.</exception>
    /// <example><code>
    /// let pruned = Connectivity.ofMagnitude 2000 (Array2D.init 300 784 (fun row col -> float32 (row * col % 97)))
    /// Connectivity.isSubset pruned (Connectivity.full 300 784) // = true
    /// </code></example>
    [<CompiledName "IsSubset">]
    val isSubset: inner: Connectivity -> outer: Connectivity -> bool

    /// <summary>The largest size of groups of neighbouring rows that share their columns.</summary>
    /// <param name="c">The pattern.</param>
    /// <returns>Rows 0 to size − 1 have the same columns, so have the next ones, and so on; the last group may be smaller. 1
    /// where they differ, and all rows where they are all alike. Kernels use groups of 4 and 2 by themselves.</returns>
    /// <example><code>
    /// Connectivity.rowGroupSize (Topology.rowGroups 4 300 784 23_520 seed) // = 4
    /// </code></example>
    [<CompiledName "RowGroupSize">]
    val rowGroupSize: c: Connectivity -> int

    /// Takes the arrays themselves, unchecked: for what was derived from a pattern and obeys its rules.
    val internal ofTrusted: rows: int -> cols: int -> rowPtr: int[] -> colIdx: int[] -> Connectivity

    /// From distinct cells in rising order, which the caller guarantees: for generators, which cannot be wrong cheaply.
    val internal ofSortedCells: rows: int -> cols: int -> cells: int64[] -> Connectivity
