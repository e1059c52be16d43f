namespace DigitServer.Driver

open System
open System.Buffers.Binary
open System.Text.Json

/// <summary>A network whose answers differ from another's: the same file with other biases in its last layer.</summary>
[<RequireQualifiedAccess>]
module Twin =

    /// The tensor of the last layer that has a bias, in the description that the file has of its network.
    let private lastBias (header: JsonElement) : string =
        let text =
            header.GetProperty("__metadata__").GetProperty("sparsefs.network").GetString()

        use network = JsonDocument.Parse(string text)

        [ for node in network.RootElement.GetProperty("nodes").EnumerateArray() do
              match node.TryGetProperty "tensors" with
              | true, tensors ->
                  match tensors.TryGetProperty "bias" with
                  | true, bias -> string (bias.GetString())
                  | _ -> ()
              | _ -> () ]
        |> List.last

    /// <summary>Another network of the same shape.</summary>
    /// <param name="file">The bytes of a safetensors file as Deploy.save writes it, with a bias of float32 in its last layer.</param>
    let ofModel (file: byte[]) : byte[] =
        let length = int (BinaryPrimitives.ReadInt64LittleEndian(ReadOnlySpan(file, 0, 8)))
        use header = JsonDocument.Parse(ReadOnlyMemory(file, 8, length))

        let bias =
            header.RootElement.GetProperty(lastBias header.RootElement).GetProperty "data_offsets"

        let first, last = bias[0].GetInt32(), bias[1].GetInt32()
        let twin = Array.copy file
        let numbers = Span(twin, 8 + length + first, last - first)

        for i in 0 .. numbers.Length / 4 - 1 do
            let number = numbers.Slice(4 * i, 4)
            let moved = BinaryPrimitives.ReadSingleLittleEndian number + 0.05f * float32 (i + 1)
            BinaryPrimitives.WriteSingleLittleEndian(number, moved)

        twin
