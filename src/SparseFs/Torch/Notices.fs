namespace SparseFs

open System.Diagnostics.Tracing

/// <summary>What the library notices and goes on from, as events of the source "SparseFs": for dotnet-trace, or an
/// EventListener of one's own. Nothing is written to the console.</summary>
[<Sealed; EventSource(Name = "SparseFs")>]
type internal Notices private () =
    inherit EventSource()

    static let log = new Notices()

    static member Log: Notices = log

    /// Something is not as it should be; training goes on.
    [<Event(1, Level = EventLevel.Warning, Message = "{0}: {1}")>]
    member this.Noticed(layer: string, message: string) : unit =
        if this.IsEnabled() then
            this.WriteEvent(1, layer, message)

    /// An update of a layer was refused.
    [<Event(2, Level = EventLevel.Warning, Message = "{0}: {1}")>]
    member this.Refused(layer: string, reason: string) : unit =
        if this.IsEnabled() then
            this.WriteEvent(2, layer, reason)
