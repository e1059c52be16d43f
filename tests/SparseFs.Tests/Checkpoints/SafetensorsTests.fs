/// The file format: what is written comes back to the bit, and what is not as the format has it is refused.
module SparseFs.Tests.SafetensorsTests

open System
open System.Collections.Generic
open System.IO
open System.Text
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs
open SparseFs.Tests.CheckpointFiles
open SparseFs.Torch
open SparseFs.Tests.Refusals
open TorchSharp

let private noTexts = Dictionary<string, string>() :> IReadOnlyDictionary<_, _>

let private save (file: string) (tensors: (string * torch.Tensor) list) =
    Safetensors.save file noTexts (Dictionary(dict tensors))

let private dtypes =
    [ torch.ScalarType.Float64
      torch.ScalarType.Float32
      torch.ScalarType.Float16
      torch.ScalarType.BFloat16
      torch.ScalarType.Int64
      torch.ScalarType.Int32
      torch.ScalarType.Int16
      torch.ScalarType.Int8
      torch.ScalarType.Byte
      torch.ScalarType.Bool ]

let private shapes: Gen<int64[]> =
    gen {
        let! rank = Gen.choose (0, 4)
        return! Gen.choose (0, 5) |> Gen.map int64 |> Gen.arrayOfLength rank
    }

/// Numbers of any dtype, of which some come from a transposed view with an offset.
let private tensorOf (dtype: torch.ScalarType, shape: int64[], isView: bool, seed: int) : torch.Tensor =
    use _ = torch.NewDisposeScope()
    let random = new torch.Generator(uint64 seed)

    let drawn (shape: int64[]) =
        let t = torch.randn(shape, generator = random).mul(50.0f.ToScalar())

        match dtype with
        | torch.ScalarType.Bool -> t.gt (0.0f.ToScalar())
        | torch.ScalarType.Byte -> t.abs().to_type dtype
        | _ -> t.to_type dtype

    let t =
        if isView && shape.Length > 0 then
            let larger = Array.append (Array.rev shape) [| 3L |]
            let order = Array.init shape.Length (fun i -> int64 (shape.Length - 1 - i))
            (drawn larger).select(int64 shape.Length, 1L).permute order
        else
            drawn shape

    t.MoveToOuterDisposeScope()

let private specs =
    gen {
        let! dtype = Gen.elements dtypes
        let! shape = shapes
        let! isView = Gen.elements [ false; true ]
        let! seed = Gen.choose (0, 1_000_000)
        return dtype, shape, isView, seed
    }
    |> Gen.listOf
    |> Gen.map (List.truncate 6)
    |> Arb.fromGen

let private same (a: torch.Tensor) (b: torch.Tensor) =
    Expect.equal (b.dtype, b.shape) (a.dtype, a.shape) "dtype and shape"
    Expect.equal (bytesOf b) (bytesOf a) "numbers"

/// A header of one F32 tensor [2] with some part of it written anew.
let private oneTensor = """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"""

let private two (a: string) (b: string) =
    $"""{{"a":{{"dtype":"F32","shape":[2],"data_offsets":[{a}]}},"b":{{"dtype":"F32","shape":[2],"data_offsets":[{b}]}}}}"""

let private eight: byte[] = Array.zeroCreate 8

/// Name, problem, words of the message, header, data.
let private hostile: (string * CheckpointProblem * string * string * byte[]) list =
    let shaped shape = oneTensor.Replace("[2]", shape)

    let many = String.replicate 33 "1," |> fun ones -> $"[{ones.TrimEnd ','}]"
    let deep = String.replicate 100_000 "["

    [ "offsets that overlap", CheckpointProblem.Layout, "overlaps", two "0,8" "4,12", Array.zeroCreate 12
      "the same bytes twice", CheckpointProblem.Layout, "overlaps", two "0,8" "0,8", eight
      "offsets that leave a gap", CheckpointProblem.Layout, "gap", two "0,8" "9,17", Array.zeroCreate 17
      "a gap at the beginning", CheckpointProblem.Layout, "gap", oneTensor.Replace("[0,8]", "[1,9]"), Array.zeroCreate 9
      "offsets that run backwards", CheckpointProblem.Layout, "rising", oneTensor.Replace("[0,8]", "[8,0]"), eight
      "a negative offset", CheckpointProblem.Layout, "0 or more", oneTensor.Replace("[0,8]", "[-8,0]"), eight
      "an offset beyond 63 bits",
      CheckpointProblem.Header,
      "63 bits",
      oneTensor.Replace("[0,8]", "[0,9223372036854775808]"),
      eight
      "three offsets", CheckpointProblem.Layout, "at most 2", oneTensor.Replace("[0,8]", "[0,4,8]"), eight
      "one offset", CheckpointProblem.Header, "two data_offsets", oneTensor.Replace("[0,8]", "[0]"), eight
      "a negative shape", CheckpointProblem.Shape, "0 or more", shaped "[-2]", eight
      "a shape that overflows", CheckpointProblem.Shape, "2^63", shaped "[4294967296,4294967296]", eight
      "a shape that overflows beside a 0",
      CheckpointProblem.Shape,
      "2^63",
      shaped("[9223372036854775807,2,0]").Replace("[0,8]", "[0,0]"),
      [||]
      "a shape that is not that of the bytes", CheckpointProblem.Shape, "expected 12 bytes", shaped "[3]", eight
      "a shape of fractions", CheckpointProblem.Header, "integers", shaped "[2.5]", eight
      "a shape with an exponent", CheckpointProblem.Header, "integers", shaped "[2e0]", eight
      "a shape of texts", CheckpointProblem.Header, "integers", shaped "[\"2\"]", eight
      "33 dimensions", CheckpointProblem.Shape, "at most 32", shaped many, eight
      "an unknown dtype", CheckpointProblem.Dtype, "'F9'", oneTensor.Replace("F32", "F9"), eight
      "a dtype in small letters", CheckpointProblem.Dtype, "'f32'", oneTensor.Replace("F32", "f32"), eight
      "a dtype that is a number", CheckpointProblem.Dtype, "'1'", oneTensor.Replace("F32", "1"), eight
      "a dtype of another size", CheckpointProblem.Shape, "expected 16 bytes", oneTensor.Replace("F32", "F64"), eight
      "a name twice",
      CheckpointProblem.Header,
      "got it twice",
      oneTensor.Substring(0, oneTensor.Length - 1)
      + ""","a":{"dtype":"U8","shape":[],"data_offsets":[8,9]}}""",
      Array.zeroCreate 9
      "a name twice, once escaped",
      CheckpointProblem.Header,
      "got it twice",
      """{"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"\u0061":{"dtype":"U8","shape":[],"data_offsets":[1,2]}}""",
      Array.zeroCreate 2
      "a property twice",
      CheckpointProblem.Header,
      "each once",
      oneTensor.Replace("\"shape\"", "\"dtype\":\"F32\",\"shape\""),
      eight
      "a property that is not known",
      CheckpointProblem.Header,
      "got 'x'",
      oneTensor.Replace("{\"dtype", "{\"x\":1,\"dtype"),
      eight
      "a property that is missing",
      CheckpointProblem.Header,
      "expected dtype",
      """{"a":{"dtype":"F32","shape":[2]}}""",
      eight
      "a tensor that is no object", CheckpointProblem.Header, "expected an object", """{"a":[]}""", [||]
      "metadata that are no object", CheckpointProblem.Header, "expected an object", """{"__metadata__":3}""", [||]
      "metadata of numbers", CheckpointProblem.Header, "expected a string", """{"__metadata__":{"a":3}}""", [||]
      "metadata with a name twice", CheckpointProblem.Header, "twice", """{"__metadata__":{"a":"","a":""}}""", [||]
      "metadata twice", CheckpointProblem.Header, "twice", """{"__metadata__":{},"__metadata__":{}}""", [||]
      "a lone surrogate", CheckpointProblem.Header, "Unicode", """{"\ud800":{}}""", [||]
      "no JSON", CheckpointProblem.Header, "expected JSON", "{\"a\"", [||]
      "a comment", CheckpointProblem.Header, "expected JSON", "{}/* */", [||]
      "a comma too many",
      CheckpointProblem.Header,
      "expected JSON",
      oneTensor.Substring(0, oneTensor.Length - 1) + ",}",
      eight
      "two objects", CheckpointProblem.Header, "expected JSON", "{}{}", [||]
      "a header that is no object", CheckpointProblem.Header, "brace", "[]", [||]
      "a header that begins with a space", CheckpointProblem.Header, "brace", " {}", [||]
      "an empty header", CheckpointProblem.Header, "brace", "", [||]
      "a deep header",
      CheckpointProblem.Header,
      "expected integers",
      $"{{\"a\":{{\"dtype\":\"F32\",\"shape\":[{deep}",
      [||]
      "a truncated file", CheckpointProblem.Layout, "there are 7", oneTensor, Array.zeroCreate 7
      "trailing bytes", CheckpointProblem.Layout, "got 9", oneTensor, Array.zeroCreate 9
      "bytes without a tensor", CheckpointProblem.Layout, "expected 0 bytes", "{}", Array.zeroCreate 1
      "a boolean of 2",
      CheckpointProblem.Value,
      "0 or 1",
      """{"a":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}}""",
      [| 1uy; 2uy |] ]

/// A stream that is full after some bytes.
type private FullDisk(inner: Stream, room: int64) =
    inherit MemoryStream()
    let mutable left = room

    override _.Write(span: ReadOnlySpan<byte>) =
        left <- left - int64 span.Length

        if left < 0L then
            raise (IOException "No space left on device")

        inner.Write span

    override s.Write(buffer: byte[], offset: int, count: int) =
        s.Write(ReadOnlySpan(buffer, offset, count))

[<Tests>]
let safetensorsTests =
    testList
        "Safetensors"
        [ testPropertyWithConfig
              { FsCheckConfig.defaultConfig with
                  maxTest = 200 }
              "tensors of any dtype, shape and strides come back to the bit"
              (Prop.forAll specs (fun specs ->
                  use _ = torch.NewDisposeScope()

                  withFile (fun file ->
                      let tensors = specs |> List.mapi (fun i spec -> $"t{i} \"é\n", tensorOf spec)
                      save file tensors
                      let loaded = Safetensors.load file
                      Expect.equal loaded.Count tensors.Length "as many"

                      for name, t in tensors do
                          same t loaded[name])))

          testCase "every dtype of the format comes back, with its extreme numbers" (fun () ->
              use _ = torch.NewDisposeScope()

              withFile (fun file ->
                  let raw = Array.init 256 byte

                  for dtype in dtypes |> List.except [ torch.ScalarType.Bool ] do
                      // Every bit pattern of a byte in every place: NaNs, infinities and subnormal numbers among them.
                      let t =
                          torch.zeros (
                              [| 256L / torch.empty([| 1L |], dtype = dtype).element_size() |],
                              dtype = dtype
                          )

                      t.bytes <- Span raw
                      save file [ "t", t ]
                      let loaded = Safetensors.load file
                      same t loaded["t"]))

          testCase "tensors are aligned to their size, and the header to 8 bytes" (fun () ->
              use _ = torch.NewDisposeScope()

              withFile (fun file ->
                  save
                      file
                      [ for i, dtype in List.indexed dtypes do
                            $"{i}", torch.zeros ([| 3L |], dtype = dtype) ]

                  let header, _ = readRaw file
                  Expect.equal (Encoding.UTF8.GetByteCount header % 8) 0 "header"

                  for t in (Safetensors.inspect file).Tensors do
                      Expect.equal (t.Start % (t.Bytes / 3L)) 0L t.Name))

          testCase "texts come back, and a written file holds nothing else" (fun () ->
              withFile (fun file ->
                  let texts = Dictionary(dict [ "a", "1"; "é\u0001\"", "\\ 日本"; "", "" ])
                  Safetensors.save file texts (Dictionary())
                  let contents = Safetensors.inspect file

                  Expect.equal
                      (Map [ for e in contents.Metadata -> e.Key, e.Value ])
                      (Map [ for e in texts -> e.Key, e.Value ])
                      "texts"

                  Expect.isEmpty contents.Tensors "tensors"
                  Expect.equal (Directory.GetFiles(folderOf file)) [| file |] "nothing beside it"))

          testCase
              "what the format allows is read: spaces after the header, any order, an empty tensor anywhere"
              (fun () ->
                  use _ = torch.NewDisposeScope()

                  withFile (fun file ->
                      let header =
                          """{"b":{"data_offsets":[1,3],"shape":[2],"dtype":"U8"},"e":{"dtype":"F64","shape":[0,7],"data_offsets":[1,1]},"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}   """

                      writeText file header [| 7uy; 8uy; 9uy |]
                      let loaded = Safetensors.load file
                      Expect.equal (loaded["a"].item<byte>()) 7uy "a"
                      Expect.equal (bytesOf loaded["b"]) [| 8uy; 9uy |] "b"
                      Expect.equal loaded["e"].shape [| 0L; 7L |] "e"))

          for name, problem, says, header, data in hostile do
              testCase $"refused: {name}" (fun () ->
                  withFile (fun file ->
                      writeText file header data
                      let e = refusal (fun () -> Safetensors.load file)
                      Expect.equal (e.Problem, e.File) (problem, file) e.Message
                      Expect.stringContains e.Reason says "reason"))

          testCase "refused: bytes that are no UTF-8" (fun () ->
              withFile (fun file ->
                  let header = Encoding.Latin1.GetBytes(oneTensor.Replace("\"a\"", "\"é\""))
                  writeRaw file header eight
                  refusedAs CheckpointProblem.Header "UTF-8" (fun () -> Safetensors.load file)))

          testCase
              "refused: a header longer than the file, and one longer than 100 MB, before memory is taken"
              (fun () ->
                  withFile (fun file ->
                      for announced in [ 9UL; 100_000_001UL; 1UL <<< 63; UInt64.MaxValue ] do
                          File.WriteAllBytes(file, Array.append (BitConverter.GetBytes announced) eight)
                          let before = GC.GetAllocatedBytesForCurrentThread()
                          refusedAs CheckpointProblem.Header "at most 8" (fun () -> Safetensors.load file)
                          Expect.isLessThan (GC.GetAllocatedBytesForCurrentThread() - before) 1_000_000L "memory"

                      use sparse = File.Create file
                      sparse.Write(ReadOnlySpan(BitConverter.GetBytes 100_000_001UL))
                      sparse.SetLength 200_000_000L
                      sparse.Dispose()
                      refusedAs CheckpointProblem.Header "at most 100000000" (fun () -> Safetensors.load file)))

          testCase "refused: an empty file, and one of less than 8 bytes" (fun () ->
              withFile (fun file ->
                  for length in [ 0; 7 ] do
                      File.WriteAllBytes(file, Array.zeroCreate length)
                      refusedAs CheckpointProblem.Header "at least 8" (fun () -> Safetensors.load file)))

          testCase "refused: a file that is not there, a folder, a file in no folder" (fun () ->
              inFolder (fun folder ->
                  let nowhere = Path.Combine(folder, "none", "x")
                  refusedAs CheckpointProblem.NotFound "x" (fun () -> Safetensors.load (Path.Combine(folder, "x")))
                  refusedAs CheckpointProblem.NotFound "x" (fun () -> Safetensors.load nowhere)
                  refusedAs CheckpointProblem.NotFound "x" (fun () -> save nowhere [])
                  refusedAs CheckpointProblem.Access "folder" (fun () -> Safetensors.load folder)
                  refusedAs CheckpointProblem.Access "folder" (fun () -> save folder [])
                  Expect.isEmpty (Directory.GetFileSystemEntries folder) "nothing is left"))

          testCase "refused: a file that may not be read" (fun () ->
              withFile (fun file ->
                  save file []

                  if OperatingSystem.IsWindows() then
                      skiptest "Windows has no such mode"

                  File.SetUnixFileMode(file, UnixFileMode.None)

                  // The superuser reads everything; then there is nothing to refuse.
                  let isReadable =
                      try
                          (File.OpenRead file).Dispose()
                          true
                      with :? UnauthorizedAccessException ->
                          false

                  if isReadable then
                      Expect.isEmpty (Safetensors.load file) "read by the superuser"
                  else
                      refusedAs CheckpointProblem.Access "" (fun () -> Safetensors.load file)))

          testCase "a disk that is full at any byte leaves the old file, and nothing beside it" (fun () ->
              use _ = torch.NewDisposeScope()

              withFile (fun file ->
                  save file [ "old", torch.ones 3L ]
                  let before = File.ReadAllBytes file
                  let fresh = torch.zeros 40_000L

                  for room in [ 0L; 5L; 100L; 70_000L; 160_000L ] do
                      refusedAs CheckpointProblem.Storage "No space left" (fun () ->
                          SafetensorsFile.writeThrough
                              (fun disk -> new FullDisk(disk, room))
                              file
                              []
                              [ struct ("new", fresh) ])

                      Expect.equal (File.ReadAllBytes file) before "the old file"
                      Expect.equal (Directory.GetFiles(folderOf file)) [| file |] "nothing beside it"))

          testCase "what may read the old file may read the new one, and a link stays a link" (fun () ->
              if OperatingSystem.IsWindows() then
                  skiptest "Windows has no such modes"

              withFile (fun file ->
                  save file []
                  let mode = UnixFileMode.UserRead ||| UnixFileMode.UserWrite
                  File.SetUnixFileMode(file, mode)
                  let link = file + ".link"
                  File.CreateSymbolicLink(link, file) |> ignore
                  use one = torch.ones 1L
                  save link [ "a", one ]
                  Expect.equal (File.GetUnixFileMode file) mode "mode"
                  Expect.equal (FileInfo(link).LinkTarget) file "link"
                  Expect.equal (Safetensors.inspect file).Tensors.Length 1 "the new file"))

          refuses "a complex tensor" "tensors" "got ComplexFloat32" (fun () ->
              use t = torch.zeros ([| 1L |], dtype = torch.ScalarType.ComplexFloat32)
              withFile (fun file -> save file [ "t", t ]))
          refuses "one of torch's sparse tensors" "tensors" "to be dense" (fun () ->
              use t = torch.eye(2L).to_sparse()
              withFile (fun file -> save file [ "t", t ]))
          refuses "the metadata's name" "tensors" "__metadata__" (fun () ->
              use t = torch.zeros 1L
              withFile (fun file -> save file [ "__metadata__", t ])) ]
