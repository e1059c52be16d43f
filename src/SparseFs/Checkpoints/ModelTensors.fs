namespace SparseFs.Torch

open System
open System.Collections.Generic
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>What a model consists of, by state_dict's names.</summary>
type internal ModelTensors =
    {
        /// <summary>Sparse layers by their place in the model; "" for the model itself. A layer that is used twice comes
        /// twice.</summary>
        Layers: struct (string * SparseLayer)[]
        /// <summary>All parameters and persistent buffers that belong to no sparse layer.</summary>
        Others: struct (string * torch.Tensor)[]
        /// <summary>What is wrong with numbers that are to become those of a tensor of that name, if anything is.</summary>
        WrongNumbers: string -> torch.Tensor -> string voption
    }

/// <summary>One version of each layer, in use until this is disposed of: what a save writes.</summary>
[<Sealed>]
type internal HeldLayers(layers: struct (string * SparseLayer)[]) =
    let held = List<struct (string * LayerVersion)>()

    let release () =
        for struct (_, version) in held do
            version.Numbers.Shared.Exit()

    do
        try
            for struct (name, layer) in layers do
                held.Add(struct (name, layer.Versions.Enter()))
        with _ ->
            release ()
            reraise ()

    /// By their place in the model.
    member _.Layers: IReadOnlyList<struct (string * LayerVersion)> = held

    /// Gives the names of each layer's tensors.
    member val Keys: (string -> string)[] =
        [| for struct (name, layer) in layers -> StateName.key layer.StateName name |]

    /// What each layer is.
    member val Descriptions: LayerDescription[] = [| for struct (_, layer) in layers -> layer.Description |]

    /// What each layer's first pattern was drawn from, if it was.
    member val Seeds: struct (string * Seed option)[] =
        [| for struct (name, layer) in layers -> struct (name, Option.ofNullable layer.Seed) |]

    interface IDisposable with
        member _.Dispose() = release ()

module internal ModelTensors =

    /// Names of tensors that are not the model's begin so.
    [<Literal>]
    let Reserved = "@"

    let prefix (layer: string) = if layer = "" then "" else layer + "."

    /// The name of a tensor of a layer that no other module's state has as its own.
    let key (layer: string) (tensor: string) =
        StateName.key StateName.Nested layer tensor

    /// K-winners are the modules whose buffers may not hold any number.
    let private wrongNumbers (model: torch.nn.Module) : string -> torch.Tensor -> string voption =
        let guarded =
            [ if model :? KWinnersBase then
                  ""
              for struct (name, child) in model.named_modules () do
                  if child :? KWinnersBase then
                      name + "." ]

        fun name numbers ->
            guarded
            |> List.tryFind (fun place -> name.StartsWith(place, StringComparison.Ordinal))
            |> function
                | Some place -> KWinnersBuffers.WrongNumbers(name.Substring place.Length, numbers)
                | None -> ValueNone

    let private hasTensors (m: torch.nn.Module) : bool =
        not (Seq.isEmpty (m.named_parameters false) && Seq.isEmpty (m.named_buffers false))

    /// <exception cref="T:System.ArgumentException">A pattern was loaded that is not one, or the model has neither parameters
    /// nor buffers.</exception>
    let ofModel (model: torch.nn.Module) : ModelTensors =
        let layers = Array.ofList (SparseLayers.places model)

        // What is wrong with a pattern that was loaded is said before anything else.
        for struct (name, layer) in layers do
            layer.KnownAs <- name
            layer.Versions.Settle() |> ignore

        let state = LayerVersions.Quietly(fun () -> model.state_dict ())

        for struct (name, layer) in layers do
            let key = StateName.key layer.StateName name
            state.Remove(key "weight") |> ignore
            state.Remove(key "bias") |> ignore

        if layers.Length = 0 && state.Count = 0 then
            let otherwise =
                "modules and parameters in fields need RegisterComponents() at the end of the constructor, modules in lists "
                + "register_module or a torch.nn.ModuleList"

            let cure = Registration.adviceOr otherwise hasTensors model
            let got = $"got {Registration.typeName model} without any"
            raise (ArgumentException($"expected a model with parameters or buffers, {got}: {cure}", nameof model))

        { Layers = layers
          Others =
            [| for entry in state do
                   if not (isNull (box entry.Value)) then
                       struct (entry.Key, entry.Value) |]
          WrongNumbers = wrongNumbers model }

    /// The first name of each parameter.
    let names (inventory: ModelTensors) : Dictionary<nativeint, string> =
        let names = Dictionary<nativeint, string>()

        for struct (name, layer) in inventory.Layers do
            let key = StateName.key layer.StateName name
            names.TryAdd(layer.weight.Handle, key "weight") |> ignore

            match layer.bias with
            | null -> ()
            | bias -> names.TryAdd(bias.Handle, key "bias") |> ignore

        for struct (name, t) in inventory.Others do
            names.TryAdd(t.Handle, name) |> ignore

        names
