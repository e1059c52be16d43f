namespace SparseFs.Torch

open System
open SparseFs
open SparseFs.Kernels
open TorchSharp
open TorchSharp.Modules

/// <summary>What is added to a chain's outputs.</summary>
[<RequireQualifiedAccess; NoComparison; NoEquality>]
type internal Residual =
    | Nothing
    /// The chain's input.
    | Input
    | Of of torch.Tensor

/// <summary>Sparse layers one behind the other as one call.</summary>
[<NoComparison; NoEquality>]
type internal ChainLayers =
    {
        Layers: SparseLinear[]
        /// One fewer than the layers.
        Activations: ChainActivation[]
        /// What is dropped of each activation's values, in training.
        Between: float
        /// What is dropped of the outputs before the residual, in training.
        Behind: float
    }

[<RequireQualifiedAccess>]
module internal ChainLayers =

    /// Whether the kernels can take the normalization up: over the features alone, of float32 on the CPU. Padding has no variance.
    let private takesNorm (norm: LayerNorm) (features: int) : bool =
        let isOurs (p: torch.Tensor | null) =
            match p with
            | null -> true
            | p ->
                p.dtype = torch.ScalarType.Float32
                && p.device_type = DeviceType.CPU
                && p.numel () = int64 features

        norm.normalized_shape = [| int64 features |]
        && norm.eps > 0.0
        && isOurs (TorchNulls.scaleOf norm)
        && isOurs norm.bias

    /// <summary>The outputs [*, outputs] of x [*, inputs], through a normalization or none and the layers, + the residual.</summary>
    let run
        (chain: ChainLayers)
        (norm: LayerNorm | null)
        (residual: Residual)
        (isTraining: bool)
        (x: torch.Tensor)
        : torch.Tensor =
        if isNull (box x) then
            nullArg "x"

        let first, last = chain.Layers[0], chain.Layers[chain.Layers.Length - 1]

        let n =
            TensorView.checkSamples "x" x first.Name (int first.in_features) "in_features"

        let outputs = last.out_features

        /// Calls body with the operators and numbers of all layers in use.
        let rec enter
            (index: int)
            (operators: SparseOperator list)
            (numbers: LayerNumbers list)
            (body: SparseOperator[] -> LayerNumbers[] -> torch.Tensor)
            : torch.Tensor =
            if index = chain.Layers.Length then
                body (Array.ofList (List.rev operators)) (Array.ofList (List.rev numbers))
            else
                chain.Layers[index]
                    .Call(fun name op own ->
                        if index = 0 then
                            TensorView.checkPlace "x" x name "weight" own.Dtype own.Device

                        BackwardFailure.Raise own.Failure
                        enter (index + 1) (op :: operators) (own :: numbers) body)

        let shape = x.shape
        let outputShape = Array.append shape[.. shape.Length - 2] [| outputs |]

        let flat (t: torch.Tensor) (features: int64) =
            if t.dim () = 2L then t else t.reshape (int64 n, features)

        for layer in chain.Layers do
            if not (isNull layer.ShapesSeen) then
                layer.TellShapes shape[.. shape.Length - 2]

        let drops = isTraining && (chain.Between > 0.0 || chain.Behind > 0.0)

        enter 0 [] [] (fun operators numbers ->
            DeferredDispose.Release()
            BackwardFailure.Raise()
            use _ = torch.NewDisposeScope()

            let addsInput =
                match residual with
                | Residual.Input -> true
                | _ -> false

            let epsilon =
                match norm with
                | null -> ValueNone
                | norm -> ValueSome norm.eps

            let op = ChainOperator(operators, chain.Activations, epsilon, addsInput)

            let scale, shift =
                match norm with
                | null -> null, null
                | norm -> (TorchNulls.scaleOf norm: torch.Tensor | null), (norm.bias: torch.Tensor | null)

            let tensors =
                { Input = flat x first.in_features
                  Residual =
                    match residual with
                    | Residual.Nothing
                    | Residual.Input -> null
                    | Residual.Of t -> flat t outputs
                  Scale = scale
                  Shift = shift
                  Products =
                    numbers
                    |> Array.map (fun own ->
                        { Values = own.Leaf
                          Bias = own.BiasLeaf }) }

            let takesNorm =
                match norm with
                | null -> true
                | norm -> takesNorm norm (int first.in_features)

            let y =
                match op.Backend with
                | ValueSome backend when not drops && takesNorm && backend.Suits op.Call n ->
                    ChainFunction.Apply(op, backend, tensors)
                | _ ->
                    let dropped (part: float) (t: torch.Tensor) =
                        if isTraining && part > 0.0 then
                            Dropping.apply part t
                        else
                            t

                    ChainSteps.run op (dropped chain.Between) (dropped chain.Behind) tensors

            (if shape.Length = 2 then y else y.view outputShape).MoveToOuterDisposeScope())

    /// One layer.
    let ofLayer (layer: SparseLinear) : ChainLayers =
        { Layers = [| layer |]
          Activations = [||]
          Between = 0.0
          Behind = 0.0 }
