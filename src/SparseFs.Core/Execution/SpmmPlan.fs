namespace SparseFs.Kernels

#nowarn "9"

open System
open System.Runtime.CompilerServices
open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>A counting sort of slots by column: each part takes rows of its own, in order.</summary>
/// <remarks>Where a part puts its slots of a column follows from the rows before its own, so that the parts need not wait
/// for each other, and the result does not depend on their number.</remarks>
module private CscBuilder =

    /// counts[c] = slots of column c in some rows.
    [<AggressiveOptimization>]
    let count (rowPtr: int[]) (colIdx: int[]) (rows: RowRange) (counts: Span<int>) =
        counts.Clear()

        for s in rowPtr[rows.From] .. rowPtr[rows.To] - 1 do
            let col = colIdx[s]
            counts[col] <- counts[col] + 1

    /// rowsOf[next[c]] = r for the slots (r, c) of some rows, and next[c] moves on.
    [<AggressiveOptimization>]
    let fill (rowPtr: int[]) (colIdx: int[]) (rows: RowRange) (next: Span<int>) (rowsOf: int[]) =
        for r in rows.From .. rows.To - 1 do
            for s in rowPtr[r] .. rowPtr[r + 1] - 1 do
                let col = colIdx[s]
                let target = next[col]
                rowsOf[target] <- r
                next[col] <- target + 1

    /// next[c] = the first slot of column c, of a transposed pattern, whose row is not before this one.
    [<AggressiveOptimization>]
    let seek (colPtr: int[]) (rowsOf: int[]) (row: int) (next: Span<int>) =
        for c in 0 .. next.Length - 1 do
            let mutable low = colPtr[c]
            let mutable high = if row = 0 then low else colPtr[c + 1]

            while low < high do
                let mid = low + (high - low) / 2

                if rowsOf[mid] < row then low <- mid + 1 else high <- mid

            next[c] <- low

    /// ordered[next[c]] = values[s] for the slots (r, c) of some rows, and next[c] moves on.
    [<AggressiveOptimization>]
    let order
        (rowPtr: int[])
        (colIdx: int[])
        (values: nativeptr<float32>)
        (rows: RowRange)
        (next: Span<int>)
        (ordered: nativeptr<float32>)
        =
        for s in rowPtr[rows.From] .. rowPtr[rows.To] - 1 do
            let col = colIdx[s]
            let target = next[col]
            Pointer.set ordered target (Pointer.get values s)
            next[col] <- target + 1

    /// values[s] = ordered[next[c]] for the slots (r, c) of some rows, and next[c] moves on.
    [<AggressiveOptimization>]
    let disorder
        (rowPtr: int[])
        (colIdx: int[])
        (ordered: nativeptr<float32>)
        (rows: RowRange)
        (next: Span<int>)
        (values: nativeptr<float32>)
        =
        for s in rowPtr[rows.From] .. rowPtr[rows.To] - 1 do
            let col = colIdx[s]
            let source = next[col]
            Pointer.set values s (Pointer.get ordered source)
            next[col] <- source + 1

/// <summary>What the kernels need of a pattern beyond itself: its transpose.</summary>
/// <remarks>Immutable, and for any number of threads; the transpose is made when a backward first asks for it. 4 bytes a slot, beside the pattern's
/// own 4 and the value's 4; where each value goes in the transpose is found anew in each call, from the columns.</remarks>
[<Sealed>]
type SpmmPlan
    /// <summary>The plan of a pattern; keep it for as long as the pattern is used.</summary>
    /// <param name="connectivity">The pattern.</param>
    /// <exception cref="T:System.ArgumentNullException">The pattern is null.</exception>
    (connectivity: Connectivity) =
    do ArgumentNullException.ThrowIfNull(connectivity, nameof connectivity)
    let rows, cols = connectivity.Rows, connectivity.Cols
    let rowPtr, colIdx = connectivity.RowPtrArray, connectivity.ColIdxArray
    let gate = obj ()
    let mutable transposed: Connectivity | null = null
    // The `lazy` of F# cannot be trimmed.
    let rowGroup = Lazy<int>(fun () -> RowGroups.ofKernels rowPtr colIdx)
    let sources = Lazy<int[]>(fun () -> snd (Connectivity.transpose connectivity))

    /// A number for each part and column must not cost more than the slots do.
    let useful (threads: int) =
        max 1 (min threads (connectivity.Nnz / (cols + 1)))

    /// Calls body with each part's rows and a place for a number for each column; returns the places.
    let overRows (machine: ExecutionPolicy) (threads: int) (body: RowRange -> Memory<int> -> unit) =
        let room = Buffers.ArrayPool<int>.Shared.Rent(max 1 (threads * cols))

        machine.Team.Run(
            threads,
            threads,
            fun part -> body (RowPartition.ofWork 1 rowPtr part threads) (room.AsMemory(part * cols, cols))
        )

        room

    let transpose (machine: ExecutionPolicy) : Connectivity =
        let threads = useful machine.Threads

        let places =
            overRows machine threads (fun own counts -> CscBuilder.count rowPtr colIdx own counts.Span)

        // From counts to the place of each part's first slot of each column.
        let colPtr: int[] = Array.zeroCreate (cols + 1)
        let mutable total = 0

        for c in 0 .. cols - 1 do
            colPtr[c] <- total

            for part in 0 .. threads - 1 do
                let at = part * cols + c
                let count = places[at]
                places[at] <- total
                total <- total + count

        colPtr[cols] <- total
        let rowsOf: int[] = Array.zeroCreate total

        machine.Team.Run(
            threads,
            threads,
            fun part ->
                let own = RowPartition.ofWork 1 rowPtr part threads
                CscBuilder.fill rowPtr colIdx own (places.AsSpan(part * cols, cols)) rowsOf
        )

        Buffers.ArrayPool<int>.Shared.Return places
        Connectivity.ofTrusted cols rows colPtr rowsOf

    /// Neighbouring rows that share their columns, as many as the kernels take together: 1, 2 or 4.
    member internal _.RowGroup: int = rowGroup.Value

    /// <summary>The pattern.</summary>
    member _.Connectivity: Connectivity = connectivity

    /// The pattern ordered by column, made on the machine's threads.
    member internal _.Transposed(machine: ExecutionPolicy) : Connectivity =
        match transposed with
        | null ->
            let made = transpose machine

            lock gate (fun () ->
                match transposed with
                | null ->
                    transposed <- made
                    made
                | earlier -> earlier)
        | made -> made

    /// Calls body with each part's rows and the transpose's next slot of each column.
    member private plan.OverRows(machine: ExecutionPolicy, body: RowRange -> Memory<int> -> unit) =
        let t = plan.Transposed machine
        let colPtr, rowsOf = t.RowPtrArray, t.ColIdxArray
        let threads = useful machine.Threads

        overRows machine threads (fun own next ->
            CscBuilder.seek colPtr rowsOf own.From next.Span
            body own next)
        |> Buffers.ArrayPool<int>.Shared.Return

    /// The place of each slot of the transpose among the pattern's: for products that touch few of them.
    member internal _.Sources: int[] = sources.Value

    /// ordered[s] = the value of the transpose's slot s.
    member internal plan.Order(machine: ExecutionPolicy, values: nativeptr<float32>, ordered: nativeptr<float32>) =
        plan.OverRows(machine, fun own next -> CscBuilder.order rowPtr colIdx values own next.Span ordered)

    /// The other way round: values[s] from the transpose's slots.
    member internal plan.Disorder(machine: ExecutionPolicy, ordered: nativeptr<float32>, values: nativeptr<float32>) =
        plan.OverRows(machine, fun own next -> CscBuilder.disorder rowPtr colIdx ordered own next.Span values)

    override _.ToString() = invariant $"SpmmPlan({connectivity})"

/// <summary>Plans of patterns, one each.</summary>
/// <remarks>Held weakly: a plan lives as long as its pattern, and goes with it. <c>forget</c> drops one before.</remarks>
module internal SpmmPlans =

    let private cache = ConditionalWeakTable<Connectivity, SpmmPlan>()

    /// The plan of a pattern, made once for as long as the pattern lives.
    let planOf (connectivity: Connectivity) : SpmmPlan =
        cache.GetValue(connectivity, (fun c -> SpmmPlan c))

    /// Drops the plan of a pattern; the next one who asks makes it anew.
    let forget (connectivity: Connectivity) : unit = cache.Remove connectivity |> ignore
