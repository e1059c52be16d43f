namespace SparseFs.Torch

open System
open SparseFs
open TorchSharp

/// <summary>Sparse layers of a model become torch's dense ones, as Sparsify.densify says it.</summary>
module internal DenseRestoration =

    /// <summary>Replaces all that can be.</summary>
    let restoreIn (model: torch.nn.Module) : SparsifyReport =
        let found = model |> ModuleTree.find (fun m -> m :? SparseLayer) |> Array.ofList

        // A model without sparse layers is dense already; one that has them where nobody finds them is not.
        if found.Length = 0 then
            match Registration.advice (fun m -> m :? SparseLayer) model with
            | "" -> ()
            | advice ->
                raise (ArgumentException($"expected a model that has registered its layers: {advice}", nameof model))

        let refusals =
            found
            |> Array.map (fun held ->
                let layer = held.Module :?> SparseLayer

                match ModuleTree.whyNot (DenseLayer.typeOfDense layer) held with
                | "" -> DenseLayer.whyNotDense layer
                | why -> why)

        let candidates =
            Array.zip found refusals
            |> Array.filter (fun (_, why) -> why = "")
            |> Array.map fst

        candidates
        |> DenseReplacement.making (fun held -> DenseLayer.ofSparse (held.Module :?> SparseLayer)) (fun made ->
            ModuleTree.replace
                [ for held, layer in Array.zip candidates made do
                      held, layer :> torch.nn.Module ])

        SparsifyReport(
            Array.map2
                (fun held why ->
                    DenseReplacement.rowOf held (int64 (held.Module :?> SparseLayer).Connectivity.Nnz) why ValueNone)
                found
                refusals,
            true
        )
