namespace SparseFs.Testing

open global.FsCheck
open global.FsCheck.FSharp
open SparseFs

/// What laws are made of: conditions with the words that are shown where one fails.
module internal LawConditions =

    let all (conditions: (string * bool) list) : Property =
        conditions
        |> List.map (fun (label, holds) -> holds |> Prop.label label)
        |> List.reduce (.&.)

    let same (what: string) (expected: 'a) (actual: 'a) : string * bool =
        $"{what}: expected {expected}, got {actual}", expected = actual

    /// The (row, column) of every slot.
    let pairs (c: Connectivity) : Set<struct (int * int)> =
        let rowPtr = c.RowPtr.ToArray()
        let colIdx = c.ColIdx.ToArray()

        set
            [ for row in 0 .. c.Rows - 1 do
                  for slot in rowPtr[row] .. rowPtr[row + 1] - 1 -> struct (row, colIdx[slot]) ]

    /// Every invariant of a pattern, seen from the outside.
    let ofPattern (c: Connectivity) : (string * bool) list =
        let rowPtr = c.RowPtr.ToArray()
        let colIdx = c.ColIdx.ToArray()
        let cells = int64 c.Rows * int64 c.Cols

        let rises (row: int) =
            let mutable slot = rowPtr[row] + 1

            while slot < rowPtr[row + 1] && colIdx[slot] > colIdx[slot - 1] do
                slot <- slot + 1

            slot >= rowPtr[row + 1]

        // The later conditions index by the earlier ones.
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

    /// A pattern of this shape with so many distinct slots.
    let ofOrder (rows: int) (cols: int) (nnz: int) (c: Connectivity) : (string * bool) list =
        [ same "rows" rows c.Rows
          same "cols" cols c.Cols
          same "nnz" nnz c.Nnz
          yield! ofPattern c ]

    /// The same pattern whenever and wherever the seed is used again.
    let ofSeed (generate: Seed -> Connectivity) (seed: Seed) (other: Seed) : (string * bool) list =
        let first = generate seed
        generate other |> ignore
        let elsewhere = System.Threading.Tasks.Task.Run(fun () -> generate seed)

        [ "the same pattern after another seed was used", generate seed = first
          "the same pattern on another thread", elsewhere.Result = first ]

    let ofKernels (cells: int) (c: Connectivity) : (string * bool) list =
        let colIdx = c.ColIdx.ToArray()

        let kernels =
            Array.zip (Connectivity.rowIndices c) colIdx
            |> Array.countBy (fun (row, col) -> row, (if cells > 0 then col / cells else col))

        [ "a kernel has 1 cell or more, and columns are whole kernels", cells >= 1 && c.Cols % cells = 0
          $"each kernel has all of its {cells} cells, or none",
          kernels |> Array.forall (fun (_, count) -> count = cells) ]


    /// Neighbouring rows share their columns, so many rows at a time.
    let ofRowGroups (size: int) (c: Connectivity) : (string * bool) list =
        let rowPtr = c.RowPtr.ToArray()
        let colIdx = c.ColIdx.ToArray()

        let columns (row: int) =
            colIdx[rowPtr[row] .. rowPtr[row + 1] - 1]

        let sharesColumns (row: int) =
            columns row = columns (row / size * size)

        let found = Connectivity.rowGroupSize c

        [ "a group has 1 row or more", size >= 1
          $"the rows of each group of {size} have the columns of its first",
          size >= 1 && Seq.forall sharesColumns (seq { 0 .. c.Rows - 1 })
          $"rowGroupSize is a multiple of {size}, or all rows: got {found} of {c.Rows}",
          size >= 1 && (found % size = 0 || found >= c.Rows) ]
