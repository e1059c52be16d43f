namespace SparseFs.Torch

open System
open System.Collections.Generic
open System.Diagnostics
open System.Runtime.CompilerServices
open System.Threading
open TorchSharp

/// <summary>That a layer's tensors were handed out lately, for state_dict, and what its parameters were then.</summary>
/// <remarks>
/// <para>A load through a parent writes into them and tells nobody. TorchSharp's own files are even read into them without
/// a trace in the tensors' versions, so that contents are compared until the load must be over.</para>
/// <para>A load that fails in its middle leaves some tensors written and others not: one layer's weights, for example, in
/// another's pattern. No method of ours is on that way, so exceptions are looked at when they are thrown: one inside a
/// load on the thread that had the tensors handed out means that every layer of it goes back.</para>
/// </remarks>
[<Sealed>]
type internal HandedOut private (weight: torch.Tensor, bias: torch.Tensor | null) =
    let thread = Environment.CurrentManagedThreadId
    let last = Environment.TickCount64 + HandedOut.Milliseconds
    let mutable hasFailed = 0
    let shared = SharedTensors [| weight; bias |]

    /// Those of this thread, by layer.
    [<ThreadStatic; DefaultValue>]
    static val mutable private ofThread: ConditionalWeakTable<obj, HandedOut> | null

    static let mutable isListening = 0

    /// How long whoever else uses the layer meanwhile compares.
    static member private Milliseconds = 10_000L

    static member private IsLoading() : bool =
        StackTrace(false).GetFrames()
        |> Array.exists (fun frame ->
            match frame.GetMethod() with
            | null -> false
            | m ->
                m.Name.StartsWith("load", StringComparison.Ordinal)
                && typeof<torch.nn.Module>.IsAssignableFrom m.DeclaringType)

    static member private Listen() : unit =
        if Interlocked.Exchange(&isListening, 1) = 0 then
            AppDomain.CurrentDomain.FirstChanceException.Add(fun _ ->
                match HandedOut.ofThread with
                | null -> ()
                | known ->
                    // An exception that is thrown in here does not come here again.
                    HandedOut.ofThread <- null

                    if HandedOut.IsLoading() then
                        for entry in known do
                            entry.Value.Fail()
                    else
                        HandedOut.ofThread <- known)

    /// <summary>Notes a hand-out on this thread, in the place of the layer's last.</summary>
    /// <param name="layer">What stands for the layer.</param>
    /// <param name="weight">Its numbers, which are copied.</param>
    /// <param name="bias">Likewise, or null.</param>
    static member Register(layer: obj, weight: torch.Tensor, bias: torch.Tensor | null) : HandedOut =
        let copyOf (t: torch.Tensor) = t.clone().DetachFromDisposeScope()

        let copyOfBias: torch.Tensor | null =
            match bias with
            | null -> null
            | bias -> copyOf bias

        HandedOut.Listen()
        let made = HandedOut(copyOf weight, copyOfBias)

        let ofThread =
            match HandedOut.ofThread with
            | null ->
                let none = ConditionalWeakTable()
                HandedOut.ofThread <- none
                none
            | known -> known

        ofThread.AddOrUpdate(layer, made)
        made

    /// Whether a load that took the tensors must have ended: it ran on this thread, or long ago.
    member _.IsOver: bool =
        Environment.CurrentManagedThreadId = thread || Environment.TickCount64 > last

    /// Whether a load that took the tensors ended in an exception.
    member _.HasFailed: bool = Volatile.Read(&hasFailed) = 1

    member private _.Fail() : unit = Volatile.Write(&hasFailed, 1)

    /// In milliseconds, when it counts as over for every thread.
    member _.Last: int64 = last

    /// Calls body with the copies of weight and bias, unless they are freed.
    member _.Read(body: torch.Tensor -> (torch.Tensor | null) -> unit) : unit =
        if shared.TryEnter() then
            try
                body weight bias
            finally
                shared.Exit()

    member _.Free() : unit = shared.Retire()

/// <summary>A layer's hand-outs, the last of each thread.</summary>
[<Sealed>]
type internal HandOuts() =
    let mutable all: HandedOut[] = [||]

    let rec exchange (change: HandedOut[] -> HandedOut[]) =
        let before = Volatile.Read &all
        let after = change before

        if
            after.Length <> before.Length
            || not (Array.forall2 (fun a b -> obj.ReferenceEquals(a, b)) after before)
        then
            if obj.ReferenceEquals(Interlocked.CompareExchange(&all, after, before), before) then
                for h in before do
                    if not (Array.exists (fun other -> obj.ReferenceEquals(other, h)) after) then
                        h.Free()
            else
                exchange change

    member _.IsEmpty: bool = (Volatile.Read &all).Length = 0

    /// Whether no load can be on its way that this thread would not know of.
    member _.AreOver: bool = Volatile.Read &all |> Array.forall _.IsOver

    /// One whose load ended in an exception, or null.
    member _.Failed: HandedOut | null =
        match Volatile.Read &all |> Array.tryFind _.HasFailed with
        | None -> null
        | Some failed -> failed

    /// The last, or null.
    member _.Latest: HandedOut | null =
        match Volatile.Read &all with
        | [||] -> null
        | some -> some |> Array.maxBy _.Last

    /// In the place of this thread's last.
    member _.Add(made: HandedOut) : unit =
        exchange (fun before -> [| yield! before |> Array.filter (fun h -> not h.IsOver); made |])

    /// Those that are over for this thread.
    member _.ForgetOver() : unit =
        exchange (Array.filter (fun h -> not h.IsOver))

    member _.ForgetAll() : unit = exchange (fun _ -> [||])
