namespace SparseFs.Torch

open System
open SparseFs

/// <summary>How a layer's tensors are called in a model's state.</summary>
[<RequireQualifiedAccess>]
type internal StateName =
    /// As those of any module: path.weight.
    | Nested
    /// As tensors of the module that holds it, with something before and behind the name: path of the holder.weight_ih_l0.
    | InHolder of before: string * after: string

[<RequireQualifiedAccess>]
module internal StateName =

    /// Tensors of a sparse layer, whose names other forms of it go on from: weight_orig.
    let private tensors =
        [ "weights"
          "weight"
          "bias"
          "row_ptr"
          "col_idx"
          "mask"
          "values"
          "indices" ]

    /// The name of one of the layer's tensors in its holder's state.
    let inHolder (before: string) (after: string) (tensor: string) : string =
        match
            tensors
            |> List.tryFind (fun name -> tensor.StartsWith(name, StringComparison.Ordinal))
        with
        | Some name -> $"{before}{name}{after}{tensor.Substring name.Length}"
        | None -> $"{before}{tensor}{after}"

    /// <summary>The name of one of a layer's tensors in the state of a model.</summary>
    /// <param name="name">How the layer's are called.</param>
    /// <param name="place">The layer's path in the model; empty for the model itself.</param>
    /// <param name="tensor">weight, bias, row_ptr, or another form's: weight_orig.</param>
    let key (name: StateName) (place: string) (tensor: string) : string =
        match name with
        | StateName.Nested -> if place = "" then tensor else $"{place}.{tensor}"
        | StateName.InHolder(before, after) ->
            let holder = place.Substring(0, place.LastIndexOf '.' + 1)
            holder + inHolder before after tensor
