namespace SparseFs

open System
open System.IO
open System.Text

/// <summary>A field of a protocol buffer's message, by its number.</summary>
/// <remarks>Encoding: Google, "Protocol Buffers: Encoding". Lengths are counted before anything is written, so that large
/// blocks are never copied.</remarks>
[<RequireQualifiedAccess>]
type internal ProtoField =
    | Integer of field: int * value: int64
    | Float of field: int * value: float32
    | Block of field: int * bytes: byte[]
    | Message of field: int * fields: ProtoField list

module internal Protobuf =

    let text (field: int) (value: string) : ProtoField =
        ProtoField.Block(field, Encoding.UTF8.GetBytes value)

    let private varintSize (value: uint64) : int64 =
        let mutable size = 1L
        let mutable left = value >>> 7

        while left > 0UL do
            size <- size + 1L
            left <- left >>> 7

        size

    let private tagSize (field: int) = varintSize (uint64 field <<< 3)

    /// The bytes that a message's fields take.
    let rec size (fields: ProtoField list) : int64 = fields |> List.sumBy sizeOf

    and private sizeOf (field: ProtoField) : int64 =
        let block (field: int) (length: int64) =
            tagSize field + varintSize (uint64 length) + length

        match field with
        | ProtoField.Integer(field, value) -> tagSize field + varintSize (uint64 value)
        | ProtoField.Float(field, _) -> tagSize field + 4L
        | ProtoField.Block(field, bytes) -> block field bytes.LongLength
        | ProtoField.Message(field, fields) -> block field (size fields)

    let private writeVarint (stream: Stream) (value: uint64) =
        let mutable left = value

        while left > 127UL do
            stream.WriteByte(byte left ||| 128uy)
            left <- left >>> 7

        stream.WriteByte(byte left)

    /// <summary>Writes a message's fields, in order. A message has no end of its own: whoever holds it knows.</summary>
    let rec write (stream: Stream) (fields: ProtoField list) : unit =
        let tag (field: int) (wireType: uint64) =
            writeVarint stream ((uint64 field <<< 3) ||| wireType)

        for field in fields do
            match field with
            | ProtoField.Integer(field, value) ->
                tag field 0UL
                writeVarint stream (uint64 value)
            | ProtoField.Float(field, value) ->
                tag field 5UL
                let bytes = BitConverter.GetBytes value

                if not BitConverter.IsLittleEndian then
                    Array.Reverse bytes

                stream.Write(bytes, 0, 4)
            | ProtoField.Block(field, bytes) ->
                tag field 2UL
                writeVarint stream (uint64 bytes.LongLength)
                stream.Write(bytes, 0, bytes.Length)
            | ProtoField.Message(field, fields) ->
                tag field 2UL
                writeVarint stream (uint64 (size fields))
                write stream fields
