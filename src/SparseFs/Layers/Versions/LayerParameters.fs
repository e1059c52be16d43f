namespace SparseFs.Torch

open System
open TorchSharp
open TorchSharp.Modules

/// <summary>A layer's weight and bias, of which others may exchange the storage.</summary>
[<Sealed>]
type internal LayerParameters(weight: Parameter, bias: Parameter | null) =
    let mutable weight = weight
    let mutable bias = bias

    let setStorage (p: Parameter | null) (values: torch.Tensor | null) =
        match p, values with
        | null, _
        | _, null -> ()
        | p, values ->
            use _ = torch.no_grad ()
            p.set_ values |> ignore

    member _.Weight: Parameter = weight

    /// Or null.
    member _.Bias: Parameter | null = bias

    /// What calls read from now on.
    member _.Numbers() : LayerNumbers = LayerNumbers(weight, bias)

    /// The storage of these becomes the parameters'; a bias of null changes nothing.
    member _.SetStorage(values: torch.Tensor, biasValues: torch.Tensor | null) : unit =
        setStorage weight values
        setStorage bias biasValues

    /// Other parameters take their place.
    member _.Replace(replace: Parameter -> (Parameter | null) -> struct (Parameter * (Parameter | null))) : unit =
        let struct (newWeight, newBias) = replace weight bias
        weight <- newWeight
        bias <- newBias

    /// Numbers that were saved come back into the storage.
    member _.CopyBack(savedWeight: torch.Tensor, savedBias: torch.Tensor | null) : unit =
        use _ = torch.no_grad ()
        weight.copy_ savedWeight |> ignore

        match bias, savedBias with
        | null, _
        | _, null -> ()
        | bias, saved -> bias.copy_ saved |> ignore

    /// <exception cref="T:System.ArgumentException">The weight has another length.</exception>
    member _.CheckLength(nnz: int) : unit =
        let found = weight.shape

        if found <> [| int64 nnz |] then
            let got = String.Join(", ", found)
            raise (ArgumentException($"expected shape [{nnz}], got [{got}]", nameof weight))
