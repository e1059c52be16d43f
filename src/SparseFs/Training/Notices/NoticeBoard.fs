namespace SparseFs

open System.Collections.Generic
open System.Diagnostics.Tracing

/// <summary>Event source of what the library notices and goes on from, named "SparseFs": for dotnet-trace, or an
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
