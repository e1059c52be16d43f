namespace SparseFs

open System
open System.Buffers
open System.Buffers.Binary
open System.IO
open System.Text.Json

/// <summary>Writing safetensors files.</summary>
module internal SafetensorsWriter =

    /// <summary>Gives tensors their places: larger elements first, then by name, so that each is aligned to its size.</summary>
    /// <param name="tensors">Names, element types and shapes; places are not looked at.</param>
    let place (tensors: TensorInfo[]) : TensorInfo[] =
        let ordered = Array.copy tensors

        ordered
        |> Array.sortInPlaceWith (fun a b ->
            match compare (TensorInfo.size b.Dtype) (TensorInfo.size a.Dtype) with
            | 0 -> String.CompareOrdinal(a.Name, b.Name)
            | order -> order)

        let mutable next = 0L

        ordered
        |> Array.map (fun t ->
            let start = next
            next <- Checked.(+) next t.Bytes
            { t with Start = start })

    /// The header with its length before it, padded with spaces so that the tensors begin at a multiple of 8.
    let private header (metadata: struct (string * string)[]) (tensors: TensorInfo[]) : byte[] =
        let buffer = ArrayBufferWriter<byte>()

        (use json = new Utf8JsonWriter(buffer)
         json.WriteStartObject()

         if metadata.Length > 0 then
             json.WriteStartObject HeaderReader.MetadataKey

             for struct (key, value) in metadata do
                 json.WriteString(key, value)

             json.WriteEndObject()

         for t in tensors do
             json.WriteStartObject t.Name
             json.WriteString("dtype", t.Dtype.ToString())
             json.WriteStartArray "shape"

             for size in t.Shape do
                 json.WriteNumberValue size

             json.WriteEndArray()
             json.WriteStartArray "data_offsets"
             json.WriteNumberValue t.Start
             json.WriteNumberValue(t.Start + t.Bytes)
             json.WriteEndArray()
             json.WriteEndObject()

         json.WriteEndObject())

        let padded = (buffer.WrittenCount + 7) / 8 * 8
        let bytes = Array.create (8 + padded) (byte ' ')
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(), uint64 padded)
        buffer.WrittenSpan.CopyTo(bytes.AsSpan 8)
        bytes

    /// <summary>Writes a file, whole or not at all.</summary>
    /// <param name="wrap">What the writing goes through; id but in tests.</param>
    /// <param name="file">The target.</param>
    /// <param name="metadata">Names and texts; each name once.</param>
    /// <param name="tensors">Distinct names, element types, shapes and bytes; in any order.</param>
    /// <param name="write">Writes the bytes of the tensor of that name.</param>
    /// <exception cref="T:SparseFs.CheckpointException">It could not be written; the target is what it was.</exception>
    /// <exception cref="T:System.ArgumentException">The header would be larger than a reader takes.</exception>
    let writeThrough
        (wrap: Stream -> Stream)
        (file: string)
        (metadata: struct (string * string)[])
        (tensors: TensorInfo[])
        (write: string -> Stream -> unit)
        : unit =
        let placed = place tensors
        let head = header metadata placed

        if head.LongLength - 8L > HeaderReader.maxHeader then
            let message =
                (invariant
                    $"expected names and texts of at most {HeaderReader.maxHeader} bytes, got {head.LongLength - 8L}")

            raise (ArgumentException(message, nameof tensors))

        CheckpointFault.onFailure file (fun () ->
            AtomicFile.tryWrongKind file
            |> ValueOption.iter (CheckpointFault.because CheckpointProblem.Access file "")

            AtomicFile.writeThrough wrap file (fun stream ->
                stream.Write(ReadOnlySpan head)

                for t in placed do
                    write t.Name stream))
