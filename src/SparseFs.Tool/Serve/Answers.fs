namespace SparseFs.Tool

open System
open System.Buffers
open System.Text.Json
open SparseFs
open SparseFs.Inference

/// <summary>What a service answers: JSON in UTF-8.</summary>
module internal Answers =

    let private object (write: Utf8JsonWriter -> unit) : ReadOnlyMemory<byte> =
        let buffer = ArrayBufferWriter<byte>()

        (use json = new Utf8JsonWriter(buffer)
         json.WriteStartObject()
         write json
         json.WriteEndObject())

        buffer.WrittenMemory

    let error (message: string) : ReadOnlyMemory<byte> =
        object (fun json -> json.WriteString("error", Refusal.shown message))

    let signature (model: SparseModel) : ReadOnlyMemory<byte> =
        object (fun json -> Signature.write json model)

    /// An array of the sizes from this dimension on; the numbers that were written.
    let rec private writeRow
        (json: Utf8JsonWriter)
        (sizes: int[])
        (depth: int)
        (numbers: float32[])
        (first: int)
        : int =
        if depth = sizes.Length then
            json.WriteNumberValue numbers[first]
            1
        else
            json.WriteStartArray()
            let mutable at = first

            for _ in 1 .. sizes[depth] do
                at <- at + writeRow json sizes (depth + 1) numbers at

            json.WriteEndArray()
            at - first

    /// <summary>The outputs of some samples.</summary>
    /// <param name="output">What the network gives.</param>
    /// <param name="results">[n, ...] row by row, finite.</param>
    let outputs (output: ModelPort) (results: float32[]) : ReadOnlyMemory<byte> =
        object (fun json ->
            json.WriteStartObject "outputs"
            json.WritePropertyName output.Name

            let sizes =
                Array.append [| results.Length / output.Size |] (Array.ofSeq output.Shape)

            writeRow json sizes 0 results 0 |> ignore
            json.WriteEndObject())
