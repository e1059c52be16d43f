namespace SparseFs.Kernels

#nowarn "9"

open Microsoft.FSharp.NativeInterop

/// <summary>Packed rows as the kernels see them: addresses, checked by whoever made it.</summary>
/// <remarks>The slots of a group of rows that share their columns begin at a multiple of eight, of sixteen where the group is a
/// single row, and what lies between them and the next group's is zeros: a vector may read it. A last group may have fewer rows;
/// it has the memory of a whole one.</remarks>
[<Struct>]
type internal PackedView =
    {
        Rows: int
        /// A column for each slot of a group, as IColumns has it.
        Columns: nativeint
        /// A value for each row of each slot, rows running fastest, as IPackedValues has it.
        Values: nativeint
        /// [groups]: where a group's slots begin, in eights.
        Begin: nativeptr<int>
        /// [groups]: how many slots a group has.
        Counts: nativeptr<int>
        /// [rows]: what a row's sum is multiplied by; or null.
        Scales: nativeptr<float32>
        /// [rows], or null.
        Bias: nativeptr<float32>
    }

    /// The first slot of a group.
    member inline p.First(group: int) : int64 = 8L * int64 (Pointer.get p.Begin group)

    /// y[row] = sums[0] · scale[row] + bias[row], and so on for the rows of a group that are there.
    member inline p.Put(row: int, rows: int, sums: nativeptr<float32>, y: nativeptr<float32>) =
        for i in 0 .. min rows (p.Rows - row) - 1 do
            let mutable sum = Pointer.get sums i

            if not (Pointer.isNull p.Scales) then
                sum <- sum * Pointer.get p.Scales (row + i)

            if not (Pointer.isNull p.Bias) then
                sum <- sum + Pointer.get p.Bias (row + i)

            Pointer.set y (row + i) sum
