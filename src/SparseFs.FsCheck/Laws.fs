namespace SparseFs.Testing

open global.FsCheck
open global.FsCheck.FSharp
open SparseFs

/// <summary>What holds for every pattern and for every generator of patterns, as FsCheck properties.</summary>
/// <remarks>The laws look at a pattern from the outside, through its public members alone, and each names the part that
/// fails. Those that compare with a set of pairs take time in proportion to nnz · log nnz.</remarks>
[<RequireQualifiedAccess>]
module Laws =

    let private all (parts: (string * bool) list) : Property =
        parts
        |> List.map (fun (label, holds) -> holds |> Prop.label label)
        |> List.reduce (.&.)

    let private same (what: string) (expected: 'a) (actual: 'a) : string * bool =
        $"{what}: expected {expected}, got {actual}", expected = actual

    let private pairs (c: Connectivity) : Set<struct (int * int)> =
        let rowPtr = c.RowPtr.ToArray()
        let colIdx = c.ColIdx.ToArray()

        set
            [ for row in 0 .. c.Rows - 1 do
                  for slot in rowPtr[row] .. rowPtr[row + 1] - 1 -> struct (row, colIdx[slot]) ]

    let private patternParts (c: Connectivity) : (string * bool) list =
        let rowPtr = c.RowPtr.ToArray()
        let colIdx = c.ColIdx.ToArray()
        let cells = int64 c.Rows * int64 c.Cols

        let rises (row: int) =
            let mutable slot = rowPtr[row] + 1

            while slot < rowPtr[row + 1] && colIdx[slot] > colIdx[slot - 1] do
                slot <- slot + 1

            slot >= rowPtr[row + 1]

        // The later parts index by the earlier ones.
        let pointers =
            c.Rows >= 0
            && rowPtr.Length = c.Rows + 1
            && rowPtr[0] = 0
            && rowPtr[c.Rows] = colIdx.Length
            && Seq.forall (fun row -> rowPtr[row] <= rowPtr[row + 1]) (seq { 0 .. c.Rows - 1 })

        [ "RowPtr has rows + 1 entries, starts at 0, never falls and ends at the length of ColIdx", pointers
          "every column is in 0..cols - 1", Array.forall (fun col -> 0 <= col && col < c.Cols) colIdx
          "columns are strictly rising in each row", pointers && Seq.forall rises (seq { 0 .. c.Rows - 1 })
          same "Nnz" colIdx.Length c.Nnz
          same "Cells" cells c.Cells
          "density and sparsity are in [0, 1] and add up to 1",
          c.Density >= 0.0
          && c.Density <= 1.0
          && abs (c.Density + c.Sparsity - 1.0) < 1e-12
          "density · cells = nnz", (cells = 0L || abs (c.Density * float cells - float c.Nnz) <= 1e-12 * float cells)
          "create accepts the buffers and gives an equal pattern with the same hash and fingerprint",
          (match Connectivity.tryCreate c.Rows c.Cols rowPtr colIdx with
           | Ok again ->
               again = c
               && again.GetHashCode() = c.GetHashCode()
               && again.Fingerprint = c.Fingerprint
           | Error _ -> false) ]

    /// <summary>Every invariant of a pattern holds, seen from the outside.</summary>
    /// <param name="c">Any pattern.</param>
    /// <returns>RowPtr runs from 0 to nnz over rows + 1 entries and never falls; columns are in 0..cols − 1 and strictly
    /// rising in each row; nnz, cells, density and sparsity agree; the buffers make an equal pattern again.</returns>
    let isPattern (c: Connectivity) : Property = all (patternParts c)

    /// <summary>The transpose swaps every pair, and its slot map says where each value comes from.</summary>
    /// <param name="c">Any pattern, shape [rows, cols].</param>
    /// <returns>Transposing twice gives the pattern back; the transpose is a pattern that holds exactly the swapped pairs;
    /// <c>valuesT[s] = values[from[s]]</c>, and going there and back moves no value.</returns>
    let transposeTwice (c: Connectivity) : Property =
        let t, from = Connectivity.transpose c
        let back, fromT = Connectivity.transpose t
        let rowIdx = Connectivity.rowIndices c
        let colIdx = c.ColIdx.ToArray()
        let rowIdxT = Connectivity.rowIndices t
        let colIdxT = t.ColIdx.ToArray()
        let swapped = pairs c |> Set.map (fun struct (row, col) -> struct (col, row))

        all
            [ "transposing twice gives the pattern back", back = c
              "the transpose holds exactly the swapped pairs", pairs t = swapped
              same "rows of the transpose" c.Cols t.Rows
              same "columns of the transpose" c.Rows t.Cols
              same "length of the slot map" c.Nnz from.Length
              "slot s of the transpose is the cell of slot from[s]",
              Seq.forall
                  (fun slot -> rowIdxT[slot] = colIdx[from[slot]] && colIdxT[slot] = rowIdx[from[slot]])
                  (seq { 0 .. from.Length - 1 })
              "the slot maps there and back cancel",
              Seq.forall (fun slot -> from[fromT[slot]] = slot) (seq { 0 .. fromT.Length - 1 })
              yield! patternParts t ]

    /// <summary>The set algebra of patterns is that of sets of (row, column) pairs.</summary>
    /// <param name="a">Shape [rows, cols].</param>
    /// <param name="b">The same shape.</param>
    /// <returns>union, intersect, difference and diff hold exactly the pairs that the sets have; isSubset agrees with the
    /// sets; replaying a diff gives the second pattern; union and intersect do not depend on the order.</returns>
    let algebra (a: Connectivity) (b: Connectivity) : Property =
        let union = Connectivity.union a b
        let common = Connectivity.intersect a b
        let onlyA = Connectivity.difference a b
        let diff = Connectivity.diff a b
        let pairsA, pairsB = pairs a, pairs b

        all
            [ "union holds the pairs of either", pairs union = pairsA + pairsB
              "intersect holds the pairs of both", pairs common = Set.intersect pairsA pairsB
              "difference holds the pairs of the first alone", pairs onlyA = pairsA - pairsB
              "Added holds the pairs of the second alone", pairs diff.Added = pairsB - pairsA
              "Removed holds the pairs of the first alone", pairs diff.Removed = pairsA - pairsB
              "replaying the diff gives the second pattern",
              Connectivity.union (Connectivity.difference a diff.Removed) diff.Added = b
              same "isSubset" (Set.isSubset pairsA pairsB) (Connectivity.isSubset a b)
              "union does not depend on the order", Connectivity.union b a = union
              "intersect does not depend on the order", Connectivity.intersect b a = common
              for result in [ union; common; onlyA; diff.Added; diff.Removed ] do
                  yield! patternParts result ]

    /// <summary>A generator of patterns gives the shape and the number of slots that it promises, whatever the seed.</summary>
    /// <param name="rows">The promised out_features.</param>
    /// <param name="cols">The promised in_features.</param>
    /// <param name="nnz">The promised number of slots: exact, not nearly.</param>
    /// <param name="generate">The generator, all but its seed filled in.</param>
    /// <returns>For every seed: a valid pattern of shape [rows, cols] with nnz distinct slots.</returns>
    let exactNnz (rows: int) (cols: int) (nnz: int) (generate: Seed -> Connectivity) : Property =
        let holds (seed: Seed) =
            let c = generate seed

            all
                [ same "rows" rows c.Rows
                  same "cols" cols c.Cols
                  same "nnz" nnz c.Nnz
                  yield! patternParts c ]

        Prop.forAll Generators.seed holds

    /// <summary>A generator of patterns is a pure function of its seed.</summary>
    /// <param name="generate">The generator, all but its seed filled in.</param>
    /// <returns>For every seed: the same pattern when asked again, also after another seed was used, and on another thread.</returns>
    let sameSeedSamePattern (generate: Seed -> Connectivity) : Property =
        let holds (seed: Seed, other: Seed) =
            let first = generate seed
            generate other |> ignore
            let elsewhere = System.Threading.Tasks.Task.Run(fun () -> generate seed)

            all
                [ "the same pattern after another seed was used", generate seed = first
                  "the same pattern on another thread", elsewhere.Result = first ]

        Prop.forAll (Arb.zip (Generators.seed, Generators.seed)) holds
