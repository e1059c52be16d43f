namespace SparseFs.Torch

/// <summary>What errors call a layer: its path in the model, where something that lists the model has told it, and its text.</summary>
/// <param name="kind">What it is called before it can describe itself.</param>
[<Sealed>]
type internal LayerName(kind: string) =
    /// The dotted path in the model that a rewirer, Sparsify or a checkpoint has last listed; empty where none has.
    member val KnownAs: string = "" with get, set

    /// The layer as one line of text; asked for when an error is made, and not before.
    member val Describe: unit -> string = (fun () -> kind) with get, set

    override n.ToString() =
        if n.KnownAs = "" then
            n.Describe()
        else
            $"({n.KnownAs}): {n.Describe()}"
