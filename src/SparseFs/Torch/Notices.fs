namespace SparseFs

open System.Collections.Generic
open System.Diagnostics.Tracing

/// <summary>What a rewirer, or a layer, has noticed about the loop around it.</summary>
type NoticeKind =
    /// The gradient is not one number times what the passes gave: clipped by value, noise, a penalty on the weights. Growth
    /// uses the passes since it was last zero.
    | ElementwiseGradient = 0
    /// The gradient has little in common with what the passes gave, as if set by hand. Growth uses the passes since it was
    /// last zero.
    | ForeignGradient = 1
    /// The gradient also holds what was there before the step's first noted pass, which growth has not seen.
    | StaleGradient = 2
    /// No parameter of the optimizer has a gradient: was backward() forgotten?
    | NoGradient = 3
    /// optimizer.step() and Rewirer.Step() were both called for one batch.
    | SteppedTwice = 4
    /// optimizer.step() is called, and neither Step() nor Follow() of the rewirer is.
    | SteppedInstead = 5
    /// A layer carries a policy, and no rewirer follows it.
    | NotFollowed = 6

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

/// <summary>The library's event source, "SparseFs", for dotnet-trace and EventListener.</summary>
[<Sealed; EventSource(Name = "SparseFs")>]
type internal SparseFsEventSource private () =
    inherit EventSource()

    static member val Log = new SparseFsEventSource()

    /// A notice, by the name of its kind.
    [<Event(1, Level = EventLevel.Warning)>]
    member this.Noticed(kind: string, layer: string, message: string) : unit =
        this.WriteEvent(1, kind, layer, message)

    /// An update of a layer that was refused.
    [<Event(2, Level = EventLevel.Warning)>]
    member this.Refused(layer: string, step: int64, reason: string) : unit =
        this.WriteEvent(2, box layer, box step, box reason)

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
            SparseFsEventSource.Log.Noticed(string kind, layer, message)

    member _.All: Notice[] = lock posted (fun () -> posted.ToArray())
