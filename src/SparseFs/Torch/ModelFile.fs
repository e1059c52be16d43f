namespace SparseFs.Torch

open System
open System.Collections.Generic
open SparseFs
open TorchSharp

/// <summary>A model as texts and tensors.</summary>
module internal ModelFile =

    let isReserved (key: string) =
        key = "format" || key.StartsWith("sparsefs.", StringComparison.Ordinal)

    let isModels (name: string) =
        not (name.StartsWith(Inventory.Reserved, StringComparison.Ordinal))

    let noNotes = Dictionary<string, string>() :> IReadOnlyDictionary<_, _>

    let checkNotes (notes: IReadOnlyDictionary<string, string>) =
        ArgumentNullException.ThrowIfNull(notes, nameof notes)

        for note in notes do
            if isReserved note.Key then
                let expected =
                    "expected names that do not begin with 'sparsefs.' and are not 'format'"

                raise (ArgumentException($"{expected}, got '{note.Key}'", nameof notes))

    let private library = typeof<Connectivity>.Assembly.GetName().Version.ToString 3

    let modelTexts (inventory: Inventory) (notes: IReadOnlyDictionary<string, string>) =
        [ "format", "pt" // what other tools ask for: tensors as PyTorch lays them out
          "sparsefs.format", "1"
          "sparsefs.version", library

          for struct (name, layer) in inventory.Layers do
              LayerText.key name, LayerText.ofLayer layer

          for note in notes do
              note.Key, note.Value ]

    let private layerTensors (layout: PatternLayout) (name: string) (layer: SparseLinear) =
        let prefix = Inventory.prefix name
        let c = layer.Connectivity

        [ match layout with
          | PatternLayout.Coo ->
              struct (prefix + "values", layer.weight :> torch.Tensor)
              struct (prefix + "indices", Indices.ofConnectivity c)
          | _ ->
              struct (prefix + "weight", layer.weight :> torch.Tensor)
              struct (prefix + "row_ptr", torch.tensor (c.RowPtrArray, device = torch.CPU))
              struct (prefix + "col_idx", torch.tensor (c.ColIdxArray, device = torch.CPU))

          if not (isNull layer.bias) then
              struct (prefix + "bias", layer.bias :> torch.Tensor) ]

    let modelTensors (layout: PatternLayout) (inventory: Inventory) =
        let tensors =
            [ for struct (name, layer) in inventory.Layers do
                  yield! layerTensors layout name layer

              yield! inventory.Others ]

        for struct (name, _) in tensors do
            if not (isModels name) then
                let expected = $"expected names that do not begin with '{Inventory.Reserved}'"
                raise (ArgumentException($"{expected}, got '{name}'", "model"))

        tensors
