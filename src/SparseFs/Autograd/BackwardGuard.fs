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

    /// What libtorch gives in place of a gradient that there is none of.
    let private orNull (upstream: torch.Tensor | null) : torch.Tensor | null =
        match upstream with
        | null -> null
        | upstream when upstream.IsInvalid -> null
        | upstream -> upstream

    /// Body gets the upstream gradients of several outputs, null for what has none, and returns one gradient an argument, null for what has
    /// none.
    let runAll
        (upstream: (torch.Tensor | null)[])
        (arguments: int)
        (body: (torch.Tensor | null)[] -> (torch.Tensor | null) list)
        : List<torch.Tensor> =
        use _ = torch.NewDisposeScope()
        let upstream = Array.map orNull upstream

        if Array.forall isNull upstream then
            TorchNulls.listOf (Array.zeroCreate arguments)
        else
            let gradients =
                try
                    body upstream
                with e ->
                    refused arguments e

            let held = DeferredDispose.Hold(TorchNulls.listOf gradients)

            for t in upstream do
                match t with
                | null -> ()
                | t -> t.Dispose()

            held

    /// As runAll, of one output.
    let run
        (upstream: torch.Tensor | null)
        (arguments: int)
        (body: torch.Tensor -> (torch.Tensor | null) list)
        : List<torch.Tensor> =
        runAll [| upstream |] arguments (fun upstream ->
            match upstream[0] with
            | null -> []
            | upstream -> body upstream)
