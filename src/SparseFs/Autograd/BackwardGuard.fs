namespace SparseFs.Torch

open System.Collections.Generic
open TorchSharp

/// What every backward has around it.
module internal BackwardGuard =

    /// <summary>Gradients that libtorch refuses, so that backward() ends in an error which the caller can catch.</summary>
    /// <remarks>An exception that left a backward would end the process. No shape expands to that of a scalar.</remarks>
    let private refused (arguments: int) (e: exn) : (torch.Tensor | null) list =
        BackwardFailure.Note e |> ignore

        [ null
          for _ in 2..arguments do
              torch.zeros [||] ]

    /// Body gets the upstream gradient and returns one gradient an argument, null for what has none.
    let run
        (upstream: torch.Tensor | null)
        (arguments: int)
        (body: torch.Tensor -> (torch.Tensor | null) list)
        : List<torch.Tensor> =
        use _ = torch.NewDisposeScope()

        match upstream with
        | null -> TorchNulls.listOf (Array.zeroCreate arguments)
        | upstream when upstream.IsInvalid -> TorchNulls.listOf (Array.zeroCreate arguments)
        | upstream ->
            let gradients =
                try
                    body upstream
                with e ->
                    refused arguments e

            let held = DeferredDispose.Hold(TorchNulls.listOf gradients)
            upstream.Dispose()
            held
