namespace SparseFs.Tool

open System
open System.Buffers
open System.Collections.Generic
open System.Text
open System.Text.Json
open SparseFs

/// <summary>A linear layer of a chain.</summary>
[<NoComparison>]
type internal MlpLayer =
    {
        /// Its place in the model.
        Layer: string
        Inputs: int64
        Outputs: int64
        HasBias: bool
        IsSparse: bool
    }

/// <summary>Linear layers one behind the other, with an activation between them, as a network of docs/format.md.</summary>
module internal MlpDescription =

    /// Operators of one input without numbers and tensors; none for no activation.
    let activations: string list =
        [ "relu"; "gelu"; "gelu_tanh"; "silu"; "sigmoid"; "tanh"; "none" ]

    /// A name as texts and numbers, so that layer 10 comes after layer 9.
    let private parts (name: string) : struct (string * string)[] =
        let parts = List<struct (string * string)>()
        let mutable at = 0

        while at < name.Length do
            let mutable next = at

            while next < name.Length && not (Char.IsAsciiDigit name[next]) do
                next <- next + 1

            let text = name.Substring(at, next - at)
            at <- next

            while next < name.Length && Char.IsAsciiDigit name[next] do
                next <- next + 1

            parts.Add(struct (text, name.Substring(at, next - at).TrimStart '0'))
            at <- next

        parts.ToArray()

    /// <summary>The order of names in which the numbers within them count as numbers.</summary>
    let compareNames (a: string) (b: string) : int =
        let a', b' = parts a, parts b
        let mutable order = 0
        let mutable i = 0

        while order = 0 && i < min a'.Length b'.Length do
            let struct (textA, numberA) = a'[i]
            let struct (textB, numberB) = b'[i]
            order <- String.CompareOrdinal(textA, textB)

            if order = 0 then
                order <- compare numberA.Length numberB.Length

            if order = 0 then
                order <- String.CompareOrdinal(numberA, numberB)

            i <- i + 1

        if order <> 0 then order
        elif a'.Length <> b'.Length then compare a'.Length b'.Length
        else String.CompareOrdinal(a, b)

    let private refuse (name: string) (reason: string) : 'a =
        let cure = "leave --network away for a file without a description"
        Refusal.because (invariant $"--network mlp: '{name}' {reason}; {cure}")

    /// <summary>The chain that a file's tensors are.</summary>
    /// <param name="tensors">All of the file, before anything is cut.</param>
    /// <param name="isSparse">Whether a weight of that name becomes sparse.</param>
    /// <exception cref="T:SparseFs.Tool.Refusal">A tensor is no weight and no bias of one, or sizes do not chain.</exception>
    let layersOf (tensors: TensorInfo[]) (isSparse: string -> bool) : MlpLayer list =
        let byName = dict [ for t in tensors -> t.Name, t ]

        let isWeight (t: TensorInfo) =
            ConvertRule.IsWeight t && t.Shape.Length = 2 && Elements.isFloating t.Dtype

        let weights =
            tensors
            |> Array.filter isWeight
            |> Array.sortWith (fun a b -> compareNames a.Name b.Name)
            |> List.ofArray

        let layers =
            [ for t in weights do
                  let layer = CutLayer.layerOf t.Name

                  { Layer = layer
                    Inputs = t.Shape[1]
                    Outputs = t.Shape[0]
                    HasBias =
                      match byName.TryGetValue(CutLayer.key layer "bias") with
                      | true, bias when bias.Shape = [| t.Shape[0] |] && Elements.isFloating bias.Dtype -> true
                      | true, bias ->
                          refuse
                              bias.Name
                              (invariant $"is no bias of [{t.Shape[0]}], but {bias.Dtype} {Shape.text bias.Shape}")
                      | _ -> false
                    IsSparse = isSparse t.Name } ]

        let known =
            set
                [ for l in layers do
                      CutLayer.key l.Layer "weight"

                      if l.HasBias then
                          CutLayer.key l.Layer "bias" ]

        for t in tensors do
            if not (known.Contains t.Name) then
                refuse t.Name "is no weight [out, in] and no bias of one"

        if layers.IsEmpty then
            Refusal.because "--network mlp: expected weights [out, in], got none"

        for before, after in List.pairwise layers do
            if before.Outputs <> after.Inputs then
                let first, second =
                    CutLayer.key before.Layer "weight", CutLayer.key after.Layer "weight"

                refuse
                    second
                    (invariant $"takes {after.Inputs} numbers, and '{first}' before it gives {before.Outputs}")

        layers

    let private writePort (json: Utf8JsonWriter) (name: string) (value: string) (size: int64) =
        json.WriteStartObject()
        json.WriteString("name", name)

        if value <> "" then
            json.WriteString("value", value)

        json.WriteString("dtype", "float32")
        json.WriteStartArray "shape"
        json.WriteStringValue "batch"
        json.WriteNumberValue size
        json.WriteEndArray()
        json.WriteEndObject()

    let private writeLayer (json: Utf8JsonWriter) (name: string) (input: string) (l: MlpLayer) =
        json.WriteStartObject()
        json.WriteString("name", name)
        json.WriteString("operator", (if l.IsSparse then "sparse_linear" else "linear"))
        json.WriteStartArray "inputs"
        json.WriteStringValue input
        json.WriteEndArray()
        json.WriteStartObject "numbers"
        json.WriteNumber("in_features", l.Inputs)
        json.WriteNumber("out_features", l.Outputs)
        json.WriteEndObject()
        json.WriteStartObject "tensors"

        for role in
            [ "weight"
              if l.IsSparse then
                  "row_ptr"
                  "col_idx"
              if l.HasBias then
                  "bias" ] do
            json.WriteString(role, CutLayer.key l.Layer role)

        json.WriteEndObject()
        json.WriteEndObject()

    let private writeActivation (json: Utf8JsonWriter) (name: string) (operator': string) (input: string) =
        json.WriteStartObject()
        json.WriteString("name", name)
        json.WriteString("operator", operator')
        json.WriteStartArray "inputs"
        json.WriteStringValue input
        json.WriteEndArray()
        json.WriteEndObject()

    /// <summary>The text of the network.</summary>
    /// <param name="activation">One of activations, which follows each layer but the last.</param>
    /// <param name="layers">One or more, whose sizes chain.</param>
    let write (activation: string) (layers: MlpLayer list) : string =
        let taken = HashSet<string>()

        /// A name that nothing else has.
        let fresh (wanted: string) =
            let free =
                Seq.append [ wanted ] (Seq.initInfinite (fun i -> invariant $"{wanted}_{i + 2}"))
                |> Seq.find (fun name -> not (taken.Contains name))

            taken.Add free |> ignore
            free

        let buffer = ArrayBufferWriter<byte>()

        let names =
            layers |> List.map (fun l -> fresh (if l.Layer = "" then "linear" else l.Layer))

        let input, output = fresh "input", fresh "output"

        (use json = new Utf8JsonWriter(buffer)
         json.WriteStartObject()
         json.WriteNumber("version", 1)
         json.WriteStartArray "inputs"
         writePort json input "" layers.Head.Inputs
         json.WriteEndArray()
         json.WriteStartArray "outputs"
         writePort json output (List.last names) (List.last layers).Outputs
         json.WriteEndArray()
         json.WriteStartArray "nodes"
         let mutable before = input

         for i, (name, layer) in List.indexed (List.zip names layers) do
             writeLayer json name before layer
             before <- name

             if activation <> "none" && i < layers.Length - 1 then
                 before <- fresh (name + "." + activation)
                 writeActivation json before activation name

         json.WriteEndArray()
         json.WriteEndObject())

        Encoding.UTF8.GetString buffer.WrittenSpan
