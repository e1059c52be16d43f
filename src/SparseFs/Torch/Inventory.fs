namespace SparseFs.Torch

open System
open System.Collections.Generic
open System.Text.RegularExpressions
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>What a model consists of, by state_dict's names.</summary>
type internal Inventory =
    {
        /// <summary>Sparse layers by their place in the model; "" for the model itself. A layer that is used twice comes
        /// twice.</summary>
        Layers: struct (string * SparseLinear)[]
        /// <summary>All parameters and persistent buffers that belong to no sparse layer.</summary>
        Others: struct (string * torch.Tensor)[]
        /// <summary>What is wrong with numbers that are to become those of a tensor of that name, if anything is.</summary>
        WrongNumbers: string -> torch.Tensor -> string voption
    }

module internal Inventory =

    /// Names of tensors that are not the model's begin so.
    [<Literal>]
    let Reserved = "@"

    let prefix (layer: string) = if layer = "" then "" else layer + "."

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
                | Some place -> KWinnersBase.WrongNumbers(name.Substring place.Length, numbers)
                | None -> ValueNone

    /// <exception cref="T:System.ArgumentException">A pattern was loaded that is not one.</exception>
    let ofModel (model: torch.nn.Module) : Inventory =
        let layers = Array.ofList (SparseLayers.places model)

        // Ends loans that are still out, whose tensors are the caller's: those that are lent next are ours to free.
        for struct (_, layer) in layers do
            layer.Connectivity |> ignore

        let state = model.state_dict ()

        for struct (name, layer) in layers do
            let take (key: string) =
                match state.TryGetValue(prefix name + key) with
                | true, tensor ->
                    state.Remove(prefix name + key) |> ignore
                    tensor
                | _ -> null

            let lent: torch.Tensor list = [ take "row_ptr"; take "col_idx" ]
            layer.Connectivity |> ignore // ends the loan

            lent
            |> List.iter (fun t ->
                if not (isNull t) then
                    t.Dispose())

            take "weight" |> ignore
            take "bias" |> ignore

        { Layers = layers
          Others =
            [| for entry in state do
                   if not (isNull entry.Value) then
                       struct (entry.Key, entry.Value) |]
          WrongNumbers = wrongNumbers model }

    /// The first name of each parameter.
    let names (inventory: Inventory) : Dictionary<nativeint, string> =
        let names = Dictionary<nativeint, string>()

        for struct (name, layer) in inventory.Layers do
            names.TryAdd(layer.weight.Handle, prefix name + "weight") |> ignore

            if not (isNull layer.bias) then
                names.TryAdd(layer.bias.Handle, prefix name + "bias") |> ignore

        for struct (name, t) in inventory.Others do
            names.TryAdd(t.Handle, name) |> ignore

        names

/// <summary>The text by which a file tells of a sparse layer.</summary>
module internal LayerText =

    /// A later format is not read as this one.
    let checkFormat (file: StoredFile) : unit =
        match file.Metadata.TryGetValue "sparsefs.format" with
        | true, version when version <> "1" ->
            file.Refuse(CheckpointProblem.Mismatch, "sparsefs.format", $"expected format 1, got '{version}'")
        | _ -> ()

    let key (layer: string) = $"sparsefs.layer.{layer}"

    let ofLayer (layer: SparseLinear) : string =
        let c = layer.Connectivity

        $"SparseLinear(in_features={c.Cols}, out_features={c.Rows}, nnz={c.Nnz}, "
        + $"bias={not (isNull layer.bias)})"

    let private form =
        Regex(
            @"^SparseLinear\(in_features=(\d{1,10}), out_features=(\d{1,10}), nnz=(\d{1,10}), bias=(True|False)\)$",
            RegexOptions.CultureInvariant ||| RegexOptions.ECMAScript
        )

    /// Rows, columns and slots that a file says a layer has, and whether it has a bias; if it says anything.
    let tryRead (file: StoredFile) (layer: string) : struct (int64 * int64 * int64 * bool) voption =
        match file.Metadata.TryGetValue(key layer) with
        | true, text ->
            let found = form.Match text

            if not found.Success then
                let expected =
                    "expected SparseLinear(in_features=.., out_features=.., nnz=.., bias=..)"

                file.Refuse(CheckpointProblem.Value, key layer, $"{expected}, got '{text}'")

            let number (group: int) = Int64.Parse found.Groups[group].Value
            ValueSome(struct (number 2, number 1, number 3, found.Groups[4].Value = "True"))
        | _ -> ValueNone
