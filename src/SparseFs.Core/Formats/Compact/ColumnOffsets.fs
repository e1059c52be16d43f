namespace SparseFs

open System
open System.Buffers.Binary

/// <summary>Ascending columns in blocks of 65,536 columns, each as its place in the block: 16 bits, little-endian.</summary>
/// <remarks>A group has a number of slots for each block, also where there is one block only.</remarks>
[<RequireQualifiedAccess>]
module internal ColumnOffsets =

    [<Literal>]
    let private Block = 65536

    /// Blocks of some columns; one where there is no column.
    let private blocks (cols: int) : int = (max 1 cols - 1) / Block + 1

    /// The slots from a place on that lie in a block.
    let private countOf (colIdx: int[]) (slot: int) (last: int) (block: int) : int =
        let mutable until = slot

        while until < last && colIdx[until] / Block = block do
            until <- until + 1

        until - slot

    /// Bytes of the counts and of the columns.
    let sizes (group: int) (pattern: Connectivity) : struct (int64 * int64) =
        let rowPtr, blocks = pattern.RowPtrArray, blocks pattern.Cols
        let mutable counts = 0L
        let mutable columns = 0L

        for index in 0 .. CompactGroups.count group pattern.Rows - 1 do
            let last = rowPtr[index * group + 1]
            let mutable slot = rowPtr[index * group]
            columns <- columns + 2L * int64 (last - slot)

            for block in 0 .. blocks - 1 do
                let slots = countOf pattern.ColIdxArray slot last block
                counts <- counts + RowCounts.size slots
                slot <- slot + slots

        struct (counts, columns)

    /// Fills arrays of those sizes.
    let write (group: int) (pattern: Connectivity) (counts: byte[]) (columns: byte[]) =
        let rowPtr, colIdx, blocks =
            pattern.RowPtrArray, pattern.ColIdxArray, blocks pattern.Cols

        let mutable countAt = 0
        let mutable at = 0

        for index in 0 .. CompactGroups.count group pattern.Rows - 1 do
            let last = rowPtr[index * group + 1]
            let mutable slot = rowPtr[index * group]

            for block in 0 .. blocks - 1 do
                let slots = countOf colIdx slot last block
                countAt <- RowCounts.write counts countAt slots

                for slot in slot .. slot + slots - 1 do
                    BinaryPrimitives.WriteUInt16LittleEndian(columns.AsSpan(at, 2), uint16 (colIdx[slot] % Block))
                    at <- at + 2

                slot <- slot + slots

    /// Reads the columns of one block; returns the first that is not above the one before it or not below cols, as a place among them,
    /// or −1.
    [<AggressiveOptimization>]
    let private take
        (bytes: byte[])
        (at: int)
        (cols: int)
        (block: int)
        (colIdx: int[])
        (first: int)
        (slots: int)
        : int =
        let mutable previous = -1
        let mutable index = 0
        let mutable wrong = -1

        while wrong < 0 && index < slots do
            let place = at + 2 * index
            let offset = int bytes[place] ||| (int bytes[place + 1] <<< 8)
            // A column is an int where it is below cols.
            let column = int64 block * int64 Block + int64 offset

            if offset <= previous || column >= int64 cols then
                wrong <- index
            else
                colIdx[first + index] <- int column
                previous <- offset
                index <- index + 1

        wrong

    /// Slots of a row of each group, from those of its blocks; what is more than a row's cells becomes −1.
    let private ofGroups (cols: int) (blocks: int) (counts: int[]) : int[] =
        Array.init (counts.Length / blocks) (fun index ->
            let mutable sum = 0L

            for block in 0 .. blocks - 1 do
                sum <- sum + int64 counts[index * blocks + block]

            if sum > int64 cols then -1 else int sum)

    let private columns
        (rows: int)
        (cols: int)
        (nnz: int)
        (group: int)
        (ofBlocks: int[])
        (counts: int[])
        (bytes: byte[])
        =
        let blocks = blocks cols
        let rowPtr = CompactGroups.pointers rows group counts
        let colIdx: int[] = Array.zeroCreate nnz
        let mutable at = 0
        let mutable wrong = -1
        let mutable index = 0

        while wrong < 0 && index < counts.Length do
            let mutable slot = rowPtr[index * group]
            let mutable block = 0

            while wrong < 0 && block < blocks do
                let slots = ofBlocks[index * blocks + block]
                let first = take bytes at cols block colIdx slot slots

                if first >= 0 then
                    wrong <- at + 2 * first

                at <- at + 2 * slots
                slot <- slot + slots
                block <- block + 1

            CompactGroups.share rowPtr colIdx group index
            index <- index + 1

        if wrong >= 0 then
            let got = string (BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(wrong, 2)))
            Error(CompactError.at "columns" wrong (invariant $"rising offsets of columns below {cols}") got)
        else
            Ok(Connectivity.ofTrusted rows cols rowPtr colIdx)

    /// The pattern, or what is wrong; group is in range.
    let read (rows: int) (cols: int) (nnz: int) (e: EncodedPattern) : Result<Connectivity, CompactError> =
        let blocks = blocks cols
        let wanted = int64 (CompactGroups.count e.Group rows) * int64 blocks

        match RowCounts.read e.Counts wanted (min cols Block) with
        | Error error -> Error error
        | Ok ofBlocks ->
            let counts = ofGroups cols blocks ofBlocks
            let slots = CompactGroups.slots rows e.Group counts
            let stored = ofBlocks |> Array.sumBy int64

            if Array.contains -1 counts then
                let group = Array.IndexOf(counts, -1)

                Error(
                    CompactError.at
                        "counts"
                        0
                        (invariant $"at most {cols} slots of a row")
                        (invariant $"more in group {group}")
                )
            elif slots <> int64 nnz then
                Error(CompactError.slots nnz slots)
            elif e.Columns.LongLength <> 2L * stored then
                Error(CompactError.bytes "columns" (invariant $"{2L * stored}") e.Columns)
            else
                columns rows cols nnz e.Group ofBlocks counts e.Columns
