namespace SparseFs

open System
open System.IO
open System.Runtime.InteropServices
open SparseFs.Torch
open TorchSharp

/// <summary>How a model is written as ONNX.</summary>
type OnnxOptions =
    {
        /// <summary>Whether weights of sparse layers are written as sparse initializers, which takes 8 bytes a slot for the
        /// cell and the bytes of the number; else as dense ones, with their zeros.</summary>
        SparseWeights: bool
        /// <summary>The shape of an input without the batch, which is any; empty for what the model's first layer takes.</summary>
        InputShape: int[]
    }

/// <summary>Models as ONNX files, for ONNX Runtime and whatever else reads them.</summary>
/// <remarks>
/// Sequential (nested too), Linear, SparseLinear, LayerNorm, ReLU, GELU, Sigmoid, Tanh, Softmax, LogSoftmax, Flatten from
/// dimension 1, Dropout and Identity can be exported; Dropout and Identity are left out, as in evaluation. Float32 and
/// Float64, one dtype in a model. The graph has one input, <c>input</c> [N, ...], and one output, <c>output</c>, with N
/// left open. Operator set 20, IR version 9; weights keep the modules' names. A sparse initializer makes a smaller file;
/// ONNX Runtime makes it dense when it loads the file, so it does not make the model faster there.
/// </remarks>
[<RequireQualifiedAccess>]
module Onnx =

    // Numbers of fields and of types are those of ONNX's onnx.proto3.

    let private operatorSet = 20L
    let private irVersion = 9L

    /// <summary>Sparse initializers, and the input's shape as the first layer has it.</summary>
    let defaults: OnnxOptions =
        { SparseWeights = true
          InputShape = [||] }

    let private tensor (name: string) (shape: int64[]) (dataType: int) (data: byte[]) : ProtoField list =
        [ for size in shape do
              ProtoField.Integer(1, size)
          ProtoField.Integer(2, int64 dataType)
          if name <> "" then
              Protobuf.text 8 name
          ProtoField.Block(9, data) ]

    let private int64s (numbers: int64[]) : byte[] =
        let bytes = MemoryMarshal.AsBytes(numbers.AsSpan()).ToArray()

        if not BitConverter.IsLittleEndian then
            for i in 0..8 .. bytes.Length - 8 do
                Array.Reverse(bytes, i, 8)

        bytes

    let private constant (c: OnnxConstant) : ProtoField =
        match c.Cells with
        | ValueNone -> ProtoField.Message(5, tensor c.Name c.Shape c.DataType c.Data)
        | ValueSome cells ->
            let count = [| cells.LongLength |]

            ProtoField.Message(
                15,
                [ ProtoField.Message(1, tensor c.Name count c.DataType c.Data)
                  ProtoField.Message(2, tensor "" count 7 (int64s cells))
                  for size in c.Shape do
                      ProtoField.Integer(3, size) ]
            )

    let private attribute (name: string, value: OnnxAttribute) : ProtoField =
        let fields =
            match value with
            | OnnxAttribute.Float f -> [ ProtoField.Float(2, f); ProtoField.Integer(20, 1L) ]
            | OnnxAttribute.Integer i -> [ ProtoField.Integer(3, i); ProtoField.Integer(20, 2L) ]
            | OnnxAttribute.Text s -> [ Protobuf.text 4 s; ProtoField.Integer(20, 3L) ]

        ProtoField.Message(5, Protobuf.text 1 name :: fields)

    let private node (n: OnnxNode) : ProtoField =
        ProtoField.Message(
            1,
            [ for input in n.Inputs do
                  Protobuf.text 1 input
              Protobuf.text 2 n.Output
              Protobuf.text 3 n.Name
              Protobuf.text 4 n.Op
              yield! List.map attribute n.Attributes ]
        )

    let private value (field: int) (name: string) (dataType: int) (shape: int64[]) : ProtoField =
        let dimensions =
            ProtoField.Message(1, [ Protobuf.text 2 "N" ])
            :: [ for size in shape do
                     ProtoField.Message(1, [ ProtoField.Integer(1, size) ]) ]

        let tensorType =
            [ ProtoField.Integer(1, int64 dataType); ProtoField.Message(2, dimensions) ]

        ProtoField.Message(
            field,
            [ Protobuf.text 1 name
              ProtoField.Message(2, [ ProtoField.Message(1, tensorType) ]) ]
        )

    let private modelOf (graph: OnnxGraph) : ProtoField list =
        [ ProtoField.Integer(1, irVersion)
          Protobuf.text 2 "SparseFs"
          ProtoField.Message(
              7,
              [ yield! List.map node graph.Nodes
                Protobuf.text 2 "model"
                yield! List.map constant graph.Constants
                value 11 "input" graph.DataType graph.InputShape
                value 12 "output" graph.DataType graph.OutputShape ]
          )
          ProtoField.Message(8, [ Protobuf.text 1 ""; ProtoField.Integer(2, operatorSet) ]) ]

    let private message (options: OnnxOptions) (model: torch.nn.Module) : ProtoField list =
        ArgumentNullException.ThrowIfNull(model, nameof model)

        if isNull (box options) || isNull options.InputShape then
            nullArg (nameof options)

        for size in options.InputShape do
            if size < 0 then
                raise (ArgumentException($"expected sizes of 0 or more, got {size}", "inputShape"))

        let fields =
            OnnxGraph.ofModel options.SparseWeights (Array.map int64 options.InputShape) model
            |> modelOf

        let size = Protobuf.size fields

        if size > int64 Int32.MaxValue then
            let limit =
                $"expected a file of at most {Int32.MaxValue} bytes, which is protobuf's limit"

            raise (ArgumentException($"{limit}, got {size}", nameof model))

        fields

    /// <summary>Writes a model to where a stream stands.</summary>
    /// <param name="options">How.</param>
    /// <param name="stream">Any that can be written; it is not closed.</param>
    /// <param name="model">Of the kinds of modules that can be exported.</param>
    /// <exception cref="T:System.ArgumentException">A module is of another kind: the message names it and those that can be
    /// exported; or an argument is null, shapes or dtypes do not fit, or the file would exceed 2 GB.</exception>
    let writeTo (options: OnnxOptions) (stream: Stream) (model: torch.nn.Module) : unit =
        ArgumentNullException.ThrowIfNull(stream, nameof stream)
        Protobuf.write stream (message options model)

    /// <summary>Writes a model to a file; it is there whole, or as it was before.</summary>
    /// <param name="options">How.</param>
    /// <param name="path">The file, which is replaced if it is there.</param>
    /// <param name="model">Of the kinds of modules that can be exported.</param>
    /// <exception cref="T:System.ArgumentException">As writeTo.</exception>
    /// <exception cref="T:System.IO.IOException">The file cannot be written.</exception>
    /// <exception cref="T:System.UnauthorizedAccessException">It may not be written to, or is no file.</exception>
    let exportWith (options: OnnxOptions) (path: string) (model: torch.nn.Module) : unit =
        let fields = message options model
        WholeFile.write path (fun stream -> Protobuf.write stream fields)

    /// <summary>As exportWith, with the defaults: sparse weights stay sparse in the file.</summary>
    /// <param name="path">The file, which is replaced if it is there.</param>
    /// <param name="model">Of the kinds of modules that can be exported.</param>
    /// <exception cref="T:System.ArgumentException">As writeTo.</exception>
    /// <exception cref="T:System.IO.IOException">The file cannot be written.</exception>
    /// <exception cref="T:System.UnauthorizedAccessException">It may not be written to, or is no file.</exception>
    let export (path: string) (model: torch.nn.Module) : unit = exportWith defaults path model
