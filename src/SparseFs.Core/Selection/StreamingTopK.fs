namespace SparseFs

#nowarn "9"
#nowarn "3536"

open System
open System.Runtime.Intrinsics
open SparseFs.Kernels

/// <summary>The cells with the largest scores among many that come row by row, in rising order of cells.</summary>
/// <remarks>Holds at most 2 · count + 65,536 candidates, fewer for a small count. What is below the count-th of those that
/// came before is no candidate: that bound is known from counts of upper bits, and rises as scores come. Where a higher
/// one is guessed, there may be too few cells in the end.</remarks>
[<Sealed>]
type internal StreamingTopK(most: int, width: Width) =
    /// Cells from which a bound can be guessed.
    static let guessFrom = 65536L

    let room =
        int (min (int64 Array.MaxLength) (2L * int64 most + min 65536L (2L * int64 most + 256L)))

    // They grow as candidates come: a row needs little room.
    let mutable scores: float32[] =
        Array.zeroCreate (min room (2 * min most 32768 + 16))

    let mutable cells: int64[] = Array.zeroCreate scores.Length
    let counts = KeyCounts()
    let mutable count = most
    let mutable length = 0

    /// What is below it does not count.
    let mutable least =
        if most = 0 then
            Single.PositiveInfinity
        else
            Single.NegativeInfinity

    /// How many have come since the bound was last looked for.
    let mutable fresh = 0

    /// The part of all cells that is to be above a bound which is guessed; 0 once it is, or for none.
    let mutable guessed = 0.0

    /// Cells that have come.
    let mutable seen = 0L

    let raiseLeast () =
        fresh <- 0

        if length >= count then
            let struct (upper, _) = counts.Place count
            let bound = OrderedKey.ofUnsigned (upper <<< OrderedKey.LowerBits)

            // The lowest keys of all are not of numbers.
            if bound > least then
                least <- bound

    /// Forgets what is below the bound, which lies between upper bits: all other counts stay right.
    let compact () =
        let mutable kept = 0

        // Branchless compaction.
        for i in 0 .. length - 1 do
            let score = scores[i]
            scores[kept] <- score
            cells[kept] <- cells[i]
            kept <- kept + (if score >= least then 1 else 0)

        length <- kept

    /// Forgets all but the count best.
    let shrink () =
        if length > count then
            if count = 0 then
                length <- 0
            else
                let struct (worst, ties) = RadixSelect.threshold -1 counts scores length count
                let mutable tied = 0
                let mutable kept = 0
                counts.Clear()

                for i in 0 .. length - 1 do
                    let key = OrderedKey.unsigned scores[i]
                    tied <- tied + (if key = worst then 1 else 0)

                    if key > worst || (key = worst && tied <= ties) then
                        scores[kept] <- scores[i]
                        cells[kept] <- cells[i]
                        counts.Add key
                        kept <- kept + 1

                length <- kept
                // A later one that equals the worst would lose the tie.
                least <- MathF.BitIncrement(OrderedKey.ofUnsigned worst)

    let guess () =
        let above = int (guessed * float seen)
        guessed <- 0.0

        if above > 0 && above < length then
            let struct (upper, _) = counts.Place above
            least <- max least (OrderedKey.ofUnsigned (upper <<< OrderedKey.LowerBits))
            compact ()

    let makeRoom () =
        if length < room then
            let size = min room (2 * length)
            Array.Resize(&scores, size)
            Array.Resize(&cells, size)
        else
            raiseLeast ()
            compact ()

            // Many that share their upper bits.
            if length > room - room / 4 then
                shrink ()

    let add (score: float32) (cell: int64) =
        if length = scores.Length then
            makeRoom ()

        if score >= least then
            scores[length] <- score
            cells[length] <- cell
            counts.Add(OrderedKey.unsigned score)
            length <- length + 1
            fresh <- fresh + 1

            if fresh > 256 && fresh > count / 8 then
                raiseLeast ()

    /// At the machine's widest.
    new(most: int) = StreamingTopK(most, Widths.widest)

    /// Forgets everything; from now on, so many are wanted, at most as many as at first.
    member _.Begin(wanted: int) =
        counts.Clear()
        count <- wanted
        length <- 0
        fresh <- 0

        least <-
            if wanted = 0 then
                Single.PositiveInfinity
            else
                Single.NegativeInfinity

    /// <summary>Takes in the scores of the cells of a row.</summary>
    /// <param name="block">Scores of many rows.</param>
    /// <param name="offset">The row's first score in the block.</param>
    /// <param name="size">Cells of the row.</param>
    /// <param name="taken">A bit a cell of the row, set where the cell is no candidate.</param>
    /// <param name="isMagnitude">Whether it is the magnitude that counts.</param>
    /// <param name="firstCell">The row's first cell.</param>
    /// <returns>False where a score is NaN or infinite, of a taken cell too: nothing more is to be done with any of them.</returns>
    member best.Offer
        (block: float32[], offset: int, size: int, taken: byte[], isMagnitude: bool, firstCell: int64)
        : bool =
        // Checked once: below, numbers are read without it.
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset + size, block.Length)
        use blockPin = fixed block
        use takenPin = fixed taken
        let scores = Pointer.at blockPin (int64 offset)

        let isFinite =
            match width with
            | Width.V512 -> best.OfferAt<Simd512, Vector512<float32>>(scores, size, takenPin, isMagnitude, firstCell)
            | Width.V256 -> best.OfferAt<Simd256, Vector256<float32>>(scores, size, takenPin, isMagnitude, firstCell)
            | Width.V128 -> best.OfferAt<Simd128, Vector128<float32>>(scores, size, takenPin, isMagnitude, firstCell)
            | _ -> best.OfferAt<SimdScalar, float32>(scores, size, takenPin, isMagnitude, firstCell)

        seen <- seen + int64 size

        if guessed > 0.0 && seen >= guessFrom then
            guess ()

        isFinite

    [<AggressiveOptimization>]
    member private _.OfferAt<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (scores: nativeptr<float32>, size: int, taken: nativeptr<byte>, isMagnitude: bool, firstCell: int64)
        : bool =
        ScoreScan.candidates<'L, 'V> scores size taken isMagnitude (fun () -> least) (fun at score ->
            add score (firstCell + int64 at))

    /// <summary>Cells after the first few are candidates only if they are among that part of the best of those.</summary>
    /// <remarks>Most that would be forgotten later are not taken in. It may leave too few: then nothing but another pass
    /// over all scores helps.</remarks>
    member _.Guess(part: float) = guessed <- part

    /// The chosen cells, rising; fewer than count where there were not as many candidates.
    member _.Cells() : int64[] =
        shrink ()
        Array.sub cells 0 length

    /// Forgets all but the count best; how many there are.
    member private _.Shrunk() : int =
        shrink ()
        length

    member private _.CopyTo(allScores: float32[], allCells: int64[], at: int) =
        Array.Copy(scores, 0, allScores, at, length)
        Array.Copy(cells, 0, allCells, at, length)

    /// <summary>The count best cells of several parts, of which each has seen cells that come before the next one's.</summary>
    static member cellsOf (parts: StreamingTopK[]) (count: int) : int64[] =
        if parts.Length = 1 then
            parts[0].Cells()
        else
            let starts = parts |> Array.scan (fun at part -> at + part.Shrunk()) 0
            let all = Array.last starts
            let scores: float32[] = Array.zeroCreate all
            let cells: int64[] = Array.zeroCreate all

            Array.iter2
                (fun (part: StreamingTopK) at -> part.CopyTo(scores, cells, at))
                parts
                (Array.truncate parts.Length starts)

            if all <= count then
                cells
            else
                let left = RadixSelect.allBut false scores count
                let mutable kept = 0

                for i in 0 .. all - 1 do
                    cells[kept] <- cells[i]
                    kept <- kept + (if left[i] then 0 else 1)

                Array.sub cells 0 count
