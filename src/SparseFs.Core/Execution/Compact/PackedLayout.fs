namespace SparseFs.Kernels

#nowarn "9"

open System
open Microsoft.FSharp.NativeInterop
open SparseFs

/// Memory on a cache line's boundary that the garbage collector frees and does not move; zeros at first.
[<Sealed>]
type internal PinnedRoom(bytes: int64) =

    // Longs, of which an array holds eight times as many bytes; a line more for the boundary, and one that a vector may read.
    let room: uint64[] =
        GC.AllocateArray<uint64>(Convert.ToInt32(bytes / 8L + 17L), pinned = true)

    let address =
        use start = fixed room
        (NativePtr.toNativeInt start + 63n) &&& ~~~63n

    member _.Address: nativeint = address

    /// Bytes that it takes.
    member _.Bytes: int64 = 8L * room.LongLength

/// <summary>Where the slots of a pattern lie in packed memory, as PackedView has it.</summary>
type internal PackedLayout =
    {
        /// Rows that are taken together: 16, 8, 4 or 1.
        Group: int
        /// [groups + 1]: where each group's slots begin, in eights.
        Starts: int[]
        /// [groups]: slots of a group.
        Counts: int[]
    }

    /// Slots of all groups, those between them included.
    member l.Slots: int64 = 8L * int64 (Array.last l.Starts)

[<RequireQualifiedAccess>]
module internal PackedLayout =

    /// <summary>Rows that are taken together.</summary>
    /// <remarks>The most that share their columns; where all rows do, as many as waste the least memory on rows that a last group has not.</remarks>
    let groupOf (pattern: Connectivity) : int =
        let size = Connectivity.rowGroupSize pattern
        let sizes = [ 16; 8; 4 ]

        if size >= pattern.Rows && size >= 4 then
            sizes
            |> List.minBy (fun group -> CompactGroups.count group pattern.Rows * group)
        else
            sizes |> List.tryFind (fun group -> size % group = 0) |> Option.defaultValue 1

    /// The layout of a pattern.
    let ofPattern (pattern: Connectivity) : PackedLayout =
        let group = groupOf pattern
        let rowPtr = pattern.RowPtrArray

        let counts =
            Array.init (CompactGroups.count group pattern.Rows) (fun index ->
                rowPtr[index * group + 1] - rowPtr[index * group])

        // A single row is read by vectors of 16 slots, several by eight slots.
        let eights (count: int) =
            if group = 1 then (count + 15) / 16 * 2 else (count + 7) / 8

        { Group = group
          Starts = Array.scan (fun start count -> start + eights count) 0 counts
          Counts = counts }

    /// Writes each group's columns.
    let putColumns (l: PackedLayout) (pattern: Connectivity) (isWide: bool) (into: nativeint) =
        let rowPtr, colIdx = pattern.RowPtrArray, pattern.ColIdxArray

        for index in 0 .. l.Counts.Length - 1 do
            let first, slot = 8L * int64 l.Starts[index], rowPtr[index * l.Group]

            for k in 0 .. l.Counts[index] - 1 do
                let at = first + int64 k

                if isWide then
                    NativePtr.write (Pointer.at (NativePtr.ofNativeInt<int> into) at) colIdx[slot + k]
                else
                    NativePtr.write (Pointer.at (NativePtr.ofNativeInt<uint16> into) at) (uint16 colIdx[slot + k])

    /// Writes each group's values, rows running fastest.
    let inline putValues (l: PackedLayout) (pattern: Connectivity) (values: 'T[]) (into: nativeint) =
        let rowPtr = pattern.RowPtrArray
        let into = NativePtr.ofNativeInt<'T> into

        for row in 0 .. pattern.Rows - 1 do
            let first = 8L * int64 l.Starts[row / l.Group]
            let slot = rowPtr[row]

            for k in 0 .. rowPtr[row + 1] - slot - 1 do
                let at = (first + int64 k) * int64 l.Group + int64 (row % l.Group)
                NativePtr.write (Pointer.at into at) values[slot + k]
