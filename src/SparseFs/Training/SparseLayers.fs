namespace SparseFs

open System
open SparseFs.Torch
open TorchSharp

/// Finding the sparse layers of a model.
module internal SparseLayers =

    /// The sparse layers of a module, itself among them, by their place; one that is held twice comes twice.
    let places (model: torch.nn.Module) : struct (string * SparseLayer) list =
        [ match model with
          | :? SparseLayer as layer -> struct ("", layer)
          | _ ->
              for struct (name, child) in model.named_modules () do
                  match child with
                  | :? SparseLayer as layer -> struct (name, layer)
                  | _ -> () ]

    /// Linear layers as layers of any kind.
    let ofLinear (layers: seq<struct (string * SparseLinear)>) : seq<struct (string * SparseLayer)> =
        ArgumentNullException.ThrowIfNull(layers, nameof layers)

        seq {
            for struct (name, layer) in layers do
                struct (name, layer :> SparseLayer)
        }

    /// Each once.
    let ofModel (model: torch.nn.Module) : struct (string * SparseLayer) list =
        if isNull (box model) then
            nullArg (nameof model)

        places model |> List.distinctBy (fun (struct (_, layer)) -> layer)

    /// <summary>Each once, of a model that has some.</summary>
    /// <exception cref="T:System.ArgumentException">It has none; the message says why, where its class forgot something.</exception>
    let needed (model: torch.nn.Module) : struct (string * SparseLayer) list =
        match ofModel model with
        | [] ->
            let cure =
                Registration.adviceOr
                    "give it SparseLinear or SparseConv layers, or make its layers sparse first, with Sparsify.model (C#: model.Sparsify())"
                    (fun m -> m :? SparseLayer)
                    model

            let got = $"got {Registration.typeName model} without any"
            raise (ArgumentException($"expected a model with sparse layers, {got}: {cure}", nameof model))
        | layers -> layers

    /// <summary>Each once, those alone that a choice has.</summary>
    /// <exception cref="T:System.ArgumentException">The model or the choice is null, a name of the choice is no layer's, or
    /// it has none of the layers.</exception>
    let chosen (choice: Layers option) (model: torch.nn.Module) : struct (string * SparseLayer) list =
        let found = needed model

        match choice with
        | None -> found
        | Some choice ->
            ArgumentNullException.ThrowIfNull(choice, "layers")

            let modules =
                [| for struct (name, layer) in found do
                       struct (name, layer :> torch.nn.Module) |]

            let wanted = choice.Choose("sparse layers", modules)
            List.zip found (List.ofArray wanted) |> List.filter snd |> List.map fst
