namespace SparseFs

open System
open System.Collections.Generic
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules

/// A sparse layer under an average, and the pattern that its averages belong to.
[<Sealed>]
type private AveragedLayer(name: string, layer: SparseLayer) =
    let weight, bias =
        layer.Versions.Read(fun v ->
            Average v.Numbers.Values, v.Numbers.BiasValues |> Option.ofObj |> Option.map Average)

    member _.Name = name
    member _.Layer = layer
    member _.Weight = weight
    member _.Bias = bias
    member val Pattern = layer.Connectivity with get, set

    /// What the parameters were before the averages took their place, or null.
    member val Held: torch.Tensor | null = null with get, set

    member val HeldBias: torch.Tensor | null = null with get, set

    /// Brings the averages to the layer's present pattern.
    member l.Follow(remap: Remap, v: LayerVersion, updates: int64) =
        l.Weight.Carry(remap, v.Numbers.Values, updates)

        match l.Held with
        | null -> ()
        | before ->
            let held = Average before
            held.Carry(remap, v.Numbers.Values, updates)
            before.Dispose()
            l.Held <- held.As(v.Numbers.Values).DetachFromDisposeScope()
            held.Free()

        l.Pattern <- v.Connectivity

/// <summary>An average of a model's weights over its training, EMA or SWA, that follows rewiring.</summary>
/// <remarks>
/// <para><c>Update</c> stands after each step (EMA) or epoch (SWA). Where nothing is rewired it is PyTorch's AveragedModel. A
/// rewire is followed by cells, not by slots: the averages of slots that went go with them, and a grown slot begins with
/// its own weight and its own count. An average by names and places alone would mix cells: after a rewire, slot i of the
/// weight is another connection.</para>
/// <para>Statistics in buffers (BatchNorm's, K-winners' duty cycles) are the model's own, the latest, as PyTorch has it by
/// default; with <c>averagesBuffers</c> floating ones are averaged as parameters are. Integer buffers stay the latest.</para>
/// <para>Memory: a copy of the parameters, and 4 bytes a slot of a layer once slots have grown in it. Not for several
/// threads at once; calls of the model on other threads may go on, and meet each layer with one set of weights.</para>
/// </remarks>
/// <example><code>
/// let average = Averaging.Exponential(model, 0.999)
/// // after each rewirer.Step() or optimizer.step():
/// average.Update()
/// // to measure or save the averaged model:
/// using (average.Swap()) (fun _ -> Checkpoint.save "averaged.safetensors" model)
/// </code></example>
[<Sealed>]
type Averaging
    /// <summary>Begins with the weights as they are; the first update takes them in once more, as PyTorch's does.</summary>
    /// <param name="model">Any module with parameters.</param>
    /// <param name="rule">How.</param>
    /// <param name="averagesBuffers">Whether floating buffers are averaged too, rather than being the latest.</param>
    /// <exception cref="T:System.ArgumentException">The decay is outside [0, 1), or the model has no parameters.</exception>
    /// <exception cref="T:System.ArgumentNullException">An argument is null.</exception>
    (model: torch.nn.Module, rule: AveragingRule, averagesBuffers: bool) as this =
    do
        ArgumentNullException.ThrowIfNull(model, nameof model)
        ArgumentNullException.ThrowIfNull(rule, nameof rule)

    let rule = AveragingRule.check rule
    let inventory () = ModelTensors.ofModel model

    /// The model's other tensors under the average, as they are now.
    let others (inventory: ModelTensors) =
        [| for struct (name, t) in inventory.Others do
               if t.is_floating_point () && (averagesBuffers || t :? Parameter) then
                   struct (name, t) |]

    let layers, averages =
        let inventory = inventory ()
        let seen = HashSet<SparseLayer>(HashIdentity.Reference)

        [| for struct (name, layer) in inventory.Layers do
               if seen.Add layer then
                   AveragedLayer(name, layer) |],
        Dictionary<string, Average>(
            others inventory
            |> Seq.map (fun (struct (name, t)) -> KeyValuePair(name, Average t))
        )

    let mutable updates = 0L
    let mutable held: (string * torch.Tensor)[] | null = null
    let mutable isDisposed = false
    let subscriptions = List<IDisposable>()

    do
        for l in layers do
            subscriptions.Add(Averaging.Listen(WeakReference<Averaging> this, l))

    /// Layers whose pattern was loaded, not rewired, are compared cell by cell.
    let catchUp () =
        for l in layers do
            l.Layer.Versions.Read(fun v ->
                if not (obj.ReferenceEquals(l.Pattern, v.Connectivity)) then
                    if l.Pattern = v.Connectivity then
                        l.Pattern <- v.Connectivity
                    else
                        l.Follow(Remap.between l.Pattern v.Connectivity, v, updates))

    let checkAlive () =
        ObjectDisposedException.ThrowIf(isDisposed, typeof<Averaging>)

    let copyOrNull (t: torch.Tensor | null) : torch.Tensor | null =
        match t with
        | null -> null
        | t -> t.clone ()

    let swapBack () =
        use _ = torch.no_grad ()
        use _ = torch.NewDisposeScope()
        catchUp ()

        for l in layers do
            match l.Held with
            | null -> ()
            | weight ->
                l.Layer.Versions.Replace(l.Pattern, weight.clone (), copyOrNull l.HeldBias)
                weight.Dispose()
                l.Held <- null

            match l.HeldBias with
            | null -> ()
            | bias ->
                bias.Dispose()
                l.HeldBias <- null

        let now = dict [ for struct (name, t) in others (inventory ()) -> name, t ]

        for name, numbers in Option.ofObj held |> Option.defaultValue [||] do
            match now.TryGetValue name with
            | true, t -> t.copy_ numbers |> ignore
            | _ -> ()

            numbers.Dispose()

        held <- null

    /// <summary>An exponential moving average (EMA).</summary>
    /// <param name="model">Any module with parameters.</param>
    /// <param name="decay">The weight of what was, in [0, 1); 0.999 is common.</param>
    /// <exception cref="T:System.ArgumentException">The decay is outside [0, 1), or the model has no parameters.</exception>
    static member Exponential(model: torch.nn.Module, decay: float) : Averaging =
        new Averaging(model, AveragingRule.Exponential decay, false)

    /// <summary>A plain mean (SWA).</summary>
    /// <param name="model">Any module with parameters.</param>
    /// <exception cref="T:System.ArgumentException">The model has no parameters.</exception>
    static member Mean(model: torch.nn.Module) : Averaging =
        new Averaging(model, AveragingRule.Mean, false)

    /// A model outlives its averages: it must not keep them.
    static member private Listen(self: WeakReference<Averaging>, l: AveragedLayer) : IDisposable =
        l.Layer.Versions.Remapped.Subscribe(fun (struct (remap: Remap, v: LayerVersion)) ->
            match self.TryGetTarget() with
            | true, averaging -> averaging.Follow(l, remap, v)
            | _ -> ())

    member private _.Follow(l: AveragedLayer, remap: Remap, v: LayerVersion) =
        if not isDisposed then
            l.Follow(remap, v, updates)

    member internal _.Model = model
    member internal _.AveragesBuffers = averagesBuffers

    /// The averages, the patterns they belong to, by the names in the model.
    member internal _.Layers: struct (string * Connectivity * Average * Average option)[] =
        catchUp ()
        [| for l in layers -> struct (l.Name, l.Pattern, l.Weight, l.Bias) |]

    member internal _.Others: Dictionary<string, Average> = averages

    /// How weights are averaged.
    member _.Rule: AveragingRule = rule

    /// <summary>How often <c>Update</c> has been called.</summary>
    member _.Updates: int64 = updates

    member internal _.SetUpdates(value: int64) = updates <- value

    /// <summary>Takes the weights in as they are now.</summary>
    /// <exception cref="T:System.InvalidOperationException">The averages are swapped in.</exception>
    /// <exception cref="T:System.ObjectDisposedException">It has been disposed of.</exception>
    member _.Update() : unit =
        checkAlive ()

        if not (isNull held) then
            invalidOp "expected the model's own weights, got the averages: dispose of what Swap returned first"

        catchUp ()
        let decay = AveragingRule.decay rule

        for l in layers do
            l.Layer.Versions.Read(fun v ->
                l.Weight.Take(v.Numbers.Values, decay, updates)

                match l.Bias, v.Numbers.BiasValues with
                | None, _
                | _, null -> ()
                | Some average, bias -> average.Take(bias, decay, updates))

        for struct (name, t) in others (inventory ()) do
            match averages.TryGetValue name with
            | true, average -> average.Take(t, decay, updates)
            | _ -> averages[name] <- Average t

        updates <- updates + 1L

    /// <summary>Puts the averages in the place of the model's weights until what is returned is disposed of, which puts the
    /// weights back.</summary>
    /// <remarks>The optimizer is not touched: do not step in between.</remarks>
    /// <exception cref="T:System.InvalidOperationException">They are swapped in already.</exception>
    /// <exception cref="T:System.ObjectDisposedException">It has been disposed of.</exception>
    member _.Swap() : IDisposable =
        checkAlive ()

        if not (isNull held) then
            invalidOp "the averages are swapped in already"

        use _ = torch.no_grad ()
        use _ = torch.NewDisposeScope()
        catchUp ()
        let now = others (inventory ())

        held <- [| for struct (name, t) in now -> name, t.detach().clone().DetachFromDisposeScope() |]

        for struct (name, t) in now do
            match averages.TryGetValue name with
            | true, average -> t.copy_ average.Value |> ignore
            | _ -> ()

        for l in layers do
            let struct (values, bias) =
                l.Layer.Versions.Read(fun v ->
                    l.Held <- v.Numbers.Values.clone().DetachFromDisposeScope()

                    let averagedBias: torch.Tensor | null =
                        match l.Bias, v.Numbers.BiasValues with
                        | None, _
                        | _, null -> null
                        | Some average, bias ->
                            l.HeldBias <- bias.clone().DetachFromDisposeScope()
                            average.As bias

                    struct (l.Weight.As v.Numbers.Values, averagedBias))

            l.Layer.Versions.Replace(l.Pattern, values, bias)

        let mutable isBack = false

        { new IDisposable with
            member _.Dispose() =
                if not isBack then
                    isBack <- true
                    swapBack () }

    override _.ToString() =
        invariant $"Averaging({rule}, updates={updates}, sparse layers={layers.Length})"

    interface IDisposable with
        /// Frees the averages; the model keeps the weights that it has.
        member _.Dispose() =
            if not isDisposed then
                isDisposed <- true

                for s in subscriptions do
                    s.Dispose()

                for l in layers do
                    l.Weight.Free()
                    l.Bias |> Option.iter _.Free()

                for average in averages.Values do
                    average.Free()
