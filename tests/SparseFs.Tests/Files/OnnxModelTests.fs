/// How large a file is, how large it may be, and what it costs to write one.
module SparseFs.Tests.OnnxModelTests

open System
open System.IO
open Expecto
open Google.Protobuf
open SparseFs
open SparseFs.OnnxMessages
open SparseFs.Tests.ConversionTests
open SparseFs.Tests.Refusals
open TorchSharp

/// Counts what is written, and keeps nothing.
type private Counted() =
    inherit Stream()
    let mutable length = 0L
    override _.CanRead = false
    override _.CanSeek = false
    override _.CanWrite = true
    override _.Length = length

    override _.Position
        with get () = length
        and set _ = raise (NotSupportedException())

    override _.Flush() = ()
    override _.Read(_, _, _) = raise (NotSupportedException())
    override _.Seek(_, _) = raise (NotSupportedException())
    override _.SetLength _ = raise (NotSupportedException())
    override _.Write(_, _, count) = length <- length + int64 count
    override _.Write(bytes: ReadOnlySpan<byte>) = length <- length + int64 bytes.Length

/// A file of tensors with so many bytes, which are parts of one array: nobody looks at them.
let private modelOf (lengths: int list) : ModelProto =
    let bytes: byte[] = GC.AllocateUninitializedArray(List.max lengths)
    let graph = GraphProto(Name = "model")

    for length in lengths do
        graph.Initializer.Add(
            TensorProto(Name = "weight", RawData = UnsafeByteOperations.UnsafeWrap(ReadOnlyMemory(bytes, 0, length)))
        )

    OnnxModel.ofGraph graph

/// A file of so many bytes, in two tensors, since an array is shorter than the longest file.
let private ofSize (size: int64) : ModelProto =
    let first = 1_000_000_000
    // The tensors' bytes aside; lengths above 2^28 are told in as many bytes.
    let beside = OnnxModel.size (modelOf [ first; first ]) - 2L * int64 first
    modelOf [ first; int (size - beside - int64 first) ]

[<Tests>]
let onnxModel =
    testList
        "Onnx model"
        [ testCase "the size is that of the file" (fun () ->
              for nnz in [ 0; 1; 200; 20_000 ] do
                  use model =
                      torch.nn.Sequential(new SparseLinear(Topology.uniform 100 200 nnz (Seed.ofInt 1)))

                  let file = OnnxGraph.ofModel true [||] model |> OnnxModel.ofGraph
                  use stream = new MemoryStream()
                  OnnxModel.write stream file
                  Expect.equal (OnnxModel.size file) stream.Length $"{nnz} slots"
                  Expect.equal (ModelProto.Parser.ParseFrom(stream.ToArray())) file "read again")

          testCase "a file of 2^31 - 1 bytes is written" (fun () ->
              let file = ofSize (int64 Int32.MaxValue)
              Expect.equal (OnnxModel.size file) (int64 Int32.MaxValue) "the largest"
              OnnxModel.checkSize file
              use stream = new Counted()
              OnnxModel.write stream file
              Expect.equal stream.Length (int64 Int32.MaxValue) "bytes")

          refuses
              "a file of 2^31 bytes"
              "model"
              "at most 2147483647 bytes, which is protobuf's limit, got 2147483648"
              (fun () -> OnnxModel.checkSize (ofSize (int64 Int32.MaxValue + 1L)))

          refuses "a file of 4 GB" "model" "got 40" (fun () ->
              OnnxModel.checkSize (modelOf [ 2_000_000_000; 2_000_000_000 ]))

          testCase "numbers are copied once" (fun () ->
              use layer = torch.nn.Linear(2048L, 4096L)
              use model = torch.nn.Sequential(("0", layer :> torch.nn.Module<_, _>))
              let size = 4L * 2048L * 4096L
              Onnx.writeTo Onnx.defaults Stream.Null (torch.nn.Sequential(linearOf torch.float32 true 2 2 1)) // compiled
              let before = GC.GetAllocatedBytesForCurrentThread()
              Onnx.writeTo Onnx.defaults Stream.Null model
              let allocated = GC.GetAllocatedBytesForCurrentThread() - before
              Expect.isGreaterThanOrEqual allocated size "not vacuous"
              // The bias, the writer's buffer, names and shapes are far less than a megabyte.
              Expect.isLessThan allocated (size + 1_000_000L) "bytes of managed memory") ]
