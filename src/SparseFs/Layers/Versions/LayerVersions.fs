namespace SparseFs.Torch

open System
open System.Threading
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>What one call of a layer multiplies with: a pattern and numbers that belong together. Immutable.</summary>
[<Sealed; AllowNullLiteral>]
type internal LayerVersion
    (connectivity: Connectivity, numbers: LayerNumbers, seen: struct (int64 * int64), isChanging: bool) =
    member _.Connectivity: Connectivity = connectivity
    member _.Numbers: LayerNumbers = numbers

    /// The versions of the pattern's tensors at which they held this pattern.
    member _.Seen: struct (int64 * int64) = seen

    /// Whether a change is on its way, so that parameters and the pattern's tensors are not to be looked at.
    member _.IsChanging: bool = isChanging

    member _.At(seen: struct (int64 * int64)) =
        LayerVersion(connectivity, numbers, seen, false)

    member _.Changing() =
        LayerVersion(connectivity, numbers, seen, true)

/// What the pattern's tensors were found to be, which was no pattern, and since when, in milliseconds.
[<Sealed; AllowNullLiteral>]
type private Suspect(versions: struct (int64 * int64), since: int64) =
    member _.Versions = versions
    member _.Since = since

/// <summary>The versions of a layer's pattern and numbers, one after the other. Each call uses one.</summary>
/// <remarks>
/// <para>Reading is safe from any number of threads: a version is immutable and is published by one atomic exchange, the
/// only write that reading does. Changes exclude each other. A change writes numbers into storage that no reader holds,
/// so that calls on other threads end with the version that they began with.</para>
/// <para>state_dict hands out the layer's own tensors, as torch's layers do. What is written into the pattern's is taken
/// over at the layer's next use, on whatever thread that is.</para>
/// </remarks>
[<Sealed>]
type internal LayerVersions(name: string, connectivity: Connectivity, weight: Parameter, bias: Parameter) =
    let gate = obj ()
    let mutable weight = weight
    let mutable bias = bias

    let mutable current =
        LayerVersion(connectivity, LayerNumbers(weight, bias), struct (0L, 0L), false)

    let mutable pattern: PatternTensors = null
    let handOuts = HandOuts()
    let remapped = Event<struct (Remap * LayerVersion)>()
    let mutable suspect: Suspect = null
    let mutable isDisposed = 0

    [<ThreadStatic; DefaultValue>]
    static val mutable private isQuiet: bool

    /// No copy into a pattern's tensor takes longer.
    static member private CopyMilliseconds = 1_000L

    let publish (next: LayerVersion) = Volatile.Write(&current, next)

    /// Whether the version has followed on the one that it was made from.
    let exchanged (before: LayerVersion) (next: LayerVersion) =
        obj.ReferenceEquals(Interlocked.CompareExchange(&current, next, before), before)

    let setStorage (p: Parameter) (numbers: torch.Tensor) =
        if not (isNull p) then
            use _ = torch.no_grad ()
            p.set_ numbers |> ignore

    let copyOf (t: torch.Tensor) =
        if isNull t then
            null
        else
            t.clone().DetachFromDisposeScope()

    /// The pattern's tensors show the version's pattern, and the version knows them so.
    let shown (version: LayerVersion) =
        if isNull pattern then
            version
        else
            pattern.Write version.Connectivity
            version.At pattern.Versions

    /// The parameters' storage was exchanged by someone else: the layer goes along, or says why it cannot.
    let follow (v: LayerVersion) =
        lock gate (fun () ->
            if obj.ReferenceEquals(current, v) && v.Numbers.IsAstray then
                let found = weight.shape

                if found <> [| int64 v.Connectivity.Nnz |] then
                    let message = $"expected shape [{v.Connectivity.Nnz}], got {Shape.text found}"

                    raise (ArgumentException(message, "weight"))

                publish (LayerVersion(v.Connectivity, LayerNumbers(weight, bias), v.Seen, false))
                v.Numbers.Supersede())

    /// Everything is again what it was when the pattern's tensors were handed out.
    let goBack (v: LayerVersion) (lent: HandedOut) =
        lock gate (fun () ->
            if obj.ReferenceEquals(current, v) then
                lent.Read(fun savedWeight savedBias ->
                    use _ = torch.no_grad ()
                    weight.copy_ savedWeight |> ignore

                    if not (isNull bias) then
                        bias.copy_ savedBias |> ignore)

                publish (shown v)
                handOuts.ForgetAll())

    /// Whether the pattern's tensors have been what they are for longer than a copy into them takes.
    let isSettled (versions: struct (int64 * int64)) =
        let now = Environment.TickCount64

        match Volatile.Read &suspect with
        | s when not (isNull s) && s.Versions = versions -> now - s.Since > LayerVersions.CopyMilliseconds
        | _ ->
            Volatile.Write(&suspect, Suspect(versions, now))
            false

    /// <summary>The version after what was written into the pattern's tensors, if anything was.</summary>
    /// <returns>Null where another thread was faster: look at the current version again.</returns>
    let look (v: LayerVersion) (tensors: PatternTensors) : LayerVersion =
        let versions = tensors.Versions

        if v.IsChanging || (handOuts.IsEmpty && NativeTensor.canTell && versions = v.Seen) then
            v
        elif not (isNull handOuts.Failed) then
            goBack v handOuts.Failed
            null
        else
            let areOver = handOuts.AreOver
            let struct (rows, cols) = versions
            let struct (seenRows, seenCols) = v.Seen

            /// A load through a parent writes one after the other.
            let isHalf = (rows = seenRows) <> (cols = seenCols)

            if tensors.Hold v.Connectivity then
                handOuts.ForgetOver()

                if versions = v.Seen then v
                elif tensors.Versions <> versions then v // someone is writing
                else if exchanged v (v.At versions) then current
                else null
            elif isHalf && not areOver then
                v
            else
                let read = tensors.TryRead(v.Connectivity.Rows, v.Connectivity.Cols)

                if tensors.Versions <> versions then
                    v // someone is writing
                else
                    match read with
                    | Ok c ->
                        let next = LayerVersion(c, v.Numbers, versions, false)

                        if exchanged v next then
                            handOuts.ForgetOver()
                            next
                        else
                            null
                    // Another thread may be in the middle of a copy.
                    | Error _ when not areOver && not (isSettled versions) -> v
                    | Error refusal ->
                        match handOuts.Latest with
                        // Written long after state_dict was read: nobody knows what the weights were before.
                        | null ->
                            raise (
                                PatternTensors.Refusal(refusal, "load a whole state: the layer cannot be used before")
                            )
                        | lent ->
                            goBack v lent
                            raise (PatternTensors.Refused refusal)

    /// The current version, in use.
    let rec enter () : LayerVersion =
        let v = Volatile.Read &current

        if not (v.Numbers.Shared.TryEnter()) then
            if Volatile.Read &isDisposed = 1 then
                raise (ObjectDisposedException name)

            enter () // it was replaced this moment
        else
            let mutable result: LayerVersion = null

            try
                if not v.IsChanging && v.Numbers.IsAstray then
                    follow v
                elif isNull pattern then
                    result <- v
                else
                    result <- look v pattern

                    // What was loaded belongs to the same numbers, or to newer ones.
                    if not (isNull result) && not (obj.ReferenceEquals(result.Numbers, v.Numbers)) then
                        result <- null
            finally
                if isNull result then
                    v.Numbers.Shared.Exit()

            if isNull result then enter () else result

    /// As enter, also where the pattern's tensors hold none and no copy of the weights is there to go back to: a load
    /// can mend that.
    let enterForLoad () : LayerVersion =
        try
            enter ()
        with :? ArgumentException ->
            let v = Volatile.Read &current
            let isStill = handOuts.IsEmpty && not (pattern.Hold v.Connectivity)

            if isStill && v.Numbers.Shared.TryEnter() then
                v
            else
                reraise ()

    /// The live weight.
    member _.Weight: Parameter = weight

    /// The live bias, or null.
    member _.Bias: Parameter = bias

    /// <summary>The current version, for one call; <c>version.Numbers.Shared.Exit()</c> ends it.</summary>
    /// <exception cref="T:System.ArgumentException">A pattern was loaded that is not one.</exception>
    /// <exception cref="T:System.ObjectDisposedException">The layer has been disposed of.</exception>
    member _.Enter() : LayerVersion = enter ()

    /// <summary>Reads one version.</summary>
    /// <exception cref="T:System.ArgumentException">A pattern was loaded that is not one.</exception>
    /// <exception cref="T:System.ObjectDisposedException">The layer has been disposed of.</exception>
    member _.Read(body: LayerVersion -> 'a) : 'a =
        let v = enter ()

        try
            body v
        finally
            v.Numbers.Shared.Exit()

    /// <summary>The current pattern, also of a layer that has been disposed of.</summary>
    /// <exception cref="T:System.ArgumentException">A pattern was loaded that is not one.</exception>
    member _.Connectivity: Connectivity =
        if Volatile.Read &isDisposed = 1 then
            current.Connectivity
        else
            let v = enter ()
            v.Numbers.Shared.Exit()
            v.Connectivity

    /// <summary>The pattern's tensors, for state_dict.</summary>
    /// <exception cref="T:System.ArgumentException">A pattern was loaded that is not one.</exception>
    member _.HandOut() : struct (string * torch.Tensor) list =
        if LayerVersions.isQuiet || Volatile.Read &isDisposed = 1 then
            []
        else
            lock gate (fun () ->
                let v = enterForLoad ()

                try
                    if isNull pattern then
                        let made = PatternTensors v.Connectivity

                        publish (
                            if v.IsChanging then
                                LayerVersion(v.Connectivity, v.Numbers, made.Versions, true)
                            else
                                v.At made.Versions
                        )

                        pattern <- made

                    // A change of the layer's own goes back by itself.
                    if not v.IsChanging then
                        handOuts.Add(HandedOut.Register(gate, copyOf v.Numbers.Values, copyOf v.Numbers.BiasValues))

                    pattern.Shown
                finally
                    v.Numbers.Shared.Exit())

    /// Runs with no pattern handed out on this thread: for those who take it from the layers themselves.
    static member Quietly(body: unit -> 'a) : 'a =
        let before = LayerVersions.isQuiet
        LayerVersions.isQuiet <- true

        try
            body ()
        finally
            LayerVersions.isQuiet <- before

    /// <summary>A change of pattern and numbers as one. The work gives the parameters other storage (<c>set_</c>), writes to
    /// nothing else of theirs, and returns the pattern; if it fails, nothing has changed.</summary>
    member private _.Change(work: LayerVersion -> Connectivity) : unit =
        lock gate (fun () ->
            let v = enter ()

            try
                publish (v.Changing())

                try
                    let c = work v
                    publish (shown (LayerVersion(c, LayerNumbers(weight, bias), v.Seen, false)))
                    handOuts.ForgetAll()
                with _ ->
                    setStorage weight v.Numbers.Values
                    setStorage bias v.Numbers.BiasValues
                    publish (shown v)
                    reraise ()

                v.Numbers.Supersede()
            finally
                v.Numbers.Shared.Exit())

    /// <summary>Takes over a pattern and its weights, and a bias if there is one (else null). The tensors' storage becomes
    /// the parameters'.</summary>
    member s.Replace(c: Connectivity, values: torch.Tensor, biasValues: torch.Tensor) : unit =
        s.Change(fun _ ->
            setStorage weight values

            if not (isNull biasValues) then
                setStorage bias biasValues

            c)

    /// Runs work while no other thread changes the layer.
    member _.Exclusively(work: unit -> 'a) : 'a = lock gate work

    /// <summary>As Replace, of weights that were carried over by a remap, which those who hold numbers a slot are
    /// told.</summary>
    member s.Rewire(c: Connectivity, values: torch.Tensor, remap: Remap) : unit =
        s.Replace(c, values, null)
        s.Read(fun v -> remapped.Trigger(struct (remap, v)))

    /// Remaps, each with the version after it, on the thread that rewires.
    member _.Remapped: IObservable<struct (Remap * LayerVersion)> = remapped.Publish

    /// <summary>Runs a load that writes into the tensors of state_dict: all of it is taken over, or nothing.</summary>
    member s.Load(load: unit -> 'a) : 'a =
        let mutable result = Unchecked.defaultof<'a>

        s.Change(fun v ->
            use _ = torch.NewDisposeScope()
            use _ = torch.no_grad ()
            setStorage weight (v.Numbers.Values.clone ())

            if not (isNull bias) then
                setStorage bias (v.Numbers.BiasValues.clone ())

            result <- load ()

            if isNull pattern || pattern.Hold v.Connectivity then
                v.Connectivity
            else
                match pattern.TryRead(v.Connectivity.Rows, v.Connectivity.Cols) with
                | Ok c -> c
                | Error refusal -> raise (PatternTensors.Refused refusal))

        result

    /// <summary>Other parameters take the place of these, which calls on other threads may still use.</summary>
    member _.Move(replace: Parameter -> Parameter -> struct (Parameter * Parameter)) : unit =
        lock gate (fun () ->
            let v = enter ()

            try
                publish (v.Changing())

                try
                    let struct (newWeight, newBias) = replace weight bias
                    weight <- newWeight
                    bias <- newBias
                finally
                    publish (LayerVersion(v.Connectivity, LayerNumbers(weight, bias), v.Seen, false))
                    v.Numbers.Shared.Retire()

                handOuts.ForgetAll()
            finally
                v.Numbers.Shared.Exit())

    /// No call begins any more; those that run end. False where it was called before.
    member _.Dispose() : bool =
        Interlocked.Exchange(&isDisposed, 1) = 0
        && lock gate (fun () ->
            current.Numbers.Shared.Retire()
            handOuts.ForgetAll()
            true)
