namespace SparseFs.Torch

open System
open SparseFs

/// <summary>Updates of a rewirer that were refused.</summary>
module internal RefusedUpdates =

    /// The refused update in a row that raises.
    let private patience = 3

    /// What makes the next update possible.
    let private cure (reason: string) : string =
        if reason.StartsWith(NonFinite.Start, StringComparison.Ordinal) then
            "load an earlier checkpoint if weights are concerned, and lower the learning rate or clip the gradient's norm "
            + "(torch.nn.utils.clip_grad_norm_)"
        else
            "call loss.backward() before rewirer.Step()"

    /// What is said where too many updates in a row were refused, with the last one's reason.
    let tooMany (due: RewiredLayer[]) (happened: RewireEvent[]) : string option =
        Seq.zip due happened
        |> Seq.tryPick (fun (l, e) ->
            if l.Refused >= patience then
                e.Reason
                |> Option.map (fun reason ->
                    $"{l.Refused} updates of {l.Shown} in a row were refused: {reason}. To mend it, {cure reason}; to go on "
                    + "without updates, set rewirer.Refusals to Refusals.Log or Refusals.Ignore")
            else
                None)
