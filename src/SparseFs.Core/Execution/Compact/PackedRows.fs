namespace SparseFs.Kernels

#nowarn "9"

open System
open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>Memory on a cache line's boundary that the garbage collector frees and does not move.</summary>
[<Sealed>]
type internal PinnedRoom(bytes: int64) =

    // Longs hold eight times as much as an array of bytes; a line more for the boundary, and another that a vector may read.
    let room: uint64[] = GC.AllocateArray<uint64>(int (bytes / 8L) + 17, pinned = true)

    let address =
        use start = fixed room
        (NativePtr.toNativeInt start + 63n) &&& ~~~63n

    member _.Address: nativeint = address

    /// Bytes that it takes.
    member _.Bytes: int64 = 8L * room.LongLength

/// <summary>Weights packed for products with one sample: immutable, and for any number of threads.</summary>
/// <remarks>
/// Rows that share their columns are taken 16, 8 or 4 together, as PackedView has it. A slot costs 2 bytes for its column, 4 where there
/// are more than 65,536 columns, once for all rows of a group, and 4, 2 or 1 for its value.
/// </remarks>
[<Sealed>]
type internal PackedRows private (pattern: Connectivity, form: ValueForm, group: int, slots: int64, groups: int) =

    let isWide = pattern.Cols > 65536
    let columns = PinnedRoom(slots * (if isWide then 4L else 2L))

    let valueBytes =
        match form with
        | ValueForm.Float32 -> 4L
        | ValueForm.BFloat16 -> 2L
        | _ -> 1L

    let values = PinnedRoom(slots * int64 group * valueBytes)
    let starts: int[] = Array.zeroCreate (groups + 1)
    let counts: int[] = Array.zeroCreate groups
    let rows, cols, nnz = pattern.Rows, pattern.Cols, pattern.Nnz

    /// Slots that a group's begin at a multiple of: a vector's of a single row, eight inputs of several.
    static member private Unit(group: int) : int = if group = 1 then 16 else 8

    /// <summary>Rows that are taken together: 16, 8, 4 or 1.</summary>
    /// <remarks>The most that share their columns; where all do, the number that wastes the least memory on rows that the last group has not.</remarks>
    static member GroupOf(pattern: Connectivity) : int =
        let size = Connectivity.rowGroupSize pattern
        let sizes = [ 16; 8; 4 ]

        if size >= pattern.Rows && size >= 4 then
            sizes
            |> List.minBy (fun group -> CompactGroups.count group pattern.Rows * group)
        else
            sizes |> List.tryFind (fun group -> size % group = 0) |> Option.defaultValue 1

    member private _.Fill(put: nativeint -> int64 -> int -> unit) =
        let rowPtr, colIdx = pattern.RowPtrArray, pattern.ColIdxArray
        let into = columns.Address

        for index in 0 .. groups - 1 do
            let row = index * group
            let start = rowPtr[row]
            counts[index] <- rowPtr[row + 1] - start
            let unit = PackedRows.Unit group
            starts[index + 1] <- starts[index] + (counts[index] + unit - 1) / unit * (unit / 8)
            let first = 8L * int64 starts[index]

            for k in 0 .. counts[index] - 1 do
                if isWide then
                    NativePtr.write (Pointer.at (NativePtr.ofNativeInt<int> into) (first + int64 k)) colIdx[start + k]
                else
                    NativePtr.write
                        (Pointer.at (NativePtr.ofNativeInt<uint16> into) (first + int64 k))
                        (uint16 colIdx[start + k])

                for i in 0 .. min group (rows - row) - 1 do
                    put values.Address ((first + int64 k) * int64 group + int64 i) (rowPtr[row + i] + k)

    /// <summary>Packs weights.</summary>
    /// <param name="pattern">Which there are.</param>
    /// <param name="numbers">A number for each slot, in slot order; copied.</param>
    /// <exception cref="T:System.ArgumentException">There are more or fewer numbers than slots, or scales than rows.</exception>
    static member Create(pattern: Connectivity, numbers: CompactValues) : PackedRows =
        ArgumentNullException.ThrowIfNull(pattern, nameof pattern)

        if numbers.Length <> pattern.Nnz then
            let message =
                invariant $"expected nnz = {pattern.Nnz} numbers, got {numbers.Length}"

            raise (ArgumentException(message, nameof numbers))

        let scales =
            match numbers with
            | CompactValues.Int8(_, scales) when scales.Length <> pattern.Rows ->
                let message =
                    invariant $"expected rows = {pattern.Rows} scales, got {scales.Length}"

                raise (ArgumentException(message, nameof numbers))
            | CompactValues.Int8(_, scales) -> Array.copy scales
            | _ -> [||]

        let group = PackedRows.GroupOf pattern
        let groups = CompactGroups.count group pattern.Rows
        let unit = int64 (PackedRows.Unit group)
        let rowPtr = pattern.RowPtrArray
        let mutable slots = 0L

        for index in 0 .. groups - 1 do
            let count = int64 (rowPtr[index * group + 1] - rowPtr[index * group])
            slots <- slots + (count + unit - 1L) / unit * unit

        let packed =
            PackedRows(pattern, numbers.Form, group, slots, groups, Scales = scales)

        match numbers with
        | CompactValues.Float32 numbers ->
            packed.Fill(fun into at slot -> NativePtr.write (Pointer.at (NativePtr.ofNativeInt into) at) numbers[slot])
        | CompactValues.BFloat16 numbers ->
            packed.Fill(fun into at slot -> NativePtr.write (Pointer.at (NativePtr.ofNativeInt into) at) numbers[slot])
        | CompactValues.Int8(numbers, _) ->
            packed.Fill(fun into at slot -> NativePtr.write (Pointer.at (NativePtr.ofNativeInt into) at) numbers[slot])

        packed

    /// <summary>Packs float32 weights in a form.</summary>
    /// <exception cref="T:System.ArgumentException">As for CompactValues.ofFloat32.</exception>
    static member Create(pattern: Connectivity, form: ValueForm, numbers: float32[]) : PackedRows =
        PackedRows.Create(pattern, CompactValues.ofFloat32 form pattern numbers)

    /// out_features.
    member _.Rows: int = rows
    /// in_features.
    member _.Cols: int = cols
    member _.Nnz: int = nnz
    member _.Form: ValueForm = form
    /// Rows that are taken together: 16, 8, 4 or 1.
    member _.Group: int = group
    /// Whether columns have 32 bits.
    member _.IsWide: bool = isWide

    /// Memory of columns and values.
    member p.Bytes: int64 =
        columns.Bytes
        + values.Bytes
        + 4L * (starts.LongLength + counts.LongLength + p.Scales.LongLength)

    /// [groups + 1]: where each group's slots begin, in eights.
    member internal _.Starts: int[] = starts
    /// [groups]
    member internal _.Counts: int[] = counts
    /// [rows], or none.
    member val internal Scales: float32[] = [||] with get, set
    member internal _.ColumnsAddress: nativeint = columns.Address
    member internal _.ValuesAddress: nativeint = values.Address

    override _.ToString() =
        invariant $"PackedRows(rows={rows}, cols={cols}, nnz={nnz}, groups of {group})"
