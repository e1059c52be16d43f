namespace SparseFs

open System
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules

/// <summary>A tensor that an optimizer keeps for a parameter, of the parameter's shape: one number a weight.</summary>
/// <remarks>When a layer is rewired, the numbers of slots that stay move along with their weights, and those of grown slots
/// begin with what the optimizer would have for a weight that it has never seen.</remarks>
[<Sealed>]
type OptimizerTensor
    internal
    (
        name: string,
        presence: TensorPresence,
        unseen: unit -> Unseen,
        seeding: unit -> Seeding,
        get: unit -> (torch.Tensor | null),
        set: (torch.Tensor | null) -> unit
    ) =

    static let check (name: string) (get: obj) (set: obj) =
        OptimizerNames.check name
        ArgumentNullException.ThrowIfNull(get, nameof get)
        ArgumentNullException.ThrowIfNull(set, nameof set)

    /// One that is always there is never taken away.
    static let setTo (name: string) (set: Action<torch.Tensor>) (tensor: torch.Tensor | null) : unit =
        match tensor with
        | null ->
            let expected = $"expected '{name}' of an optimizer to be a tensor, got none"
            raise (InvalidOperationException $"{expected}: a tensor that is made later is an OptimizerTensor.Lazy")
        | tensor -> set.Invoke tensor

    /// <summary>A tensor that is there from the beginning.</summary>
    /// <param name="name">Its name in files: letters, digits, '_' and '-'.</param>
    /// <param name="unseen">What it has for a weight that the optimizer has never seen: 0 for a running mean.</param>
    /// <param name="get">Reads it.</param>
    /// <param name="set">Puts another in its place, which is the optimizer's from then on; the old one is disposed of
    /// afterwards.</param>
    /// <exception cref="T:System.ArgumentException">The name has other characters, or the number is not finite.</exception>
    /// <exception cref="T:System.ArgumentNullException">An argument is null.</exception>
    new(name: string, unseen: float, get: Func<torch.Tensor>, set: Action<torch.Tensor>) =
        check name get set

        if not (Double.IsFinite unseen) then
            raise (ArgumentException($"expected a finite number, got {unseen}", nameof unseen))

        OptimizerTensor(
            name,
            TensorPresence.Always,
            (fun () -> Unseen.Number unseen),
            (fun () -> Seeding.Unseen),
            (fun () -> get.Invoke()),
            setTo name set
        )

    /// <summary>A tensor that is null until the optimizer's first step makes it.</summary>
    /// <param name="name">Its name in files: letters, digits, '_' and '-'.</param>
    /// <param name="get">Reads it; null where there is none.</param>
    /// <param name="set">Puts another in its place, or null: the optimizer then makes it anew.</param>
    /// <returns>One that is 0 for a weight that the optimizer has never seen.</returns>
    /// <exception cref="T:System.ArgumentException">The name has other characters.</exception>
    /// <exception cref="T:System.ArgumentNullException">An argument is null.</exception>
    static member Lazy
        (name: string, get: Func<torch.Tensor | null>, set: Action<torch.Tensor | null>)
        : OptimizerTensor =
        check name get set

        OptimizerTensor(
            name,
            TensorPresence.Later,
            (fun () -> Unseen.Number 0.0),
            (fun () -> Seeding.Unseen),
            (fun () -> get.Invoke()),
            (fun tensor -> set.Invoke tensor)
        )

    /// <summary>An average of the weights themselves: that of a grown slot begins with its weight.</summary>
    /// <param name="name">Its name in files: letters, digits, '_' and '-'.</param>
    /// <param name="get">Reads it.</param>
    /// <param name="set">Puts another in its place.</param>
    /// <returns>One that is there from the beginning.</returns>
    /// <exception cref="T:System.ArgumentException">The name has other characters.</exception>
    /// <exception cref="T:System.ArgumentNullException">An argument is null.</exception>
    static member Average(name: string, get: Func<torch.Tensor>, set: Action<torch.Tensor>) : OptimizerTensor =
        check name get set

        OptimizerTensor(
            name,
            TensorPresence.Always,
            (fun () -> Unseen.Weight),
            (fun () -> Seeding.Unseen),
            (fun () -> get.Invoke()),
            setTo name set
        )

    /// <summary>Its name in files.</summary>
    member _.Name: string = name

    override _.ToString() = $"OptimizerTensor({name})"

    /// When it is there.
    member internal _.Presence: TensorPresence = presence

    /// Its number of a slot that the optimizer has never seen.
    member internal _.Unseen: Unseen = unseen ()

    /// Its number of a slot of which one gradient is known.
    member internal _.Seeding: Seeding = seeding ()

    /// The tensor as it is now; null where there is none.
    member internal _.Value: torch.Tensor | null = get ()

    /// Puts another in its place, and then disposes of the old one.
    member internal _.Give(fresh: torch.Tensor | null) : unit =
        let old = get ()
        set fresh

        match old with
        | null -> ()
        | old when not (obj.ReferenceEquals(old, fresh)) -> old.Dispose()
        | _ -> ()

    /// <summary>The tensor as it is now, null where there is none.</summary>
    /// <exception cref="T:System.InvalidOperationException">It does not fit its parameter.</exception>
    member internal _.For(p: Parameter) : torch.Tensor | null =
        let refuse (got: string) =
            let message =
                $"expected '{name}' of an optimizer to be a tensor of shape {Shape.text p.shape} on {p.device}, as its "
                + $"parameter is, got {got}"

            raise (InvalidOperationException message)

        match get () with
        | null when presence = TensorPresence.Always ->
            refuse "none: a tensor that is made later is an OptimizerTensor.Lazy"
        | null -> null
        | t when
            t.shape <> p.shape
            || t.device_type <> p.device_type
            || t.device_index <> p.device_index
            ->
            refuse $"one of shape {Shape.text t.shape} on {t.device}"
        | t -> t
