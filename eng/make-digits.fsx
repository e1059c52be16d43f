/// Writes examples/Digits/data: the first 500 training and the first 100 test digits of each class of MNIST, in order.
/// dotnet fsi eng/make-digits.fsx [folder with MNIST's four files]

#load "../examples/Digits/Idx.fs"

open System
open System.Buffers.Binary
open System.IO
open System.IO.Compression
open System.Security.Cryptography
open Digits

let root = Path.GetFullPath(Path.Combine(__SOURCE_DIRECTORY__, ".."))

let source =
    match fsi.CommandLineArgs with
    | [| _; folder |] -> folder
    | _ -> Path.Combine(root, "..", "shared", "data", "mnist")

let target = Path.Combine(root, "examples", "Digits", "data")

/// The first so many digits of each class, in the order of the file.
let firstOfEach (count: int) (digits: DigitSet) : DigitSet =
    let taken: int[] = Array.zeroCreate Idx.Classes

    let chosen =
        [| for i in 0 .. digits.Labels.Length - 1 do
               let label = int digits.Labels[i]

               if taken[label] < count then
                   taken[label] <- taken[label] + 1
                   i |]

    { Pixels =
        chosen
        |> Array.collect (fun i -> digits.Pixels[i * Idx.Pixels .. (i + 1) * Idx.Pixels - 1])
      Labels = chosen |> Array.map (fun i -> digits.Labels[i]) }

let write (name: string) (header: uint32 list) (elements: byte[]) =
    let path = Path.Combine(target, name)

    do
        use file = File.Create path
        use gzip = new GZipStream(file, CompressionLevel.SmallestSize)

        for field in header do
            let bytes: byte[] = Array.zeroCreate 4
            BinaryPrimitives.WriteUInt32BigEndian(bytes, field)
            gzip.Write bytes

        gzip.Write elements

    let bytes = File.ReadAllBytes path
    let sha256 = Convert.ToHexStringLower(SHA256.HashData bytes)
    printfn $"| {name} | {bytes.Length} | `{sha256}` |"

let writeSet (images: string, labels: string) (digits: DigitSet) =
    let count = uint32 digits.Labels.Length
    write images [ 0x803u; count; uint32 Idx.Side; uint32 Idx.Side ] digits.Pixels
    write labels [ 0x801u; count ] digits.Labels

let train, test = Idx.ofFolder source
Directory.CreateDirectory target |> ignore
writeSet Idx.trainFiles (firstOfEach 500 train)
writeSet Idx.testFiles (firstOfEach 100 test)
