namespace SparseFs.Torch

open TorchSharp

/// <summary>Derivatives of a node of the graph that is computed once more, by operations that have derivatives of any order.</summary>
[<RequireQualifiedAccess>]
module internal Recomputed =

    /// Whether there is a tensor, and it wants a gradient.
    let wants (t: torch.Tensor | null) : bool =
        match t with
        | null -> false
        | t -> t.requires_grad

    /// The gradients of outputs for tensors, each a function with a derivative of its own; null for what wants none, or has no part in an output
    /// with an upstream gradient.
    let gradients
        (outputs: (torch.Tensor | null) list)
        (upstream: (torch.Tensor | null) list)
        (tensors: (torch.Tensor | null) list)
        : (torch.Tensor | null) list =
        let outputs, upstream =
            List.zip outputs upstream
            |> List.choose (fun (output, gradient) ->
                match output, gradient with
                | null, _
                | _, null -> None
                | output, gradient -> Some(output, gradient))
            |> List.unzip

        let asked =
            tensors
            |> List.choose (fun t ->
                match t with
                | null -> None
                | t when t.requires_grad -> Some t
                | _ -> None)

        let found =
            torch.autograd.grad (
                ResizeArray outputs,
                ResizeArray asked,
                ResizeArray upstream,
                retain_graph = true,
                create_graph = true,
                allow_unused = true
            )

        let mutable next = 0

        [ for t in tensors do
              if wants t then
                  let gradient = found[next]
                  next <- next + 1
                  if gradient.IsInvalid then null else gradient
              else
                  null ]
