namespace SparseFs.Torch

open System
open System.Diagnostics
open SparseFs
open TorchSharp

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
    let measure (input: int64[]) (dense: DenseLayer) (sparse: SparseLayer) : struct (float * float) =
        use _ = torch.NewDisposeScope()
        use _ = torch.enable_grad true
        use denseCopy = DenseLayer.copy dense
        use sparseCopy = DenseLayer.sparse sparse.Connectivity dense

        for parameter in sparseCopy.parameters () do
            parameter.requires_grad_ true |> ignore

        let ones () =
            torch.ones (input, dtype = dense.Weight.dtype, device = dense.Weight.device, requires_grad = true)

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

    /// Shapes of the inputs that layers are measured with, where a rule asks for it.
    let inputs (rule: SparsifyRule) (model: torch.nn.Module) (layers: HeldModule[]) : int64[] voption[] =
        match rule.Input with
        | null ->
            let ofSamples (held: HeldModule) (samples: int) =
                DenseLayer.inputOf samples (DenseLayer.tryOf held.Module).Value

            layers
            |> Array.map (fun held -> rule.FasterAt |> ValueOption.map (ofSamples held))
        | input ->
            match model with
            | :? torch.nn.Module<torch.Tensor, torch.Tensor> as model ->
                let all = [ for struct (_, m) in ModuleTree.all model -> m ]
                let seen = SeenShapes.ofInputs model all input

                let notCalled (name: string) =
                    $"expected an input that reaches every layer, but '{name}' was not called: call it (layer.call, not layer.forward), or leave it out with Sparsify.only"

                layers
                |> Array.map (fun held ->
                    match seen.TryGetValue held.Module with
                    | true, shape -> ValueSome shape
                    | _ -> raise (ArgumentException(notCalled held.Name, nameof input)))
            | _ ->
                let got = Registration.typeName model

                raise (
                    ArgumentException($"expected a model that takes a tensor and gives one, got {got}", nameof model)
                )
