namespace SparseFs

open System
open System.IO
open Google.Protobuf
open SparseFs.OnnxMessages

/// <summary>Whole files: a graph with its versions, their size, and their bytes.</summary>
module internal OnnxModel =

    let private operatorSet = 20L
    let private irVersion = 9L

    /// Large enough that a big tensor is written in few pieces.
    let private bufferSize = 65536

    let ofGraph (graph: GraphProto) : ModelProto =
        let model =
            ModelProto(IrVersion = irVersion, ProducerName = "SparseFs", Graph = graph)

        model.OpsetImport.Add(OperatorSetIdProto(Domain = "", Version = operatorSet))
        model

    /// <summary>The bytes that a file will have.</summary>
    /// <remarks>Google.Protobuf adds sizes up as int. The numbers of a graph take at most 2^31 - 1 bytes, since OnnxBuilder
    /// counts them before it copies them, and the names far less than as many again: the sum may pass int's end once, and is
    /// right as uint32.</remarks>
    let size (model: ModelProto) : int64 = int64 (uint32 (model.CalculateSize()))

    /// <exception cref="T:System.ArgumentException">The file would be larger than readers of protobuf take.</exception>
    let checkSize (model: ModelProto) : unit =
        let size = size model

        if size > int64 Int32.MaxValue then
            let limit =
                $"expected a file of at most {Int32.MaxValue} bytes, which is protobuf's limit"

            raise (ArgumentException($"{limit}, got {size}", nameof model))

    /// <summary>Writes a file, tensors piece by piece, to where a stream stands.</summary>
    let write (stream: Stream) (model: ModelProto) : unit =
        // Not disposed of: after a failure that would write on.
        let output = new CodedOutputStream(stream, bufferSize, leaveOpen = true)
        model.WriteTo output
        output.Flush()
