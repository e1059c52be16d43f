namespace SparseFs.Torch

open System
open System.Threading
open SparseFs

/// What the pattern's tensors were found to be, which was no pattern, and since when, in milliseconds.
[<Sealed; AllowNullLiteral>]
type private Suspect(versions: struct (int64 * int64), since: int64) =
    member _.Versions = versions
    member _.Since = since

/// <summary>What a look at the pattern's tensors says of the version that a call would use.</summary>
[<RequireQualifiedAccess; Struct; NoComparison; NoEquality>]
type internal PatternReading =
    /// The version holds: nothing was written since, or someone is in the middle of it.
    | Current
    /// The tensors were written to and hold the version's pattern still.
    | Same
    /// They hold another pattern.
    | Other of other: Connectivity
    /// They have been no pattern for longer than a copy into them takes.
    | Broken of error: ConnectivityError

/// <summary>Looks at the tensors that state_dict handed out.</summary>
[<Sealed>]
type internal PatternReader(handOuts: HandOuts) =
    let mutable suspect: Suspect = null

    /// No copy into a pattern's tensor takes longer.
    static member private CopyMilliseconds = 1_000L

    /// Whether the pattern's tensors have been what they are for longer than a copy into them takes.
    member private _.IsSettled(versions: struct (int64 * int64)) : bool =
        let now = Environment.TickCount64

        match Volatile.Read &suspect with
        | s when not (isNull s) && s.Versions = versions -> now - s.Since > PatternReader.CopyMilliseconds
        | _ ->
            Volatile.Write(&suspect, Suspect(versions, now))
            false

    /// Whether another thread may be in the middle of a copy; to be asked by those who only look.
    member _.MayBeCopied(versions: struct (int64 * int64)) : bool =
        match Volatile.Read &suspect with
        | s when not (isNull s) && s.Versions = versions ->
            Environment.TickCount64 - s.Since <= PatternReader.CopyMilliseconds
        | _ -> true

    /// <summary>What was written since the version, if anything was.</summary>
    /// <param name="v">The version, in use.</param>
    /// <param name="tensors">The pattern's, which other threads may write to meanwhile.</param>
    /// <param name="versions">Theirs, from before.</param>
    member r.Read(v: LayerVersion, tensors: PatternTensors, versions: struct (int64 * int64)) : PatternReading =
        let areOver = handOuts.AreOver
        let struct (rows, cols) = versions
        let struct (seenRows, seenCols) = v.Seen

        /// A load through a parent writes one after the other.
        let isHalf = (rows = seenRows) <> (cols = seenCols)

        if tensors.Hold v.Connectivity then
            handOuts.ForgetOver()

            if versions = v.Seen || tensors.Versions <> versions then
                PatternReading.Current
            else
                PatternReading.Same
        elif isHalf && not areOver then
            PatternReading.Current
        else
            let read = tensors.TryRead(v.Connectivity.Rows, v.Connectivity.Cols)

            if tensors.Versions <> versions then
                PatternReading.Current // someone is writing
            else
                match read with
                | Ok c -> PatternReading.Other c
                // Another thread may be in the middle of a copy.
                | Error _ when not areOver && not (r.IsSettled versions) -> PatternReading.Current
                | Error refusal -> PatternReading.Broken refusal
