namespace SparseFs.Torch

open System
open System.Threading
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>The versions of a layer's pattern and numbers, one after the other. Each call uses one.</summary>
/// <remarks>
/// <para>Reading is safe from any number of threads: a version is immutable and is published by one atomic exchange, the
/// only write that reading does. Changes exclude each other. A change writes numbers into storage that no reader holds,
/// so that calls on other threads end with the version that they began with.</para>
/// <para>state_dict hands out the layer's own tensors, as torch's layers do. What is written into the pattern's is taken
/// over at the layer's next use, on whatever thread that is. A use is a call, a save or a change; the getters show what the
/// next use will find, and change nothing, so that they may be read in the middle of a load.</para>
/// </remarks>
[<Sealed>]
type internal LayerVersions(name: LayerName, connectivity: Connectivity, weight: Parameter, bias: Parameter | null) =
    let gate = obj ()
    let parameters = LayerParameters(weight, bias)

    let mutable current =
        LayerVersion(connectivity, parameters.Numbers(), struct (0L, 0L), false)

    let mutable pattern: PatternTensors | null = null
    let handOuts = HandOuts()
    let reader = PatternReader handOuts
    let remapped = Event<struct (Remap * LayerVersion)>()
    let mutable isDisposed = 0

    [<ThreadStatic; DefaultValue>]
    static val mutable private isQuiet: bool

    /// Index tensors of a pattern or a device that the layer has left go at once; who else uses them gets them anew.
    let leave (before: LayerVersion) (next: LayerVersion) =
        if
            not (obj.ReferenceEquals(before.Connectivity, next.Connectivity))
            || not (before.Numbers.IsOn next.Numbers.Device)
        then
            SlotCells.release before.Connectivity

    let publish (next: LayerVersion) =
        let before = current
        Volatile.Write(&current, next)
        leave before next

    /// Whether the version has followed on the one that it was made from.
    let exchanged (before: LayerVersion) (next: LayerVersion) =
        let isNext =
            obj.ReferenceEquals(Interlocked.CompareExchange(&current, next, before), before)

        if isNext then
            leave before next

        isNext

    let copyOrNull (t: torch.Tensor | null) : torch.Tensor | null =
        match t with
        | null -> null
        | t -> t.clone ()

    /// The pattern's tensors show the version's pattern, and the version knows them so.
    let shown (version: LayerVersion) =
        match pattern with
        | null -> version
        | pattern ->
            pattern.Write version.Connectivity
            version.At pattern.Versions

    /// The parameters' storage was exchanged by someone else: the layer goes along, or says why it cannot.
    let follow (v: LayerVersion) =
        lock gate (fun () ->
            if obj.ReferenceEquals(current, v) && v.Numbers.IsAstray then
                parameters.CheckLength v.Connectivity.Nnz
                publish (LayerVersion(v.Connectivity, parameters.Numbers(), v.Seen, false))
                v.Numbers.Supersede())

    /// Everything is again what it was when the pattern's tensors were handed out.
    let goBack (v: LayerVersion) (lent: HandedOut) =
        lock gate (fun () ->
            if obj.ReferenceEquals(current, v) then
                lent.Read(fun savedWeight savedBias -> parameters.CopyBack(savedWeight, savedBias))
                publish (shown v)
                handOuts.ForgetAll())

    /// As look, where something may have been written.
    let lookCloser
        (v: LayerVersion)
        (tensors: PatternTensors)
        (versions: struct (int64 * int64))
        : LayerVersion | null =
        match reader.Read(v, tensors, versions) with
        | PatternReading.Current
        | PatternReading.Doubtful -> v
        | PatternReading.Same -> if exchanged v (v.At versions) then current else null
        | PatternReading.Other c ->
            let next = LayerVersion(c, v.Numbers, versions, false)

            if exchanged v next then
                handOuts.ForgetOver()
                next
            else
                null
        | PatternReading.Broken refusal ->
            match handOuts.Latest with
            // Written long after state_dict was read: nobody knows what the weights were before.
            | null -> raise (PatternTensors.Refusal(refusal, "load a whole state: the layer cannot be used before"))
            | lent ->
                goBack v lent
                raise (PatternTensors.Refused refusal)

    /// <summary>The version after what was written into the pattern's tensors, if anything was.</summary>
    /// <returns>Null where another thread was faster: look at the current version again.</returns>
    let look (v: LayerVersion) (tensors: PatternTensors) : LayerVersion | null =
        let versions = tensors.Versions

        if v.IsChanging || (handOuts.IsEmpty && NativeTensor.canTell && versions = v.Seen) then
            v
        else
            match handOuts.Failed with
            | null -> lookCloser v tensors versions
            | failed ->
                goBack v failed
                null

    /// The pattern that the next use will have, or what it will be refused with. Changes nothing: look takes over.
    let peek () : Result<Connectivity, ConnectivityError> =
        let v = Volatile.Read &current

        match Volatile.Read &pattern with
        | null -> Ok v.Connectivity
        | tensors ->
            if
                v.IsChanging
                || (handOuts.IsEmpty && NativeTensor.canTell && tensors.Versions = v.Seen)
                || not (isNull handOuts.Failed)
            then
                Ok v.Connectivity
            else
                reader.Peek(v, tensors)

    /// The current version, in use.
    let rec enter () : LayerVersion =
        let v = Volatile.Read &current

        if not (v.Numbers.Shared.TryEnter()) then
            if Volatile.Read &isDisposed = 1 then
                raise (ObjectDisposedException(string name, LayerText.disposed))

            enter () // it was replaced this moment
        else
            let mutable result: LayerVersion | null = null

            try
                if not v.IsChanging && v.Numbers.IsAstray then
                    follow v
                else
                    match pattern with
                    | null -> result <- v
                    | pattern ->
                        match look v pattern with
                        // What was loaded belongs to the same numbers, or to newer ones.
                        | NonNull found when obj.ReferenceEquals(found.Numbers, v.Numbers) -> result <- found
                        | _ -> ()
            finally
                if isNull result then
                    v.Numbers.Shared.Exit()

            match result with
            | null -> enter ()
            | version -> version

    /// As enter, also where the pattern's tensors hold none and no copy of the weights is there to go back to: a load
    /// can mend that.
    let enterForLoad () : LayerVersion =
        try
            enter ()
        with :? ArgumentException ->
            let v = Volatile.Read &current

            let isStill =
                match pattern with
                | null -> false
                | pattern -> handOuts.IsEmpty && not (pattern.Hold v.Connectivity)

            if isStill && v.Numbers.Shared.TryEnter() then
                v
            else
                reraise ()

    /// The live weight.
    member _.Weight: Parameter = parameters.Weight

    /// The live bias, or null.
    member _.Bias: Parameter | null = parameters.Bias

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

    /// <summary>Takes over what was loaded, as every use does.</summary>
    /// <returns>The pattern.</returns>
    /// <exception cref="T:System.ArgumentException">A pattern was loaded that is not one.</exception>
    member s.Settle() : Connectivity =
        if Volatile.Read &isDisposed = 1 then
            current.Connectivity
        else
            s.Read(fun v -> v.Connectivity)

    /// <summary>The pattern of the next use, also of a layer that has been disposed of. Reading it changes nothing.</summary>
    /// <exception cref="T:System.ArgumentException">A pattern was loaded that is not one.</exception>
    member _.Connectivity: Connectivity =
        if Volatile.Read &isDisposed = 1 then
            current.Connectivity
        else
            match peek () with
            | Ok c -> c
            | Error refusal -> raise (PatternTensors.Refused refusal)

    /// The pattern of the next use or, where a pattern was loaded that is not one, of the last.
    member _.Shown: Connectivity =
        if Volatile.Read &isDisposed = 1 then
            current.Connectivity
        else
            match peek () with
            | Ok c -> c
            | Error _ -> current.Connectivity

    /// <summary>The pattern's tensors, for state_dict.</summary>
    /// <exception cref="T:System.ArgumentException">A pattern was loaded that is not one.</exception>
    member _.HandOut() : struct (string * torch.Tensor) list =
        if LayerVersions.isQuiet || Volatile.Read &isDisposed = 1 then
            []
        else
            lock gate (fun () ->
                let v = enterForLoad ()

                try
                    let tensors =
                        match pattern with
                        | null ->
                            let made = PatternTensors v.Connectivity

                            publish (
                                if v.IsChanging then
                                    LayerVersion(v.Connectivity, v.Numbers, made.Versions, true)
                                else
                                    v.At made.Versions
                            )

                            pattern <- made
                            made
                        | pattern -> pattern

                    // A change of the layer's own goes back by itself.
                    if not v.IsChanging then
                        handOuts.Add(HandedOut.Register(gate, v.Numbers.Values, v.Numbers.BiasValues))

                    tensors.Shown
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
                    publish (shown (LayerVersion(c, parameters.Numbers(), v.Seen, false)))
                    handOuts.ForgetAll()
                with _ ->
                    parameters.SetStorage(v.Numbers.Values, v.Numbers.BiasValues)
                    publish (shown v)
                    reraise ()

                v.Numbers.Supersede()
            finally
                v.Numbers.Shared.Exit())

    /// <summary>Takes over a pattern and its weights, and a bias if there is one (else null). The tensors' storage becomes
    /// the parameters'.</summary>
    member s.Replace(c: Connectivity, values: torch.Tensor, biasValues: torch.Tensor | null) : unit =
        s.Change(fun _ ->
            parameters.SetStorage(values, biasValues)
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
            parameters.SetStorage(v.Numbers.Values.clone (), copyOrNull v.Numbers.BiasValues)
            result <- load ()

            match pattern with
            | null -> v.Connectivity
            | pattern when pattern.Hold v.Connectivity -> v.Connectivity
            | pattern ->
                match pattern.TryRead(v.Connectivity.Rows, v.Connectivity.Cols) with
                | Ok c -> c
                | Error refusal -> raise (PatternTensors.Refused refusal))

        result

    /// <summary>Other parameters take the place of these, which calls on other threads may still use.</summary>
    member _.Move(replace: Parameter -> (Parameter | null) -> struct (Parameter * (Parameter | null))) : unit =
        lock gate (fun () ->
            let v = enter ()

            try
                publish (v.Changing())

                try
                    parameters.Replace replace
                finally
                    publish (LayerVersion(v.Connectivity, parameters.Numbers(), v.Seen, false))
                    v.Numbers.Shared.Retire()

                handOuts.ForgetAll()
            finally
                v.Numbers.Shared.Exit())

    /// No call begins any more; those that run end. False where it was called before.
    member _.Dispose() : bool =
        Interlocked.Exchange(&isDisposed, 1) = 0
        && lock gate (fun () ->
            current.Numbers.Shared.Retire()
            SlotCells.release current.Connectivity
            handOuts.ForgetAll()
            true)
