namespace SparseFs

open System
open System.Buffers.Binary
open System.Collections.Generic
open System.Runtime.InteropServices
open SparseFs.OnnxMessages
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules

/// <summary>Translates modules into ONNX's operators, version 20: ONNX, "Operators", ai.onnx.</summary>
module internal OnnxGraph =

    let private kinds =
        "Sequential, Linear, SparseLinear, LayerNorm, ReLU, GELU, Sigmoid, Tanh, Softmax, LogSoftmax, Flatten, Dropout and Identity"

    let private refuse (message: string) : exn = ArgumentException(message, "model")

    let private elementsOf (name: string) (dtype: torch.ScalarType) : ElementType =
        match dtype with
        | torch.ScalarType.Float32 -> ElementType.Float
        | torch.ScalarType.Float64 -> ElementType.Double
        | other -> raise (refuse $"expected Float32 or Float64, got {other} in '{name}'")

    /// Numbers of 4 or 8 bytes, in place.
    let private toLittleEndian (size: int) (bytes: byte[]) : unit =
        if not BitConverter.IsLittleEndian then
            if size = 8 then
                let words = MemoryMarshal.Cast<byte, int64>(bytes.AsSpan())
                BinaryPrimitives.ReverseEndianness(words, words)
            else
                let words = MemoryMarshal.Cast<byte, int>(bytes.AsSpan())
                BinaryPrimitives.ReverseEndianness(words, words)

    /// The one copy that is made of a tensor's numbers: the message keeps it, and training may go on.
    let private bytesOf (t: torch.Tensor) : byte[] =
        use _ = torch.NewDisposeScope()
        // Flat, because TorchSharp cannot read a tensor [3, 0].
        let flat = t.detach().cpu().contiguous().flatten()
        let bytes = if flat.numel () = 0L then [||] else flat.bytes.ToArray()
        toLittleEndian (int (flat.element_size ())) bytes
        bytes

    /// Row-major cells of a pattern, in slot order.
    let private cellsOf (c: Connectivity) : byte[] =
        let bytes: byte[] = Array.zeroCreate (c.Nnz * sizeof<int64>)
        let cells = MemoryMarshal.Cast<byte, int64>(bytes.AsSpan())
        let rowPtr = c.RowPtr
        let colIdx = c.ColIdx

        for row in 0 .. c.Rows - 1 do
            for slot in rowPtr[row] .. rowPtr[row + 1] - 1 do
                cells[slot] <- int64 row * int64 c.Cols + int64 colIdx[slot]

        toLittleEndian sizeof<int64> bytes
        bytes

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
            | :? LayerNorm as norm -> Some(Array.copy norm.normalized_shape)
            | _ -> None)
        |> function
            | Some shape -> shape
            | None -> raise (ArgumentException("expected the input's shape, as no layer says it", "inputShape"))

    let private shown (shape: int64[]) = $"[N, {Shape.sizes shape}]"

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

        let graph = GraphProto(Name = "model")
        let shape = ref inputShape // without the batch
        let current = ref "input"
        let graphElements = ref ValueNone

        /// Of constants that no module has.
        let usualType =
            model.parameters ()
            |> Seq.tryHead
            |> Option.map _.dtype
            |> Option.defaultValue torch.ScalarType.Float32

        let label (name: string) = if name = "" then "model" else name

        let setElements (name: string) (dtype: torch.ScalarType) =
            let found = elementsOf (label name) dtype

            match graphElements.Value with
            | ValueSome earlier when earlier <> found ->
                raise (refuse $"expected one dtype in the whole model, got another, {dtype}, in '{label name}'")
            | _ -> graphElements.Value <- ValueSome found

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
            let elements = setElements layer t.dtype
            graph.Initializer.Add(OnnxMessage.tensor name shape elements (bytesOf t))
            name

        let add (name: string) (op: string) (inputs: string list) (attributes: AttributeProto list) =
            let output = $"{label name}.{op}"
            takeName output name
            graph.Node.Add(OnnxMessage.node output op inputs attributes)
            current.Value <- output

        let checkLast (name: string) (expected: int64[]) =
            let last = Array.skip (max 0 (shape.Value.Length - expected.Length)) shape.Value

            if last <> expected then
                raise (
                    refuse $"expected an input [*, {Shape.sizes expected}] of '{label name}', got {shown shape.Value}"
                )

        /// x · W + b, with W [in, out].
        let linear (name: string) (outputs: int64) (weight: string) (bias: torch.Tensor | null) =
            add name "MatMul" [ current.Value; weight ] []

            match bias with
            | null -> ()
            | bias ->
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

            let values =
                version.Numbers.Values.cpu().index_select(0L, torch.tensor (Array.map int64 from, device = torch.CPU))

            let weight = $"{label name}.weight"
            takeName weight name
            let elements = setElements name values.dtype

            graph.SparseInitializer.Add(
                OnnxMessage.sparseTensor
                    weight
                    [| int64 turned.Rows; int64 turned.Cols |]
                    elements
                    (cellsOf turned)
                    (bytesOf values)
            )

            weight

        let axis (name: string) (dim: int64) =
            let rank = int64 shape.Value.Length + 1L

            if dim < -rank || dim >= rank then
                raise (refuse $"expected a dimension of {shown shape.Value} in '{label name}', got {dim}")

            [ OnnxMessage.integer "axis" dim ]

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
                    match TorchNulls.scaleOf norm with
                    | null ->
                        use ones = torch.ones (norm.normalized_shape, dtype = usualType, device = torch.CPU)
                        constant $"{label name}.weight" name norm.normalized_shape ones
                    | weight -> constant $"{label name}.weight" name norm.normalized_shape weight

                let bias =
                    match norm.bias with
                    | null -> []
                    | bias -> [ constant $"{label name}.bias" name norm.normalized_shape bias ]

                add
                    name
                    "LayerNormalization"
                    ([ current.Value; scale ] @ bias)
                    [ OnnxMessage.integer "axis" (-norm.normalized_shape.LongLength)
                      OnnxMessage.float "epsilon" (float32 norm.eps) ]
            | :? ReLU -> add name "Relu" [ current.Value ] []
            | :? Sigmoid -> add name "Sigmoid" [ current.Value ] []
            | :? Tanh -> add name "Tanh" [ current.Value ] []
            | :? GELU as gelu ->
                let approximate =
                    if gelu.approximate = GELU.Approximate.tanh then
                        "tanh"
                    else
                        "none"

                add name "Gelu" [ current.Value ] [ OnnxMessage.text "approximate" approximate ]
            | :? Softmax as softmax -> add name "Softmax" [ current.Value ] (axis name softmax.dim)
            | :? LogSoftmax as softmax -> add name "LogSoftmax" [ current.Value ] (axis name softmax.dim)
            | :? Flatten as flatten ->
                let last = int64 shape.Value.Length

                if flatten.start_dim <> 1L || (flatten.end_dim <> -1L && flatten.end_dim <> last) then
                    raise (
                        refuse
                            $"expected Flatten from 1 to -1 in '{label name}', got {flatten.start_dim} to {flatten.end_dim}"
                    )

                add name "Flatten" [ current.Value ] [ OnnxMessage.integer "axis" 1L ]
                shape.Value <- [| Array.fold (*) 1L shape.Value |]
            | other -> raise (refuse $"'{label name}' is a {other.GetType().Name}; {kinds} can be exported")

        if graph.Node.Count = 0 then
            add "" "Identity" [ current.Value ] []

        graph.Node[graph.Node.Count - 1].Output[ 0 ] <- "output"
        let elements = ValueOption.defaultValue ElementType.Float graphElements.Value
        graph.Input.Add(OnnxMessage.batch "input" inputShape elements)
        graph.Output.Add(OnnxMessage.batch "output" shape.Value elements)
        graph
