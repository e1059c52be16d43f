namespace SparseFs.Torch

open SparseFs

/// <summary>Updates of a rewirer that were refused.</summary>
module internal RefusedUpdates =

    /// The refused update in a row that raises.
    let private patience = 3

    /// What is said where too many updates in a row were refused, with the last one's reason.
    let tooMany (due: RewiredLayer[]) (happened: RewireEvent[]) : string option =
        Seq.zip due happened
        |> Seq.tryPick (fun (l, e) ->
            if l.Refused >= patience then
                e.Reason
                |> Option.map (fun reason ->
                    $"{l.Refused} updates of {l.Shown} in a row were refused: {reason}. Call loss.backward() before "
                    + "rewirer.Step(), with finite losses; to go on without updates, set rewirer.Refusals to Refusals.Log or "
                    + "Refusals.Ignore")
            else
                None)
