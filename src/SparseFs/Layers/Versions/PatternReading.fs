namespace SparseFs.Torch

open System
open System.Threading
open SparseFs

/// What the pattern's tensors were found to be, which was no pattern, and since when, in milliseconds.
[<Sealed>]
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
    /// They are no pattern, maybe because someone is in the middle of a copy.
    | Doubtful
    /// They have been no pattern for longer than a copy into them takes.
    | Broken of error: ConnectivityError

/// <summary>Looks at the tensors that state_dict handed out.</summary>
[<Sealed>]
type internal PatternReader(handOuts: HandOuts) =
    let mutable suspect: Suspect | null = null

    /// The pattern that was last read from the tensors, for the next one who looks, while somebody has it.
    let mutable latest: WeakReference<Connectivity> | null = null

    /// No copy into a pattern's tensor takes longer.
    static member private CopyMilliseconds = 1_000L

    /// Since when the pattern's tensors are known to be what they are, which is no pattern; no time where nobody knows.
    member private _.DoubtfulSince(versions: struct (int64 * int64)) : int64 voption =
        match Volatile.Read &suspect with
        | NonNull s when s.Versions = versions -> ValueSome s.Since
        | _ -> ValueNone

    member private _.TryRead(v: LayerVersion, tensors: PatternTensors) : Result<Connectivity, ConnectivityError> =
        let known: obj | null =
            match Volatile.Read &latest with
            | null -> null
            | reference ->
                match reference.TryGetTarget() with
                | true, c -> box c
                | _ -> null

        match known with
        | :? Connectivity as c when tensors.Hold c -> Ok c
        | _ ->
            let read = tensors.TryRead(v.Connectivity.Rows, v.Connectivity.Cols)

            match read with
            | Ok c -> Volatile.Write(&latest, WeakReference<Connectivity> c)
            | Error _ -> ()

            read

    /// What the tensors hold, of which it is known whether it is the version's pattern.
    member private r.Look
        (v: LayerVersion, tensors: PatternTensors, versions: struct (int64 * int64), holds: bool)
        : PatternReading =
        let areOver = handOuts.AreOver
        let struct (rows, cols) = versions
        let struct (seenRows, seenCols) = v.Seen

        /// A load through a parent writes one after the other.
        let isHalf = (rows = seenRows) <> (cols = seenCols)

        if holds then
            if versions = v.Seen || tensors.Versions <> versions then
                PatternReading.Current
            else
                PatternReading.Same
        elif isHalf && not areOver then
            PatternReading.Current
        else
            let read = r.TryRead(v, tensors)

            if tensors.Versions <> versions then
                PatternReading.Current // someone is writing
            else
                match read, r.DoubtfulSince versions with
                | Ok c, _ -> PatternReading.Other c
                | Error refusal, _ when areOver -> PatternReading.Broken refusal
                | Error refusal, ValueSome since when Environment.TickCount64 - since > PatternReader.CopyMilliseconds ->
                    PatternReading.Broken refusal
                | Error _, _ -> PatternReading.Doubtful

    /// <summary>What was written since the version, if anything was. Remembers since when it is doubtful.</summary>
    /// <param name="v">The version, in use.</param>
    /// <param name="tensors">The pattern's, which other threads may write to meanwhile.</param>
    /// <param name="versions">Theirs, from before.</param>
    member r.Read(v: LayerVersion, tensors: PatternTensors, versions: struct (int64 * int64)) : PatternReading =
        let holds = tensors.Hold v.Connectivity

        if holds then
            handOuts.ForgetOver()

        match r.Look(v, tensors, versions, holds) with
        | PatternReading.Doubtful as reading ->
            if (r.DoubtfulSince versions).IsNone then
                Volatile.Write(&suspect, Suspect(versions, Environment.TickCount64))

            reading
        | reading -> reading

    /// <summary>The pattern that a Read would lead to, or what it would be refused with, asked for by one who only looks:
    /// nothing changes, in the middle of a load either.</summary>
    member r.Peek(v: LayerVersion, tensors: PatternTensors) : Result<Connectivity, ConnectivityError> =
        match r.Look(v, tensors, tensors.Versions, tensors.Hold v.Connectivity) with
        | PatternReading.Other c -> Ok c
        | PatternReading.Broken refusal -> Error refusal
        | PatternReading.Current
        | PatternReading.Same
        | PatternReading.Doubtful -> Ok v.Connectivity
