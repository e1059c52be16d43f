namespace SparseFs.Torch

open System
open System.Collections.Generic
open System.Runtime.InteropServices
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>A value of a node's attribute.</summary>
[<RequireQualifiedAccess>]
type internal OnnxAttribute =
    | Integer of int64
    | Float of float32
    | Text of string

type internal OnnxNode =
    { Op: string
      Name: string
      Inputs: string list
      Output: string
      Attributes: (string * OnnxAttribute) list }

/// <summary>A constant of the graph: all its numbers, or those at sorted cells only.</summary>
type internal OnnxConstant =
    {
        Name: string
        Shape: int64[]
        DataType: int
        /// Little-endian numbers.
        Data: byte[]
        /// Row-major cells, rising, one a number; none where Data holds all.
        Cells: int64[] voption
    }

type internal OnnxGraph =
    {
        Nodes: OnnxNode list
        Constants: OnnxConstant list
        DataType: int
        /// Without the batch.
        InputShape: int64[]
        OutputShape: int64[]
    }

/// <summary>Translates modules into ONNX's operators, version 20: ONNX, "Operators", ai.onnx.</summary>
module internal OnnxGraph =

    let private kinds =
        "Sequential, Linear, SparseLinear, LayerNorm, ReLU, GELU, Sigmoid, Tanh, Softmax, LogSoftmax, Flatten, Dropout and Identity"

    let private refuse (message: string) : exn = ArgumentException(message, "model")

    let private isNone (t: torch.Tensor) = isNull (box t)

    /// ONNX's numbers for element types.
    let private dataType (name: string) (dtype: torch.ScalarType) : int =
        match dtype with
        | torch.ScalarType.Float32 -> 1
        | torch.ScalarType.Float64 -> 11
        | other -> raise (refuse $"expected Float32 or Float64, got {other} in '{name}'")

    let private littleEndian (bytes: byte[]) (size: int) : byte[] =
        if not BitConverter.IsLittleEndian then
            for i in 0..size .. bytes.Length - size do
                Array.Reverse(bytes, i, size)

        bytes

    let private bytesOf (t: torch.Tensor) : byte[] =
        match t.dtype with
        | torch.ScalarType.Float64 ->
            littleEndian (MemoryMarshal.AsBytes((Elements.copy<float> t.dtype t).AsSpan()).ToArray()) 8
        | _ -> littleEndian (MemoryMarshal.AsBytes((Elements.copy<float32> t.dtype t).AsSpan()).ToArray()) 4

    /// A module under a name, in the order in which they are run; Sequential opened, Dropout and Identity left out.
    let rec private steps (name: string) (m: torch.nn.Module) : (string * torch.nn.Module) list =
        match m with
        | :? Sequential as sequential ->
            let forward = m.GetType().GetMethod("forward", [| typeof<torch.Tensor> |])

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
            | :? LayerNorm as norm -> Some(Array.copy norm.normalized_shape)
            | _ -> None)
        |> function
            | Some shape -> shape
            | None -> raise (ArgumentException("expected the input's shape, as no layer says it", "inputShape"))

    let private shown (shape: int64[]) = "[N, " + String.Join(", ", shape) + "]"

    /// <summary>The graph of a model.</summary>
    /// <param name="isSparse">Whether weights of sparse layers are sparse constants.</param>
    /// <param name="inputShape">Without the batch; empty for what the first layer takes.</param>
    /// <param name="model">Run as in evaluation.</param>
    let ofModel (isSparse: bool) (inputShape: int64[]) (model: torch.nn.Module) : OnnxGraph =
        let steps = steps "" model

        let inputShape =
            if inputShape.Length > 0 then
                inputShape
            else
                firstShape steps

        let nodes, constants = ResizeArray<OnnxNode>(), ResizeArray<OnnxConstant>()
        let shape = ref inputShape // without the batch
        let current = ref "input"
        let graphType = ref ValueNone

        /// Of constants that no module has.
        let usualType =
            model.parameters ()
            |> Seq.tryHead
            |> Option.map _.dtype
            |> Option.defaultValue torch.ScalarType.Float32

        let label (name: string) = if name = "" then "model" else name

        let setType (name: string) (dtype: torch.ScalarType) =
            let found = dataType (label name) dtype

            match graphType.Value with
            | ValueSome earlier when earlier <> found ->
                raise (refuse $"expected one dtype in the whole model, got another, {dtype}, in '{label name}'")
            | _ -> graphType.Value <- ValueSome found

            found

        // TorchSharp's Sequential may give two layers one name, and ONNX may not.
        let taken = HashSet<string>()

        let takeName (name: string) (layer: string) =
            if not (taken.Add name) then
                raise (refuse $"expected one layer of the name '{label layer}', got two")

        let bytes = ref 0L

        /// Before the numbers are copied: what no file can hold need not fit the memory.
        let claim (count: int64) (size: int64) =
            bytes.Value <- bytes.Value + count * size

            if bytes.Value > int64 Int32.MaxValue then
                raise (refuse $"expected at most {Int32.MaxValue} bytes, which is protobuf's limit, got more")

        let constant (name: string) (layer: string) (shape: int64[]) (t: torch.Tensor) : string =
            takeName name layer
            claim (t.numel ()) (t.element_size ())

            constants.Add
                { Name = name
                  Shape = shape
                  DataType = setType layer t.dtype
                  Data = bytesOf t
                  Cells = ValueNone }

            name

        let add (name: string) (op: string) (inputs: string list) (attributes: (string * OnnxAttribute) list) =
            let output = $"{label name}.{op}"
            takeName output name

            nodes.Add
                { Op = op
                  Name = output
                  Inputs = inputs
                  Output = output
                  Attributes = attributes }

            current.Value <- output

        let checkLast (name: string) (expected: int64[]) =
            let last = Array.skip (max 0 (shape.Value.Length - expected.Length)) shape.Value

            if last <> expected then
                let wanted = String.Join(", ", expected)
                raise (refuse $"expected an input [*, {wanted}] of '{label name}', got {shown shape.Value}")

        /// x · W + b, with W [in, out].
        let linear (name: string) (outputs: int64) (weight: string) (bias: torch.Tensor) =
            add name "MatMul" [ current.Value; weight ] []

            if not (isNone bias) then
                let bias = constant $"{label name}.bias" name [| outputs |] bias
                add name "Add" [ current.Value; bias ] []

            shape.Value <- Array.append (Array.take (shape.Value.Length - 1) shape.Value) [| outputs |]

        let denseWeight (name: string) (t: torch.Tensor) =
            use _ = torch.NewDisposeScope()
            let turned = t.detach().t().contiguous()
            constant $"{label name}.weight" name turned.shape turned

        let sparseWeight (name: string) (version: LayerVersion) =
            use _ = torch.NewDisposeScope()
            let c = version.Connectivity
            claim (int64 c.Nnz) (version.Numbers.Values.element_size () + 8L)
            let turned, from = Connectivity.transpose c
            let rowIdx = Connectivity.rowIndices turned

            let values =
                version.Numbers.Values.cpu().index_select(0L, torch.tensor (Array.map int64 from, device = torch.CPU))

            takeName $"{label name}.weight" name

            constants.Add
                { Name = $"{label name}.weight"
                  Shape = [| int64 c.Cols; int64 c.Rows |]
                  DataType = setType name values.dtype
                  Data = bytesOf values
                  Cells =
                    ValueSome(
                        Array.init c.Nnz (fun slot ->
                            int64 rowIdx[slot] * int64 c.Rows + int64 turned.ColIdxArray[slot])
                    ) }

            $"{label name}.weight"

        let axis (name: string) (dim: int64) =
            let rank = int64 shape.Value.Length + 1L

            if dim < -rank || dim >= rank then
                raise (refuse $"expected a dimension of {shown shape.Value} in '{label name}', got {dim}")

            [ "axis", OnnxAttribute.Integer dim ]

        for name, m in steps do
            match m with
            | :? Linear as layer ->
                checkLast name [| layer.in_features |]
                linear name layer.out_features (denseWeight name layer.weight) layer.bias
            | :? SparseLinear as layer ->
                checkLast name [| layer.in_features |]

                layer.Versions.Read(fun version ->
                    let weight =
                        if isSparse then
                            sparseWeight name version
                        else
                            use matrix = SparseOps.toDense version.Connectivity version.Numbers.Values
                            denseWeight name matrix

                    linear name layer.out_features weight version.Numbers.BiasValues)
            | :? LayerNorm as norm ->
                checkLast name norm.normalized_shape

                let scale =
                    if isNone norm.weight then
                        use ones = torch.ones (norm.normalized_shape, dtype = usualType, device = torch.CPU)
                        constant $"{label name}.weight" name norm.normalized_shape ones
                    else
                        constant $"{label name}.weight" name norm.normalized_shape norm.weight

                let bias =
                    if isNone norm.bias then
                        []
                    else
                        [ constant $"{label name}.bias" name norm.normalized_shape norm.bias ]

                add
                    name
                    "LayerNormalization"
                    ([ current.Value; scale ] @ bias)
                    [ "axis", OnnxAttribute.Integer(-norm.normalized_shape.LongLength)
                      "epsilon", OnnxAttribute.Float(float32 norm.eps) ]
            | :? ReLU -> add name "Relu" [ current.Value ] []
            | :? Sigmoid -> add name "Sigmoid" [ current.Value ] []
            | :? Tanh -> add name "Tanh" [ current.Value ] []
            | :? GELU as gelu ->
                let approximate =
                    if gelu.approximate = GELU.Approximate.tanh then
                        "tanh"
                    else
                        "none"

                add name "Gelu" [ current.Value ] [ "approximate", OnnxAttribute.Text approximate ]
            | :? Softmax as softmax -> add name "Softmax" [ current.Value ] (axis name softmax.dim)
            | :? LogSoftmax as softmax -> add name "LogSoftmax" [ current.Value ] (axis name softmax.dim)
            | :? Flatten as flatten ->
                let last = int64 shape.Value.Length

                if flatten.start_dim <> 1L || (flatten.end_dim <> -1L && flatten.end_dim <> last) then
                    raise (
                        refuse
                            $"expected Flatten from 1 to -1 in '{label name}', got {flatten.start_dim} to {flatten.end_dim}"
                    )

                add name "Flatten" [ current.Value ] [ "axis", OnnxAttribute.Integer 1L ]
                shape.Value <- [| Array.fold (*) 1L shape.Value |]
            | other -> raise (refuse $"'{label name}' is a {other.GetType().Name}; {kinds} can be exported")

        if nodes.Count = 0 then
            add "" "Identity" [ current.Value ] []

        let last = nodes.Count - 1
        nodes[last] <- { nodes[last] with Output = "output" }

        { Nodes = List.ofSeq nodes
          Constants = List.ofSeq constants
          DataType = ValueOption.defaultValue 1 graphType.Value
          InputShape = inputShape
          OutputShape = shape.Value }
