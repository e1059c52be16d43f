namespace SparseFs.Torch

open System
open System.Collections.Generic
open SparseFs
open TorchSharp

/// <summary>A model as texts and tensors.</summary>
module internal ModelWriter =

    let isReserved (key: string) =
        key = "format" || key.StartsWith("sparsefs.", StringComparison.Ordinal)

    let isModels (name: string) =
        not (name.StartsWith(ModelTensors.Reserved, StringComparison.Ordinal))

    let noNotes = Dictionary<string, string>() :> IReadOnlyDictionary<_, _>

    let checkNotes (notes: IReadOnlyDictionary<string, string>) =
        ArgumentNullException.ThrowIfNull(notes, nameof notes)

        for note in notes do
            if isReserved note.Key then
                let expected =
                    "expected names that do not begin with 'sparsefs.' and are not 'format'"

                raise (ArgumentException($"{expected}, got '{note.Key}'", nameof notes))

    let private library =
        match System.Reflection.Assembly.GetExecutingAssembly().GetName().Version with
        | null -> raise (InvalidOperationException "expected an assembly with a version, got one without")
        | version -> version.ToString 3

    let formatTexts =
        [ "format", "pt" // what other tools ask for: tensors as PyTorch lays them out
          "sparsefs.format", "1"
          "sparsefs.version", library ]

    let modelTexts (held: HeldLayers) (notes: IReadOnlyDictionary<string, string>) =
        [ yield! formatTexts

          for description, struct (name, version) in Seq.zip held.Descriptions held.Layers do
              LayerMetadata.key name, LayerMetadata.ofVersion description version

          for struct (name, seed) in held.Seeds do
              match seed with
              | Some seed -> LayerMetadata.seedKey name, LayerMetadata.ofSeed seed
              | None -> ()

          for note in notes do
              note.Key, note.Value ]

    /// A layer's weights [nnz], pattern, and bias or null, where key gives the file's name of a layer's tensor.
    let partTensors
        (layout: PatternLayout)
        (key: string -> string)
        (c: Connectivity)
        (values: torch.Tensor)
        (bias: torch.Tensor | null)
        =
        [ match layout with
          | PatternLayout.Coo ->
              struct (key "values", values)
              struct (key "indices", Coo.ofConnectivity c)
          | _ ->
              struct (key "weight", values)
              struct (key "row_ptr", torch.tensor (c.RowPtrArray, device = torch.CPU))
              struct (key "col_idx", torch.tensor (c.ColIdxArray, device = torch.CPU))

          LayerWeights.fingerprint key c

          match bias with
          | null -> ()
          | bias -> struct (key "bias", bias) ]

    let private layerTensors (layout: PatternLayout) (key: string -> string) (version: LayerVersion) =
        partTensors layout key version.Connectivity version.Numbers.Values version.Numbers.BiasValues

    let modelTensors (layout: PatternLayout) (held: HeldLayers) (inventory: ModelTensors) =
        let tensors =
            [ for key, struct (_, version) in Seq.zip held.Keys held.Layers do
                  yield! layerTensors layout key version

              yield! inventory.Others ]

        for struct (name, _) in tensors do
            if not (isModels name) then
                let expected = $"expected names that do not begin with '{ModelTensors.Reserved}'"
                raise (ArgumentException($"{expected}, got '{name}'", "model"))

        tensors
