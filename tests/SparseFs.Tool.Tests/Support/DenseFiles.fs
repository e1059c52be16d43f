/// Files of dense weights, written here without the library: bytes of the format itself.
[<AutoOpen>]
module SparseFs.Tests.DenseFiles

open System
open System.IO
open System.Runtime.InteropServices
open System.Text
open System.Text.Json.Nodes

/// A tensor: name, dtype's name, shape and bytes.
type Written =
    { Name: string
      Dtype: string
      Shape: int list
      Bytes: byte[] }

let floats (name: string) (shape: int list) (numbers: float32[]) : Written =
    { Name = name
      Dtype = "F32"
      Shape = shape
      Bytes = MemoryMarshal.AsBytes(ReadOnlySpan numbers).ToArray() }

let ofBytes (name: string) (dtype: string) (shape: int list) (bytes: byte[]) : Written =
    { Name = name
      Dtype = dtype
      Shape = shape
      Bytes = bytes }

/// Eight bytes of length, the header, the tensors.
let fileBytes (metadata: (string * string) list) (tensors: Written list) : byte[] =
    let header = JsonObject()

    if not metadata.IsEmpty then
        let texts = JsonObject()

        for key, text in metadata do
            texts[key] <- JsonValue.Create text

        header["__metadata__"] <- texts

    let mutable next = 0

    for t in tensors do
        let entry = JsonObject()
        entry["dtype"] <- JsonValue.Create t.Dtype
        entry["shape"] <- JsonArray [| for size in t.Shape -> JsonValue.Create size :> JsonNode | null |]

        entry["data_offsets"] <-
            JsonArray [| for at in [ next; next + t.Bytes.Length ] -> JsonValue.Create at :> JsonNode | null |]

        header[t.Name] <- entry
        next <- next + t.Bytes.Length

    let json = Encoding.UTF8.GetBytes(header.ToJsonString())

    Array.concat
        [ BitConverter.GetBytes(uint64 json.Length)
          json
          yield! tensors |> List.map _.Bytes ]

let writeFile (folder: string) (name: string) (metadata: (string * string) list) (tensors: Written list) : unit =
    File.WriteAllBytes(Path.Combine(folder, name), fileBytes metadata tensors)

/// Numbers in −1 to 1 of as few bits that many are alike in magnitude.
let drawn (random: Random) (count: int) : float32[] =
    Array.init count (fun _ -> float32 (random.Next(-64, 65)) / 64.0f)

/// A weight and a bias for each step of a chain of sizes, by the names of Sequential: 0, 2, 4, ...
let chain (random: Random) (sizes: int list) : Written list =
    [ for i, (inputs, outputs) in List.indexed (List.pairwise sizes) do
          floats $"{2 * i}.weight" [ outputs; inputs ] (drawn random (outputs * inputs))
          floats $"{2 * i}.bias" [ outputs ] (drawn random outputs) ]

/// The network of a chain, at a sparsity, in the file network of a folder.
let writeNetwork (folder: string) (seed: int) (sizes: int list) : unit =
    writeFile folder "dense" [] (chain (Random seed) sizes)

    succeeds
        folder
        [ "convert"
          "@dense"
          "@network"
          "--sparsity"
          "0.5"
          "--smallest"
          "0"
          "--network"
          "mlp" ]
    |> ignore
