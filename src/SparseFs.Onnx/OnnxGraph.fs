namespace SparseFs

open System
open SparseFs.OnnxMessages
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules

/// <summary>Translates modules into ONNX's operators, version 20: ONNX, "Operators", ai.onnx.</summary>
module internal OnnxGraph =

    let private kinds =
        "Sequential, Linear, SparseLinear, convolutions and their sparse twins, batch and layer norms, MaxPool1d, 2d and 3d, AvgPool2d without a divisor of its own and without ceil_mode, AdaptiveAvgPool, "
        + "ReLU, GELU, Sigmoid, Tanh, Softmax, LogSoftmax, Flatten, Unflatten, Dropout and Identity"

    let private refuse (message: string) : exn = OnnxBuilder.Refusal message

    /// A module under a name, in the order in which they are run; Sequential opened, Dropout and Identity left out.
    let rec private steps (name: string) (m: torch.nn.Module) : (string * torch.nn.Module) list =
        match m with
        | :? Sequential as sequential ->
            // Every Sequential has one, its own or that of a class derived from it.
            let forward = nonNull (m.GetType().GetMethod("forward", [| typeof<torch.Tensor> |]))

            if forward.DeclaringType <> typeof<Sequential> then
                raise (refuse $"'{name}' is a {m.GetType().Name} with a forward of its own; {kinds} can be exported")

            [ for struct (child, inner) in sequential.named_children () do
                  yield! steps (if name = "" then child else $"{name}.{child}") inner ]
        | :? Dropout
        | :? Identity -> []
        | _ -> [ name, m ]

    /// The features that the first layer takes: the input's shape where nothing else is said.
    let private firstShape (steps: (string * torch.nn.Module) list) : int64[] =
        steps
        |> List.tryPick (fun (_, m) ->
            match m with
            | :? Linear as linear -> Some [| linear.in_features |]
            | :? SparseLinear as sparse -> Some [| sparse.in_features |]
            | :? Unflatten as unflatten when unflatten.dim = 1L ->
                Some [| Array.fold (*) 1L unflatten.unflattened_size |]
            | :? LayerNorm as norm -> Some(Array.copy norm.normalized_shape)
            | _ -> None)
        |> function
            | Some shape -> shape
            | None ->
                let example =
                    "InputShape = [| 3; 32; 32 |] for images of 3 channels (C#: inputShape)"

                raise (ArgumentException($"expected the input's shape, as no layer says it: {example}", "inputShape"))

    /// x · W + b, with W [in, out].
    let private linear (b: OnnxBuilder) (name: string) (outputs: int64) (weight: string) (bias: torch.Tensor | null) =
        b.Add(name, "MatMul", [ b.Current; weight ], [])

        match bias with
        | null -> ()
        | bias ->
            let bias = b.Constant($"{b.Label name}.bias", name, [| outputs |], bias)
            b.Add(name, "Add", [ b.Current; bias ], [])

        b.Shape <- Array.append (Array.take (b.Shape.Length - 1) b.Shape) [| outputs |]

    let private denseWeight (b: OnnxBuilder) (name: string) (t: torch.Tensor) : string =
        use _ = torch.NewDisposeScope()
        let turned = t.detach().t().contiguous()
        b.Constant($"{b.Label name}.weight", name, turned.shape, turned)

    let private sparseWeight (b: OnnxBuilder) (name: string) (version: LayerVersion) : string =
        use _ = torch.NewDisposeScope()
        let turned, from = Connectivity.transpose version.Connectivity

        let values =
            version.Numbers.Values.cpu().index_select(0L, torch.tensor (Array.map int64 from, device = torch.CPU))

        b.SparseConstant($"{b.Label name}.weight", name, [| int64 turned.Rows; int64 turned.Cols |], turned, values)

    let private axis (b: OnnxBuilder) (name: string) (dim: int64) =
        let rank = int64 b.Shape.Length + 1L

        if dim < -rank || dim >= rank then
            raise (refuse $"expected a dimension of {OnnxBuilder.Shown b.Shape} in '{b.Label name}', got {dim}")

        [ OnnxMessage.integer "axis" dim ]

    let private layerNorm (b: OnnxBuilder) (name: string) (norm: LayerNorm) : unit =
        b.CheckLast(name, norm.normalized_shape)

        let scale =
            match TorchNulls.scaleOf norm with
            | null ->
                use ones =
                    torch.ones (norm.normalized_shape, dtype = b.UsualType, device = torch.CPU)

                b.Constant($"{b.Label name}.weight", name, norm.normalized_shape, ones)
            | weight -> b.Constant($"{b.Label name}.weight", name, norm.normalized_shape, weight)

        let bias =
            match norm.bias with
            | null -> []
            | bias -> [ b.Constant($"{b.Label name}.bias", name, norm.normalized_shape, bias) ]

        b.Add(
            name,
            "LayerNormalization",
            [ b.Current; scale ] @ bias,
            [ OnnxMessage.integer "axis" (-norm.normalized_shape.LongLength)
              OnnxMessage.float "epsilon" (float32 norm.eps) ]
        )

    let private flatten (b: OnnxBuilder) (name: string) (flatten: Flatten) : unit =
        let last = int64 b.Shape.Length

        if flatten.start_dim <> 1L || (flatten.end_dim <> -1L && flatten.end_dim <> last) then
            raise (
                refuse
                    $"expected Flatten from 1 to -1 in '{b.Label name}', got {flatten.start_dim} to {flatten.end_dim}"
            )

        b.Add(name, "Flatten", [ b.Current ], [ OnnxMessage.integer "axis" 1L ])
        b.Shape <- [| Array.fold (*) 1L b.Shape |]

    /// One module.
    let private addModule (b: OnnxBuilder) (isSparse: bool) (name: string) (m: torch.nn.Module) : unit =
        let alone (op: string) (attributes: AttributeProto list) =
            b.Add(name, op, [ b.Current ], attributes)

        match m with
        | :? Linear as layer ->
            b.CheckLast(name, [| layer.in_features |])
            linear b name layer.out_features (denseWeight b name layer.weight) layer.bias
        | :? SparseLinear as layer ->
            b.CheckLast(name, [| layer.in_features |])

            layer.Versions.Read(fun version ->
                let weight =
                    if isSparse then
                        sparseWeight b name version
                    else
                        use matrix = SparseOps.toDense version.Connectivity version.Numbers.Values
                        denseWeight b name matrix

                linear b name layer.out_features weight version.Numbers.BiasValues)
        | :? LayerNorm as norm -> layerNorm b name norm
        | :? ReLU -> alone "Relu" []
        | :? Sigmoid -> alone "Sigmoid" []
        | :? Tanh -> alone "Tanh" []
        | :? GELU as gelu ->
            let approximate =
                if gelu.approximate = GELU.Approximate.tanh then
                    "tanh"
                else
                    "none"

            alone "Gelu" [ OnnxMessage.text "approximate" approximate ]
        | :? Softmax as softmax -> alone "Softmax" (axis b name softmax.dim)
        | :? LogSoftmax as softmax -> alone "LogSoftmax" (axis b name softmax.dim)
        | :? Flatten as layer -> flatten b name layer
        | other when OnnxImages.tryAdd b isSparse name other -> ()
        | other -> raise (refuse $"'{b.Label name}' is a {other.GetType().Name}; {kinds} can be exported")

    /// <summary>The graph of a model.</summary>
    /// <param name="isSparse">Whether weights of sparse layers are sparse constants.</param>
    /// <param name="inputShape">Without the batch; empty for what the first layer takes.</param>
    /// <param name="model">Run as in evaluation.</param>
    let ofModel (isSparse: bool) (inputShape: int64[]) (model: torch.nn.Module) : GraphProto =
        let steps = steps "" model

        let inputShape =
            if inputShape.Length > 0 then
                inputShape
            else
                firstShape steps

        let usualType =
            model.parameters ()
            |> Seq.tryHead
            |> Option.map _.dtype
            |> Option.defaultValue torch.ScalarType.Float32

        let b = OnnxBuilder(usualType, inputShape)

        for name, m in steps do
            addModule b isSparse name m

        b.Finish()
