namespace SparseFs

open TorchSharp

/// Finding the sparse layers of a model.
module internal SparseLayers =

    /// The sparse layers of a module, itself among them, by their place; one that is held twice comes twice.
    let places (model: torch.nn.Module) : struct (string * SparseLinear) list =
        [ match model with
          | :? SparseLinear as layer -> struct ("", layer)
          | _ ->
              for struct (name, child) in model.named_modules () do
                  match child with
                  | :? SparseLinear as layer -> struct (name, layer)
                  | _ -> () ]

    /// Each once.
    let ofModel (model: torch.nn.Module) : struct (string * SparseLinear) list =
        if isNull (box model) then
            nullArg (nameof model)

        places model |> List.distinctBy (fun (struct (_, layer)) -> layer)
