namespace SparseFs.Torch

open System
open System.Diagnostics
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>Measures a dense and a sparse layer beside each other, as SparseProp does before it replaces one: Nikdan et
/// al., ICML 2023, section 4.</summary>
module internal LayerTiming =

    let private rounds = 9

    /// One step: forward, and backward to the weights and to the input, which a layer within a network has to do.
    let private step (layer: torch.nn.Module<torch.Tensor, torch.Tensor>) (x: torch.Tensor) : unit =
        use _ = torch.NewDisposeScope()
        layer.call(x).sum().backward()

        // A GPU has only been told so far what to do.
        if x.device_type = DeviceType.CUDA then
            torch.cuda.synchronize ()

    let private milliseconds (work: unit -> unit) : float =
        let start = Stopwatch.GetTimestamp()
        work ()
        Stopwatch.GetElapsedTime(start).TotalMilliseconds

    let private median (times: float[]) = (Array.sort times)[times.Length / 2]

    /// <summary>Median milliseconds of forward and backward: of the dense layer and of the sparse one.</summary>
    /// <remarks>It measures copies, so that neither layer gets gradients, in turn, so that a busy machine slows both
    /// alike. The numbers that are multiplied do not matter: ones.</remarks>
    let measure (batch: int) (dense: Linear) (sparse: SparseLinear) : struct (float * float) =
        use _ = torch.NewDisposeScope()
        use _ = torch.enable_grad true

        let copied (p: torch.Tensor) : Parameter = new Parameter(p.detach().clone(), true)

        let copiedBias: Parameter | null =
            match dense.bias with
            | null -> null
            | bias -> copied bias

        let sparseBias: torch.Tensor | null =
            match sparse.bias with
            | null -> null
            | bias -> bias.detach ()

        use denseCopy = torch.nn.Linear(copied dense.weight, copiedBias)

        use sparseCopy =
            Conversion.ofValues sparse.Connectivity (sparse.weight.detach ()) sparseBias

        let ones () =
            torch.ones (
                [| int64 batch; dense.in_features |],
                dtype = dense.weight.dtype,
                device = dense.weight.device,
                requires_grad = true
            )

        let xOfDense, xOfSparse = ones (), ones ()
        let ofDense () = step denseCopy xOfDense
        let ofSparse () = step sparseCopy xOfSparse

        for _ in 1..2 do
            ofDense ()
            ofSparse ()

        let times =
            Array.init rounds (fun _ -> struct (milliseconds ofDense, milliseconds ofSparse))

        struct (times |> Array.map (fun (struct (d, _)) -> d) |> median,
                times |> Array.map (fun (struct (_, s)) -> s) |> median)
