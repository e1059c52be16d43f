namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>A group of rows that share their columns: 'G values a column, which are read beside each other.</summary>
/// <remarks>Slots keep the order of their rows: slot k of row r + i is the i-th row's first slot + k.</remarks>
[<Struct>]
type internal RowGroup =
    {
        /// The columns, of the first row's slots.
        Cols: nativeptr<int>
        /// Slots of each row.
        Count: int
        /// The first slot of each row; those of rows that the group has not are the first row's.
        First0: int64
        First1: int64
        First2: int64
        First3: int64
    }

[<RequireQualifiedAccess>]
module internal RowGroup =

    /// The group that begins at a row.
    let inline at<'G when 'G: struct and 'G :> ICount> (p: CsrView) (row: int) : RowGroup =
        let first = int64 (Pointer.get p.Begin row)

        { Cols = Pointer.at p.ColIdx first
          Count = Pointer.get p.End row - int first
          First0 = first
          First1 = int64 (Pointer.get p.Begin (row + 1))
          First2 =
            if 'G.Count > 2 then
                int64 (Pointer.get p.Begin (row + 2))
            else
                first
          First3 =
            if 'G.Count > 2 then
                int64 (Pointer.get p.Begin (row + 3))
            else
                first }

    /// Calls body with each whole group of some rows, which begin with a group.
    let inline each<'G when 'G: struct and 'G :> ICount>
        (p: CsrView)
        (rows: RowRange)
        ([<InlineIfLambda>] body: int -> RowGroup -> unit)
        =
        let mutable row = rows.From

        while row + 'G.Count <= rows.To do
            body row (at<'G> p row)
            row <- row + 'G.Count
