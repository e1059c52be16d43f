namespace SparseFs.Tool

open System
open System.Text.Json
open SparseFs.Inference

/// <summary>What a network takes and gives, as texts and as JSON.</summary>
module internal Signature =

    /// input: float32 [batch, 784]
    let line (port: ModelPort) : string = Refusal.shown (port.ToString())

    /// The labels in one line, the first ones where there are many.
    let labels (port: ModelPort) : string =
        let most = 10
        let first = String.Join(", ", Seq.truncate most port.Labels)
        Refusal.shown (if port.Labels.Count > most then first + ", …" else first)

    let private writePort (json: Utf8JsonWriter) (port: ModelPort) : unit =
        json.WriteStartObject()
        json.WriteString("name", port.Name)
        json.WriteString("dtype", port.Dtype)
        json.WriteStartArray "shape"
        json.WriteStringValue "batch"

        if port.TokensName <> "" then
            json.WriteStringValue port.TokensName

        for size in port.Shape do
            json.WriteNumberValue size

        json.WriteEndArray()

        if port.Labels.Count > 0 then
            json.WriteStartArray "labels"

            for label in port.Labels do
                json.WriteStringValue label

            json.WriteEndArray()

        json.WriteEndObject()

    /// <summary>The properties "inputs" and "outputs" of the object that a writer is in.</summary>
    let write (json: Utf8JsonWriter) (model: SparseModel) : unit =
        json.WriteStartArray "inputs"

        for port in model.Inputs do
            writePort json port

        json.WriteEndArray()
        json.WriteStartArray "outputs"

        for port in model.Outputs do
            writePort json port

        json.WriteEndArray()
