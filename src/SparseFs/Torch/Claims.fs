namespace SparseFs.Torch

open System
open System.Runtime.CompilerServices
open SparseFs
open TorchSharp

/// <summary>Which rewirer a layer belongs to. A claim ends when it is released, or when its rewirer is collected.</summary>
[<AbstractClass; Sealed>]
type internal Claims private () =
    static let owners = ConditionalWeakTable<torch.nn.Module, WeakReference>()

    static let ownerOf (layer: torch.nn.Module) : obj =
        match owners.TryGetValue layer with
        | true, owner -> owner.Target
        | _ -> null

    /// Whether a rewirer follows the layer.
    static member IsClaimed(layer: torch.nn.Module) : bool =
        lock owners (fun () -> not (isNull (ownerOf layer)))

    /// <summary>Claims layers for an owner, all or none; the place of the first that belongs to another, if one does.</summary>
    /// <remarks>An owner that nobody holds any more may not have been collected yet: before anything is refused, it is.</remarks>
    static member TryClaim(layers: torch.nn.Module[], owner: WeakReference) : int voption =
        let attempt () =
            lock owners (fun () ->
                match layers |> Array.tryFindIndex (fun layer -> not (isNull (ownerOf layer))) with
                | Some place -> ValueSome place
                | None ->
                    for layer in layers do
                        owners.AddOrUpdate(layer, owner)

                    ValueNone)

        match attempt () with
        | ValueNone -> ValueNone
        | ValueSome _ ->
            GC.Collect()
            GC.WaitForPendingFinalizers()
            attempt ()

    /// Ends an owner's claim on a layer.
    static member Release(layer: torch.nn.Module, owner: WeakReference) : unit =
        lock owners (fun () ->
            match owners.TryGetValue layer with
            | true, current when obj.ReferenceEquals(current, owner) -> owners.Remove layer |> ignore
            | _ -> ())

/// <summary>Notices, once, that a layer with a policy trains without a rewirer.</summary>
[<Sealed>]
type internal PolicyWatch() =
    let mutable forwards = 0L // threads may lose a count between them

    /// A forward of a layer with a policy, whose backward passes nobody notes.
    member _.Forward(layer: torch.nn.Module, policy: Policy) : unit =
        if layer.training && torch.is_grad_enabled () then
            forwards <- forwards + 1L

            if
                forwards = policy.Schedule.Start + policy.Schedule.Every
                && not (Claims.IsClaimed layer)
            then
                SparseFsEventSource.Log.Noticed(
                    string NoticeKind.NotFollowed,
                    "",
                    $"{layer} carries a policy, but no rewirer follows it: its connections stay as they are; make a Rewirer of "
                    + "the model and the optimizer, and call its Step() in place of optimizer.step()"
                )
