namespace SparseFs

open System
open System.Buffers.Binary
open System.Collections.Generic
open System.Runtime.InteropServices
open SparseFs.OnnxMessages
open SparseFs.Torch
open TorchSharp

/// <summary>Numbers as ONNX's constants hold them: little-endian bytes.</summary>
module internal OnnxBytes =

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
    let ofTensor (t: torch.Tensor) : byte[] =
        use _ = torch.NewDisposeScope()
        // Flat, because TorchSharp cannot read a tensor [3, 0].
        let flat = t.detach().cpu().contiguous().flatten()
        let bytes = if flat.numel () = 0L then [||] else flat.bytes.ToArray()
        toLittleEndian (int (flat.element_size ())) bytes
        bytes

    let ofIntegers (numbers: int64[]) : byte[] =
        let bytes = MemoryMarshal.AsBytes(ReadOnlySpan numbers).ToArray()
        toLittleEndian sizeof<int64> bytes
        bytes

    /// Row-major cells of a pattern, in slot order.
    let ofCells (c: Connectivity) : byte[] =
        let bytes: byte[] = Array.zeroCreate (c.Nnz * sizeof<int64>)
        let cells = MemoryMarshal.Cast<byte, int64>(bytes.AsSpan())
        let rowPtr = c.RowPtr
        let colIdx = c.ColIdx

        for row in 0 .. c.Rows - 1 do
            for slot in rowPtr[row] .. rowPtr[row + 1] - 1 do
                cells[slot] <- int64 row * int64 c.Cols + int64 colIdx[slot]

        toLittleEndian sizeof<int64> bytes
        bytes

/// <summary>A graph that grows by a module after the other: what comes out of the last one goes into the next.</summary>
/// <param name="usualType">Of constants that no module has.</param>
/// <param name="inputShape">Without the batch.</param>
[<Sealed>]
type internal OnnxBuilder(usualType: torch.ScalarType, inputShape: int64[]) =
    let graph = GraphProto(Name = "model")
    let mutable current = "input"
    let mutable elements: ElementType voption = ValueNone
    let mutable bytes = 0L

    // TorchSharp's Sequential may give two layers one name, and ONNX may not.
    let taken = HashSet<string>()

    let label (name: string) = if name = "" then "model" else name

    let takeName (name: string) (layer: string) =
        if not (taken.Add name) then
            raise (OnnxBuilder.Refusal $"expected one layer of the name '{label layer}', got two")

    let elementsOf (layer: string) (dtype: torch.ScalarType) : ElementType =
        let found =
            match dtype with
            | torch.ScalarType.Float32 -> ElementType.Float
            | torch.ScalarType.Float64 -> ElementType.Double
            | other -> raise (OnnxBuilder.Refusal $"expected Float32 or Float64, got {other} in '{label layer}'")

        match elements with
        | ValueSome earlier when earlier <> found ->
            raise (
                OnnxBuilder.Refusal $"expected one dtype in the whole model, got another, {dtype}, in '{label layer}'"
            )
        | _ -> elements <- ValueSome found

        found

    /// Before the numbers are copied: what no file can hold need not fit the memory.
    let claim (count: int64) (size: int64) =
        bytes <- bytes + count * size

        if bytes > int64 Int32.MaxValue then
            raise (OnnxBuilder.Refusal $"expected at most {Int32.MaxValue} bytes, which is protobuf's limit, got more")

    static member Refusal(message: string) : exn = ArgumentException(message, "model")

    static member Shown(shape: int64[]) = $"[N, {Shape.sizes shape}]"

    /// Of what comes out of the last module, without the batch.
    member val Shape: int64[] = inputShape with get, set

    member _.UsualType = usualType

    /// What comes out of the last module.
    member _.Current = current

    member _.Label(layer: string) : string = label layer

    member _.Constant(name: string, layer: string, shape: int64[], t: torch.Tensor) : string =
        takeName name layer
        claim (t.numel ()) (t.element_size ())
        graph.Initializer.Add(OnnxMessage.tensor name shape (elementsOf layer t.dtype) (OnnxBytes.ofTensor t))
        name

    /// A constant vector of whole numbers.
    member _.Integers(name: string, layer: string, numbers: int64[]) : string =
        takeName name layer
        claim numbers.LongLength 8L

        graph.Initializer.Add(
            OnnxMessage.tensor name [| numbers.LongLength |] ElementType.Int64 (OnnxBytes.ofIntegers numbers)
        )

        name

    /// A constant with zeros but at the cells of a pattern, whose values are given in slot order.
    member _.SparseConstant
        (name: string, layer: string, shape: int64[], c: Connectivity, values: torch.Tensor)
        : string =
        claim (int64 c.Nnz) (values.element_size () + 8L)
        takeName name layer

        graph.SparseInitializer.Add(
            OnnxMessage.sparseTensor
                name
                shape
                (elementsOf layer values.dtype)
                (OnnxBytes.ofCells c)
                (OnnxBytes.ofTensor values)
        )

        name

    member _.Add(layer: string, op: string, inputs: string list, attributes: AttributeProto list) : unit =
        let output = $"{label layer}.{op}"
        takeName output layer
        graph.Node.Add(OnnxMessage.node output op inputs attributes)
        current <- output

    /// The module needs an input whose last sizes are these.
    member b.CheckLast(layer: string, expected: int64[]) : unit =
        let last = Array.skip (max 0 (b.Shape.Length - expected.Length)) b.Shape

        if last <> expected then
            raise (
                OnnxBuilder.Refusal
                    $"expected an input [*, {Shape.sizes expected}] of '{label layer}', got {OnnxBuilder.Shown b.Shape}"
            )

    /// The graph, with its input and its output.
    member b.Finish() : GraphProto =
        if graph.Node.Count = 0 then
            b.Add("", "Identity", [ current ], [])

        graph.Node[graph.Node.Count - 1].Output[ 0 ] <- "output"
        let elements = ValueOption.defaultValue ElementType.Float elements
        graph.Input.Add(OnnxMessage.batch "input" inputShape elements)
        graph.Output.Add(OnnxMessage.batch "output" b.Shape elements)
        graph
