namespace SparseFs.Torch

open SparseFs

/// <summary>Updates of a rewirer that were refused.</summary>
module internal RefusedUpdates =

    /// The refused update in a row that raises.
    let private patience = 3

    /// Why an update was refused, where it was.
    let reasonOf (e: RewireEvent) : string option =
        match e.Outcome with
        | RewireOutcome.Refused reason -> Some reason
        | RewireOutcome.Done _ -> None

    /// Updates in a row that were refused, with the last one's reason, where they are too many.
    let tooMany (due: RewiredLayer[]) (happened: RewireEvent[]) : string option =
        Seq.zip due happened
        |> Seq.tryPick (fun (l, e) ->
            if l.Refused >= patience then
                reasonOf e
                |> Option.map (fun reason -> $"{l.Refused} updates of {l.Shown} in a row were refused: {reason}")
            else
                None)
