namespace SparseFs.Inference

open System.Buffers
open System.Text
open System.Text.Json

/// Dtypes of ports as texts.
[<RequireQualifiedAccess>]
module internal PortDtypes =

    let text (dtype: PortDtype) : string =
        match dtype with
        | PortDtype.Int32 -> "int32"
        | PortDtype.Int64 -> "int64"
        | _ -> "float32"

    let all: PortDtype list = [ PortDtype.Float32; PortDtype.Int32; PortDtype.Int64 ]

/// <summary>A network as the JSON text of a file's metadata.</summary>
module internal NetworkWriter =

    let write (network: NetworkDescription) : string =
        let buffer = ArrayBufferWriter<byte>()

        (use json = new Utf8JsonWriter(buffer)

         let port (p: NetworkPort) (isOutput: bool) =
             json.WriteStartObject()
             json.WriteString("name", p.Name)

             if isOutput then
                 json.WriteString("value", p.Value)

             json.WriteString("dtype", PortDtypes.text p.Dtype)
             json.WriteStartArray "shape"
             json.WriteStringValue "batch"

             if p.Shape.HasTokens then
                 json.WriteStringValue p.TokensName

             for size in p.Shape.Sizes do
                 json.WriteNumberValue size

             json.WriteEndArray()

             if p.Mean <> 0.0 || p.Deviation <> 1.0 then
                 json.WriteNumber("mean", p.Mean)
                 json.WriteNumber("deviation", p.Deviation)

             if p.Labels.Length > 0 then
                 json.WriteStartArray "labels"

                 for label in p.Labels do
                     json.WriteStringValue label

                 json.WriteEndArray()

             json.WriteEndObject()

         json.WriteStartObject()
         json.WriteNumber("version", NetworkDescription.Version)
         json.WriteStartArray "inputs"

         for p in network.Inputs do
             port p false

         json.WriteEndArray()
         json.WriteStartArray "outputs"

         for p in network.Outputs do
             port p true

         json.WriteEndArray()
         json.WriteStartArray "nodes"

         for node in network.Nodes do
             json.WriteStartObject()
             json.WriteString("name", node.Name)
             json.WriteString("operator", node.Operator)
             json.WriteStartArray "inputs"

             for input in node.Inputs do
                 json.WriteStringValue input

             json.WriteEndArray()

             if node.Numbers.Length > 0 then
                 json.WriteStartObject "numbers"

                 for struct (name, number) in node.Numbers do
                     json.WriteNumber(name, number)

                 json.WriteEndObject()

             if node.Sizes.Length > 0 then
                 json.WriteStartObject "sizes"

                 for struct (name, sizes) in node.Sizes do
                     json.WriteStartArray name

                     for size in sizes do
                         json.WriteNumberValue size

                     json.WriteEndArray()

                 json.WriteEndObject()

             if node.Tensors.Length > 0 then
                 json.WriteStartObject "tensors"

                 for struct (role, tensor) in node.Tensors do
                     json.WriteString(role, tensor)

                 json.WriteEndObject()

             json.WriteEndObject()

         json.WriteEndArray()
         json.WriteEndObject())

        Encoding.UTF8.GetString buffer.WrittenSpan
