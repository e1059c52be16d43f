namespace SparseFs

open System.Collections.Generic
open System.Diagnostics.Tracing

/// <summary>What a rewirer, or a layer, has noticed about the loop around it.</summary>
type NoticeKind =
    /// The gradient is not a multiple of what the backward passes gave: clipped by value, noise, or set by hand. Growth looks
    /// at the passes as they were.
    | ChangedGradient = 0
    /// No parameter of the optimizer has a gradient: was backward forgotten?
    | NoGradient = 1
    /// optimizer.step() and Rewirer.Step() were both called for one batch.
    | SteppedTwice = 2
    /// The layer trains on and on, and neither Step nor Follow of its rewirer is called.
    | NotStepped = 3
    /// The layer carries a policy, and no rewirer follows it.
    | NotFollowed = 4
    /// A run was resumed from a file that has no name for a rule of the user's own: whether the rule given is the one that
    /// the run was saved with cannot be known.
    | UnnamedRule = 5

/// <summary>One thing that was noticed.</summary>
type Notice =
    {
        /// <summary>What it is.</summary>
        Kind: NoticeKind
        /// <summary>The layer's name in its model; empty where it is no layer's.</summary>
        Layer: string
        /// <summary>What was seen, and what to do.</summary>
        Message: string
    }

/// <summary>What the library notices and goes on from, as events of the source "SparseFs": for dotnet-trace, or an
/// EventListener of one's own. Nothing is written to the console.</summary>
[<Sealed; EventSource(Name = "SparseFs")>]
type internal NoticeSource private () =
    inherit EventSource()

    static let log = new NoticeSource()

    static member Log: NoticeSource = log

    /// Something is not as it should be; training goes on.
    [<Event(1, Level = EventLevel.Warning, Message = "{1}: {2}")>]
    member this.Noticed(kind: string, layer: string, message: string) : unit =
        if this.IsEnabled() then
            this.WriteEvent(1, kind, layer, message)

    /// An update of a layer was refused.
    [<Event(2, Level = EventLevel.Warning, Message = "{0}: {1}")>]
    member this.Refused(layer: string, reason: string) : unit =
        if this.IsEnabled() then
            this.WriteEvent(2, layer, reason)

/// <summary>Notices, each of a kind once a layer. Any thread may post.</summary>
[<Sealed>]
type internal NoticeBoard() =
    let posted = List<Notice>()

    member _.Post(kind: NoticeKind, layer: string, message: string) : unit =
        let isNew =
            lock posted (fun () ->
                let isNew = not (posted.Exists(fun n -> n.Kind = kind && n.Layer = layer))

                if isNew then
                    posted.Add
                        { Kind = kind
                          Layer = layer
                          Message = message }

                isNew)

        if isNew then
            NoticeSource.Log.Noticed(string kind, layer, message)

    member _.All: Notice[] = lock posted (fun () -> posted.ToArray())
