/// NumPy's files come back as they went, and a wrong one is refused in words.
module SparseFs.Tests.NpyTests

open System
open System.IO
open System.Text
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs
open SparseFs.Tests.ArrayFiles
open SparseFs.Tests.Refusals

let private arrays =
    gen {
        let! rank = Gen.choose (0, 4)

        let! shape =
            Gen.arrayOfLength rank (Gen.frequency [ 9, Gen.choose (1, 5); 1, Gen.constant 0 ])

        let count = Array.fold (*) 1 shape
        let! seed = Gen.choose (0, 100_000)
        let random = Random seed

        let bits () =
            random.NextInt64(Int64.MinValue, Int64.MaxValue)

        let! data =
            Gen.elements
                [ lazy (Array.init count (fun _ -> BitConverter.Int32BitsToSingle(int (bits () >>> 32))) :> Array)
                  lazy (Array.init count (fun _ -> BitConverter.Int64BitsToDouble(bits ())) :> Array)
                  lazy (Array.init count (fun _ -> int (bits () >>> 32)) :> Array)
                  lazy (Array.init count (fun _ -> bits ()) :> Array)
                  lazy (Array.init count (fun _ -> bits () % 2L = 0L) :> Array)
                  lazy (Array.init count (fun _ -> BitConverter.Int16BitsToHalf(int16 (bits () >>> 48))) :> Array)
                  lazy (Array.init count (fun _ -> sbyte (bits () >>> 56)) :> Array)
                  lazy (Array.init count (fun _ -> int16 (bits () >>> 48)) :> Array)
                  lazy (Array.init count (fun _ -> byte (bits () >>> 56)) :> Array)
                  lazy (Array.init count (fun _ -> uint16 (bits () >>> 48)) :> Array)
                  lazy (Array.init count (fun _ -> uint32 (bits () >>> 32)) :> Array)
                  lazy (Array.init count (fun _ -> uint64 (bits ())) :> Array) ]

        return NpyArray(shape, data.Value)
    }
    |> Arb.fromGen

let private written (array: NpyArray) : byte[] =
    use stream = new MemoryStream()
    Npy.writeTo stream array
    stream.ToArray()

let private readBack (bytes: byte[]) : NpyArray =
    use stream = new MemoryStream(bytes)
    Npy.readFrom "some.npy" stream

let private same (a: NpyArray) (b: NpyArray) =
    Expect.equal (a.Data.GetType()) (b.Data.GetType()) "type"
    Expect.equal a.Shape b.Shape "shape"
    Expect.equal (bitsOf a.Data) (bitsOf b.Data) "numbers"

/// A stream that gives a byte at a time and does not say how long it is.
type private Trickle(bytes: byte[]) =
    inherit MemoryStream(bytes)
    override _.CanSeek = false
    override _.Length = raise (NotSupportedException())
    override _.Read(buffer: byte[], offset: int, count: int) = base.Read(buffer, offset, min count 1)

let private file (version: byte) (header: string) (data: byte[]) : byte[] =
    let text = Encoding.Latin1.GetBytes header

    let length =
        if version = 1uy then
            BitConverter.GetBytes(uint16 text.Length)
        else
            BitConverter.GetBytes(uint32 text.Length)

    Array.concat [ [| 0x93uy |]; "NUMPY"B; [| version; 0uy |]; length; text; data ]

let private headerOf (descr: string) (order: string) (shape: string) =
    $"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}"

let private law name (body: NpyArray -> unit) =
    testProperty name (Prop.forAll arrays body)

let private numbers (count: int) =
    bitsOf (Array.init count (fun i -> float32 i))

let private wrong (name: string) (bytes: byte[]) (words: string list) =
    testCase name (fun () -> refused ("some.npy" :: words) (fun () -> readBack bytes))

[<Tests>]
let npyTests =
    testList
        "Npy"
        [ law "what was written is read, to the bit" (fun array -> same (readBack (written array)) array)

          law "a stream that trickles and cannot seek gives the same" (fun array ->
              use stream = new Trickle(written array)
              same (Npy.readFrom "trickle" stream) array)

          law "a file holds it too, and no other file is left" (fun array ->
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "a.npy")
                  Npy.write path array
                  Npy.write path array // over itself
                  same (Npy.read path) array
                  Expect.equal (Directory.GetFiles folder) [| path |] "files"))

          law "arrays follow each other in a stream" (fun array ->
              let twice = written array
              use stream = new MemoryStream(Array.append twice twice)
              same (Npy.readFrom "twice" stream) array
              same (Npy.readFrom "twice" stream) array)

          law "every prefix is refused" (fun array ->
              let whole = written array

              for length in 0 .. whole.Length - 1 do
                  refused [ "some.npy" ] (fun () -> readBack whole[.. length - 1])

                  refused [ "trickle" ] (fun () ->
                      use stream = new Trickle(whole[.. length - 1])
                      Npy.readFrom "trickle" stream))

          testCase "numbers start at a multiple of 64, as NumPy's do" (fun () ->
              for array in
                  [ NpyArray([| 3 |], [| 1; 2; 3 |])
                    NpyArray([||], [| 1.5 |])
                    NpyArray([| 0; 7 |], ([||]: bool[])) ] do
                  let bytes = written array
                  let headerLength = 10 + int bytes[8] + 256 * int bytes[9]
                  Expect.equal (headerLength % 64) 0 "aligned"
                  Expect.equal bytes[headerLength - 1] (byte '\n') "line feed"
                  Expect.equal (bytes.Length - headerLength) (Buffer.ByteLength array.Data) "numbers")

          testCase "NumPy's own bytes are written" (fun () ->
              // numpy.save of array([1, 2, 3], dtype='<i4'), version 1.0, from the format's description.
              let text =
                  "{'descr': '<i4', 'fortran_order': False, 'shape': (3,), }".PadRight 117 + "\n"

              let wanted = file 1uy text (bitsOf [| 1; 2; 3 |])
              Expect.equal (written (NpyArray([| 3 |], [| 1; 2; 3 |]))) wanted "bytes")

          testCase "version 2.0, other orders of keys and spaces are read" (fun () ->
              let header = """ {"shape" :(2,3) , "fortran_order": False,"descr":"<f4"}   """
              let array = readBack (file 2uy header (numbers 6))
              Expect.equal array.Shape [| 2; 3 |] "shape"
              Expect.equal (array.Data :?> float32[]) [| 0.0f; 1.0f; 2.0f; 3.0f; 4.0f; 5.0f |] "numbers")

          testCase "Fortran order is turned" (fun () ->
              let array = readBack (file 1uy (headerOf "<f4" "True" "(2, 3)") (numbers 6))
              Expect.equal (array.Data :?> float32[]) [| 0.0f; 2.0f; 4.0f; 1.0f; 3.0f; 5.0f |] "two dimensions"
              let array = readBack (file 1uy (headerOf "<f4" "True" "(2, 3, 4)") (numbers 24))
              let data = array.Data :?> float32[]

              for i in 0..1 do
                  for j in 0..2 do
                      for k in 0..3 do
                          Expect.equal data[(i * 3 + j) * 4 + k] (float32 (i + 2 * j + 6 * k)) $"{i}, {j}, {k}")

          testCase "a failed write leaves the file as it was" (fun () ->
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "a.npy")
                  File.WriteAllText(path, "before")
                  Expect.throws (fun () -> Npy.write path Unchecked.defaultof<NpyArray>) "refused"
                  Expect.equal (File.ReadAllText path) "before" "content"
                  Expect.equal (Directory.GetFiles(folder).Length) 1 "files"))

          testCase "something behind the array is refused in a file" (fun () ->
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "a.npy")
                  File.WriteAllBytes(path, Array.append (written (NpyArray([||], [| 1 |]))) [| 0uy |])
                  refused [ "a.npy"; "expected the end of the file, got 1 more bytes" ] (fun () -> Npy.read path)))

          wrong "another magic" (Array.create 100 65uy) [ "byte 0"; "magic"; "414141414141" ]
          // Bytes written out by hand, big end first; the little-endian file has the same bytes turned.
          testCase "every kind of number is read in both orders of bytes" (fun () ->
              let kinds: (string * int * string * Array) list =
                  [ "f2",
                    2,
                    "3C00 C100 7C00 0001",
                    [| Half.One; Half.op_Explicit -2.5f; Half.PositiveInfinity; Half.Epsilon |]
                    "f4", 4, "3F800000 C0200000 7F800000 00000001", [| 1.0f; -2.5f; infinityf; Single.Epsilon |]
                    "f8", 8, "3FF0000000000000 C004000000000000", [| 1.0; -2.5 |]
                    "i1", 1, "7F 80 FF", [| 127y; -128y; -1y |]
                    "i2", 2, "7FFF 8000 0102", [| 32767s; -32768s; 258s |]
                    "i4", 4, "7FFFFFFF 80000000 01020304", [| Int32.MaxValue; Int32.MinValue; 16909060 |]
                    "i8", 8, "7FFFFFFFFFFFFFFF 8000000000000000", [| Int64.MaxValue; Int64.MinValue |]
                    "u1", 1, "00 80 FF", [| 0uy; 128uy; 255uy |]
                    "u2", 2, "FFFF 8000 0102", [| 65535us; 32768us; 258us |]
                    "u4", 4, "FFFFFFFF 01020304", [| UInt32.MaxValue; 16909060u |]
                    "u8", 8, "FFFFFFFFFFFFFFFF 0102030405060708", [| UInt64.MaxValue; 72623859790382856UL |]
                    "b1", 1, "00 01", [| false; true |] ]

              for code, size, hex, wanted in kinds do
                  let big = Convert.FromHexString(hex.Replace(" ", ""))
                  let little = big |> Array.chunkBySize size |> Array.collect Array.rev
                  let shape = $"({wanted.Length},)"

                  for order, bytes in [ ">", big; "<", little; (if size = 1 then "|", big else "<", little) ] do
                      for version in [ 1uy; 2uy; 3uy ] do
                          let array = readBack (file version (headerOf (order + code) "False" shape) bytes)
                          Expect.equal (array.Data.GetType()) (wanted.GetType()) $"{order}{code}: type"
                          Expect.equal (bitsOf array.Data) (bitsOf wanted) $"{order}{code}: numbers")

          testCase "Fortran order is turned for numbers of any size, big end first too" (fun () ->
              let bytes = Convert.FromHexString "000000010002000300040005"
              let array = readBack (file 3uy (headerOf ">u2" "True" "(2, 3)") bytes)
              Expect.equal (array.Data :?> uint16[]) [| 0us; 2us; 4us; 1us; 3us; 5us |] "two dimensions")

          wrong "version 4" (file 4uy "" [||]) [ "byte 6"; "version 1.0, 2.0 or 3.0, got 4.0" ]
          wrong "version 3 without UTF-8" (file 3uy "{\u00ff" [||]) [ "byte 12"; "UTF-8" ]
          wrong "numbers without an order" (file 1uy (headerOf "|f4" "False" "(1,)") (numbers 1)) [ "'descr'"; "'|f4'" ]
          wrong "numbers of the machine's order" (file 1uy (headerOf "=f4" "False" "(1,)") (numbers 1)) [ "'=f4'" ]
          wrong "complex numbers" (file 1uy (headerOf "<c8" "False" "(1,)") (numbers 2)) [ "'descr'"; "'<c8'"; "<f2" ]
          wrong "Python objects" (file 1uy (headerOf "|O" "False" "(1,)") (numbers 1)) [ "'descr'"; "'|O'" ]
          wrong "a size below 0" (file 1uy (headerOf "<f4" "False" "(-1,)") (numbers 1)) [ "a size in 0.."; "'-1" ]
          wrong
              "a size that is not one"
              (file 1uy (headerOf "<f4" "False" "(99999999999999999999,)") [||])
              [ "a size in" ]
          wrong "sizes that overflow" (file 1uy (headerOf "<f4" "False" "(4294967296, 4294967296)") [||]) [ "'shape'" ]
          wrong
              "a huge size with few bytes"
              (file 1uy (headerOf "<f8" "False" "(200000000,)") (numbers 6))
              [ "1600000000 bytes"; "got 24" ]
          wrong "a size and no comma" (file 1uy (headerOf "<f4" "False" "(3)") (numbers 3)) [ "','" ]
          wrong "a key twice" (file 1uy "{'descr': '<f4', 'descr': '<f4'}" [||]) [ "each once"; "'descr'" ]
          wrong "a key that is none" (file 1uy "{'order': '<f4'}" [||]) [ "each once"; "'order'" ]
          wrong
              "no shape"
              (file 1uy "{'descr': '<f4', 'fortran_order': False}" [||])
              [ "each once"; "end of the header" ]
          wrong "no truth" (file 1uy (headerOf "<f4" "Maybe" "(1,)") [||]) [ "True or False"; "'Maybe" ]
          wrong "a string without an end" (file 1uy "{'descr" [||]) [ "a string that ends" ]
          wrong
              "words behind the dictionary"
              (file 1uy (headerOf "<f4" "False" "()" + " x") [||])
              [ "nothing after"; "'x'" ]
          wrong
              "many dimensions"
              (file 1uy (headerOf "<f4" "False" ("(" + String.replicate 65 "1," + ")")) [||])
              [ "at most 64" ]
          wrong "a bool of 2" (file 1uy (headerOf "|b1" "False" "(2,)") [| 1uy; 2uy |]) [ "0 or 1, got 2" ]
          wrong
              "a header of a gigabyte"
              (Array.append (Array.take 8 (file 2uy "" [||])) (BitConverter.GetBytes 1000000000))
              [ "byte 8"; "1048576" ]

          testCase "changed files are refused or are arrays" (fun () ->
              let random = Random 7
              let mutable refusals = 0

              let seeds =
                  [ for i in 0..9 -> written (NpyArray([| 2; i |], Array.init (2 * i) float32)) ]

              for i in 0..3999 do
                  let bytes = Array.copy seeds[i % seeds.Length]

                  for _ in 0 .. random.Next 3 do
                      bytes[random.Next bytes.Length] <-
                          match random.Next 3 with
                          | 0 -> byte (random.Next 256)
                          | 1 -> "0123456789(),'{}:<"B[random.Next 18]
                          | _ -> bytes[random.Next bytes.Length]

                  let bytes =
                      if random.Next 4 = 0 then
                          bytes[.. random.Next bytes.Length - 1]
                      else
                          bytes

                  try
                      let array = readBack bytes
                      Expect.equal array.Data.Length (Array.fold (*) 1 array.Shape) "a whole array"
                  with :? ArrayFileException ->
                      refusals <- refusals + 1

              Expect.isGreaterThan refusals 1000 "not vacuous"
              Expect.isLessThan refusals 4000 "not vacuous")

          testCase "a lie about the size costs no memory" (fun () ->
              let lying = file 1uy (headerOf "<f8" "False" "(250000000,)") (numbers 6)
              let before = GC.GetAllocatedBytesForCurrentThread()
              refused [ "2000000000 bytes" ] (fun () -> readBack lying)

              refused [ "2000000000 bytes" ] (fun () ->
                  use stream = new Trickle(lying)
                  Npy.readFrom "trickle" stream)

              Expect.isLessThan (GC.GetAllocatedBytesForCurrentThread() - before) 1_000_000L "bytes")

          refuses "a shape that is null" "shape" "" (fun () -> NpyArray(Unchecked.defaultof<_>, [| 1 |]))
          refuses "numbers that do not fit" "data" "expected the 6 numbers of shape [2, 3], got 5" (fun () ->
              NpyArray([| 2; 3 |], Array.zeroCreate<int> 5))
          refuses "a negative size" "shape" "expected sizes of 0 or more, got -2" (fun () ->
              NpyArray([| -2 |], [| 1 |]))
          refuses "a shape of more numbers than there can be" "data" "got 0" (fun () ->
              NpyArray([| 65536; 65536 |], ([||]: int[])))
          refuses "decimals" "data" "got Decimal[]" (fun () -> NpyArray([| 1 |], [| 1m |]))
          refuses "no path" "path" "" (fun () -> Npy.read Unchecked.defaultof<_>) ]
