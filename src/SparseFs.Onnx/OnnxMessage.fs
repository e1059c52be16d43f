namespace SparseFs

open Google.Protobuf
open SparseFs.OnnxMessages

/// <summary>Messages of the ONNX format, from names, shapes and bytes.</summary>
module internal OnnxMessage =

    /// The data are little-endian numbers, which the message keeps without a copy: nobody may write to them. The name is null
    /// where the tensor is a part of something that has one.
    let tensor (name: string | null) (shape: int64[]) (elements: ElementType) (data: byte[]) : TensorProto =
        let tensor =
            TensorProto(DataType = elements, RawData = UnsafeByteOperations.UnsafeWrap(data))

        tensor.Dims.AddRange shape

        match name with
        | null -> ()
        | name -> tensor.Name <- name

        tensor

    /// The cells are row-major and rising, one a number, as little-endian int64.
    let sparseTensor
        (name: string)
        (shape: int64[])
        (elements: ElementType)
        (cells: byte[])
        (data: byte[])
        : SparseTensorProto =
        let count = [| int64 (cells.Length / sizeof<int64>) |]

        let sparse =
            SparseTensorProto(
                Values = tensor name count elements data,
                Indices = tensor null count ElementType.Int64 cells
            )

        sparse.Dims.AddRange shape
        sparse

    let float (name: string) (value: float32) : AttributeProto =
        AttributeProto(Name = name, F = value, Type = AttributeType.Float)

    let integer (name: string) (value: int64) : AttributeProto =
        AttributeProto(Name = name, I = value, Type = AttributeType.Int)

    let integers (name: string) (values: int64 seq) : AttributeProto =
        let attribute = AttributeProto(Name = name, Type = AttributeType.Ints)
        attribute.Ints.AddRange values
        attribute

    let text (name: string) (value: string) : AttributeProto =
        AttributeProto(Name = name, S = ByteString.CopyFromUtf8 value, Type = AttributeType.String)

    /// <summary>An operator with one output, which has the node's name.</summary>
    let node (name: string) (op: string) (inputs: string list) (attributes: AttributeProto list) : NodeProto =
        let node = NodeProto(Name = name, OpType = op)
        node.Input.AddRange inputs
        node.Output.Add name
        node.Attribute.AddRange attributes
        node

    /// <summary>An input or an output [N, shape], with N left open.</summary>
    let batch (name: string) (shape: int64[]) (elements: ElementType) : ValueInfoProto =
        let sizes = TensorShapeProto()
        sizes.Dim.Add(TensorShapeProto.Types.Dimension(DimParam = "N"))

        for size in shape do
            sizes.Dim.Add(TensorShapeProto.Types.Dimension(DimValue = size))

        ValueInfoProto(
            Name = name,
            Type = TypeProto(TensorType = TypeProto.Types.Tensor(ElemType = elements, Shape = sizes))
        )
