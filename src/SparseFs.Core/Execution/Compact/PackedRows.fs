namespace SparseFs.Kernels

open System
open SparseFs

/// <summary>Weights packed for products with one sample: immutable, and for any number of threads.</summary>
/// <remarks>
/// Rows that share their columns are taken 16, 8 or 4 together. A slot takes 2 bytes for its column, 4 where there are more than
/// 65,536 columns, once for all rows of a group, and 4, 2 or 1 for its value.
/// </remarks>
[<Sealed>]
type internal PackedRows
    private
    (
        rows: int,
        cols: int,
        nnz: int,
        form: ValueForm,
        layout: PackedLayout,
        columns: PinnedRoom,
        values: PinnedRoom,
        scales: float32[]
    ) =

    /// Whether so many columns need 32 bits.
    static member private NeedsWide(cols: int) : bool = cols > 65536

    /// <summary>Packs weights.</summary>
    /// <param name="pattern">Which there are; it is not kept.</param>
    /// <param name="numbers">A number for each slot, in slot order; copied.</param>
    /// <exception cref="T:System.ArgumentException">There are more or fewer numbers than slots, or scales than rows.</exception>
    static member Create(pattern: Connectivity, numbers: CompactValues) : PackedRows =
        ArgumentNullException.ThrowIfNull(pattern, nameof pattern)

        if numbers.Length <> pattern.Nnz then
            let message =
                (invariant $"expected nnz = {pattern.Nnz} numbers, got {numbers.Length}")

            raise (ArgumentException(message, nameof numbers))

        let layout = PackedLayout.ofPattern pattern
        let isWide = PackedRows.NeedsWide pattern.Cols
        let columns = PinnedRoom(layout.Slots * (if isWide then 4L else 2L))
        PackedLayout.putColumns layout pattern isWide columns.Address
        let cells = layout.Slots * int64 layout.Group

        let values, scales =
            match numbers with
            | CompactValues.Float32 numbers ->
                let room = PinnedRoom(4L * cells)
                PackedLayout.putValues layout pattern numbers room.Address
                room, [||]
            | CompactValues.BFloat16 numbers ->
                let room = PinnedRoom(2L * cells)
                PackedLayout.putValues layout pattern numbers room.Address
                room, [||]
            | CompactValues.Int8(integers, scales) ->
                if scales.Length <> pattern.Rows then
                    let message =
                        (invariant $"expected rows = {pattern.Rows} scales, got {scales.Length}")

                    raise (ArgumentException(message, nameof numbers))

                let room = PinnedRoom cells
                PackedLayout.putValues layout pattern integers room.Address
                room, Array.copy scales

        PackedRows(pattern.Rows, pattern.Cols, pattern.Nnz, numbers.Form, layout, columns, values, scales)

    /// <summary>Packs float32 weights in a form.</summary>
    /// <exception cref="T:System.ArgumentException">As for CompactValues.ofFloat32.</exception>
    static member Create(pattern: Connectivity, form: ValueForm, numbers: float32[]) : PackedRows =
        ArgumentNullException.ThrowIfNull(pattern, nameof pattern)
        PackedRows.Create(pattern, CompactValues.ofFloat32 form pattern numbers)

    /// out_features.
    member _.Rows: int = rows
    /// in_features.
    member _.Cols: int = cols
    member _.Nnz: int = nnz
    member _.Form: ValueForm = form
    /// Rows that are taken together: 16, 8, 4 or 1.
    member _.Group: int = layout.Group
    /// Whether columns have 32 bits.
    member _.IsWide: bool = PackedRows.NeedsWide cols

    /// Memory that it takes.
    member _.Bytes: int64 =
        columns.Bytes
        + values.Bytes
        + 4L * (layout.Starts.LongLength + layout.Counts.LongLength + scales.LongLength)

    member _.Layout: PackedLayout = layout
    /// [rows], or none.
    member _.Scales: float32[] = scales
    member _.ColumnsAddress: nativeint = columns.Address
    member _.ValuesAddress: nativeint = values.Address

    override _.ToString() =
        invariant $"PackedRows(rows={rows}, cols={cols}, nnz={nnz}, groups of {layout.Group})"
