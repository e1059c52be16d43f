namespace SparseFs.Tool

open System.Buffers
open System.IO
open System.Text
open System.Text.Json
open SparseFs
open SparseFs.Inference

/// <summary>What a file holds, as JSON.</summary>
module internal InfoJson =

    let private writeLayer (json: Utf8JsonWriter) (l: ModelLayer) : unit =
        json.WriteStartObject()
        json.WriteString("name", l.Name)
        json.WriteNumber("outputs", l.Outputs)
        json.WriteNumber("inputs", l.Inputs)
        json.WriteNumber("nnz", l.Nnz)
        json.WriteNumber("denseBytes", l.DenseBytes)
        json.WriteNumber("sparseBytes", l.SparseBytes)
        json.WriteNumber("storedBytes", l.StoredBytes)
        json.WriteEndObject()

    let private writePattern (json: Utf8JsonWriter) (p: StoredPattern) : unit =
        json.WriteStartObject()
        json.WriteString("weight", p.Weight)
        json.WriteString("dtype", string p.Dtype)
        json.WriteNumber("rows", p.Rows)
        p.Cols |> ValueOption.iter (fun cols -> json.WriteNumber("columns", cols))
        json.WriteNumber("nnz", p.Nnz)

        p.TrySparsity
        |> ValueOption.iter (fun part -> json.WriteNumber("sparsity", part))

        json.WriteNumber("bytes", p.Bytes)
        json.WriteEndObject()

    let private writeTensor (json: Utf8JsonWriter) (p: PlainTensor) : unit =
        json.WriteStartObject()
        json.WriteString("name", p.Tensor.Name)
        json.WriteString("dtype", string p.Tensor.Dtype)
        json.WriteStartArray "shape"

        for size in p.Tensor.Shape do
            json.WriteNumberValue size

        json.WriteEndArray()

        p.NonZeros
        |> ValueOption.iter (fun count ->
            json.WriteNumber("nnz", count)
            json.WriteNumber("sparsity", Sparsity.ofCount count (TensorFile.Count p.Tensor)))

        json.WriteNumber("bytes", p.Tensor.Bytes)
        json.WriteEndObject()

    let private writeList (json: Utf8JsonWriter) (name: string) (write: Utf8JsonWriter -> 'a -> unit) (items: seq<'a>) =
        json.WriteStartArray name

        for item in items do
            write json item

        json.WriteEndArray()

    /// <summary>Writes one object.</summary>
    let write (output: TextWriter) (report: InfoReport) : unit =
        let buffer = ArrayBufferWriter<byte>()

        (use json = new Utf8JsonWriter(buffer, JsonWriterOptions(Indented = true))
         json.WriteStartObject()
         json.WriteString("file", report.File)
         json.WriteString("format", report.Format)
         json.WriteNumber("bytes", report.Bytes)

         match report.Network with
         | ValueSome model ->
             Signature.write json model
             writeList json "layers" writeLayer model.Layers
         | ValueNone -> ()

         writeList json "patterns" writePattern report.Patterns
         writeList json "tensors" writeTensor report.Tensors
         json.WriteEndObject())

        output.WriteLine(Encoding.UTF8.GetString buffer.WrittenSpan)
