namespace SparseFs

open System
open System.Buffers
open System.Collections.Generic
open System.IO
open System.Text.Json
open System.Text.Unicode

/// <summary>Reading the header of a safetensors file that nobody vouches for.</summary>
/// <remarks>The format: 8 bytes, the header's length as a little-endian integer; the header, a JSON object of UTF-8 that
/// begins with a brace and may end in spaces; then the tensors' bytes, row-major and little-endian, without gaps.</remarks>
module internal HeaderReader =

    /// As in the format's own implementation.
    let maxHeader = 100_000_000L

    [<Literal>]
    let MetadataKey = "__metadata__"

    let private header (file: string) (reason: string) : 'a =
        CheckpointFault.because CheckpointProblem.Header file "" reason

    let private ofEntry (file: string) (name: string) (reason: string) : 'a =
        CheckpointFault.because CheckpointProblem.Header file name reason

    /// The name or the string that a reader stands at.
    let stringOf (reader: byref<Utf8JsonReader>) : string =
        match reader.GetString() with
        | null -> raise (JsonException "a string, got null")
        | text -> text

    let private expectObject (file: string) (name: string) (reader: byref<Utf8JsonReader>) =
        if not (reader.Read()) || reader.TokenType <> JsonTokenType.StartObject then
            ofEntry file name (invariant $"expected an object, got {reader.TokenType}")

    /// Numbers of 0 or more, as they are written: no fraction, no exponent.
    let private sizes
        (file: string)
        (name: string)
        (problem: CheckpointProblem)
        (most: int)
        (reader: byref<Utf8JsonReader>)
        =
        if not (reader.Read()) || reader.TokenType <> JsonTokenType.StartArray then
            ofEntry file name (invariant $"expected an array, got {reader.TokenType}")

        let numbers = List<int64>()

        while reader.Read() && reader.TokenType <> JsonTokenType.EndArray do
            let mutable number = -1L

            if reader.TokenType <> JsonTokenType.Number || not (reader.TryGetInt64 &number) then
                ofEntry file name "expected integers of at most 63 bits"

            if number < 0L then
                CheckpointFault.because problem file name (invariant $"expected sizes of 0 or more, got {number}")

            if numbers.Count = most then
                CheckpointFault.because problem file name (invariant $"expected at most {most} numbers")

            numbers.Add number

        numbers.ToArray()

    let private text (file: string) (name: string) (reader: byref<Utf8JsonReader>) : string =
        if not (reader.Read()) || reader.TokenType <> JsonTokenType.String then
            ofEntry file name (invariant $"expected a string, got {reader.TokenType}")

        stringOf &reader

    let private metadata (file: string) (reader: byref<Utf8JsonReader>) : struct (string * string)[] =
        expectObject file MetadataKey &reader
        let entries = List<struct (string * string)>()
        let seen = HashSet<string>()

        while reader.Read() && reader.TokenType = JsonTokenType.PropertyName do
            let key = stringOf &reader

            if not (seen.Add key) then
                ofEntry file MetadataKey (invariant $"expected each name once, got '{key}' twice")

            entries.Add(struct (key, text file MetadataKey &reader))

        entries.ToArray()

    let private eight = Int128.op_Implicit 8

    /// One tensor: its three properties, each once, and no other.
    let private entry (file: string) (name: string) (reader: byref<Utf8JsonReader>) : TensorInfo =
        expectObject file name &reader
        let mutable dtype: string voption = ValueNone
        let mutable shape: int64[] voption = ValueNone
        let mutable offsets: int64[] voption = ValueNone

        while reader.Read() && reader.TokenType = JsonTokenType.PropertyName do
            match stringOf &reader with
            | "dtype" when dtype.IsNone -> dtype <- ValueSome(text file name &reader)
            | "shape" when shape.IsNone ->
                shape <- ValueSome(sizes file name CheckpointProblem.Shape TensorInfo.maxRank &reader)
            | "data_offsets" when offsets.IsNone ->
                offsets <- ValueSome(sizes file name CheckpointProblem.Layout 2 &reader)
            | other -> ofEntry file name (invariant $"expected dtype, shape and data_offsets, each once, got '{other}'")

        let struct (dtype, shape, first, next) =
            match dtype, shape, offsets with
            | ValueSome dtype, ValueSome shape, ValueSome [| first; next |] -> struct (dtype, shape, first, next)
            | _ -> ofEntry file name "expected dtype, shape and two data_offsets"

        let stored =
            match TensorInfo.tryDtype dtype with
            | ValueSome stored -> stored
            | ValueNone ->
                let known = String.Join(", ", Enum.GetNames<Dtype>())

                CheckpointFault.because
                    CheckpointProblem.Dtype
                    file
                    name
                    (invariant $"expected one of {known}, got '{dtype}'")

        if next < first then
            CheckpointFault.because
                CheckpointProblem.Layout
                file
                name
                (invariant $"expected rising offsets, got [{first}, {next}]")

        match TensorInfo.tryBits stored shape with
        | ValueSome bits when bits = Int128.op_Implicit (next - first) * eight -> ()
        | ValueSome bits ->
            let expected =
                if bits % eight = Int128.Zero then
                    (invariant $"{bits / eight} bytes")
                else
                    (invariant $"whole bytes, not {bits} bits,")

            let expected = (invariant $"expected {expected} for {stored} {Shape.text shape}")

            CheckpointFault.because CheckpointProblem.Shape file name (invariant $"{expected}, got {next - first}")
        | ValueNone ->
            let got = (invariant $"got {Shape.text shape}")

            CheckpointFault.because
                CheckpointProblem.Shape
                file
                name
                (invariant $"expected fewer than 2^63 bytes, {got}")

        { Name = name
          Dtype = stored
          Shape = shape
          Start = first
          Bytes = next - first }

    let private parseJson (file: string) (json: byte[]) : struct (TensorInfo[] * struct (string * string)[]) =
        let options =
            JsonReaderOptions(MaxDepth = 4, CommentHandling = JsonCommentHandling.Disallow, AllowTrailingCommas = false)

        let mutable reader = Utf8JsonReader(ReadOnlySpan json, options)
        let tensors = List<TensorInfo>()
        let mutable entries: struct (string * string)[] = [||]
        let seen = HashSet<string>()
        expectObject file "" &reader

        while reader.Read() && reader.TokenType = JsonTokenType.PropertyName do
            let name = stringOf &reader

            if not (seen.Add name) then
                ofEntry file name "expected each name once, got it twice"

            if name = MetadataKey then
                entries <- metadata file &reader
            else
                tensors.Add(entry file name &reader)

        // What follows the object must be space; the reader throws if it is not.
        while reader.Read() do
            ()

        struct (tensors.ToArray(), entries)

    /// Bytes without a gap and without an overlap, up to the end of the file.
    let private checkLayout (file: string) (dataBytes: int64) (tensors: TensorInfo[]) =
        let refuse name reason =
            CheckpointFault.because CheckpointProblem.Layout file name reason

        let mutable next = 0L

        for t in tensors do
            if t.Start < next then
                refuse t.Name (invariant $"overlaps what comes before it: expected offset {next}, got {t.Start}")

            if t.Start > next then
                refuse t.Name (invariant $"leaves a gap before it: expected offset {next}, got {t.Start}")

            next <- t.Start + t.Bytes

            if next > dataBytes then
                refuse t.Name (invariant $"expected bytes up to {next}, but there are {dataBytes}")

        if next < dataBytes then
            refuse "" (invariant $"expected {next} bytes after the header, got {dataBytes}")

    /// <summary>Checks a header.</summary>
    /// <param name="file">For messages.</param>
    /// <param name="json">The header, without the length before it.</param>
    /// <param name="dataBytes">How many bytes follow it.</param>
    /// <exception cref="T:SparseFs.CheckpointException">Anything is not as the format has it.</exception>
    let parse (file: string) (json: byte[]) (dataBytes: int64) : FileHeader =
        if json.Length = 0 || json[0] <> byte '{' then
            header file "expected a header that begins with a brace"

        if not (Utf8.IsValid(ReadOnlySpan json)) then
            header file "expected a header of UTF-8"

        let struct (tensors, metadata) =
            try
                parseJson file json
            with
            | :? JsonException as e -> header file (invariant $"expected JSON: {e.Message}")
            | :? InvalidOperationException as e -> header file (invariant $"expected Unicode: {e.Message}") // a lone surrogate

        let ordered = tensors |> Array.sortBy (fun t -> struct (t.Start, t.Bytes))
        checkLayout file dataBytes ordered

        { Tensors = ordered
          Metadata = metadata
          DataStart = 8L + json.LongLength }

    /// <summary>Reads and checks the header of a stream that stands at its beginning.</summary>
    /// <exception cref="T:SparseFs.CheckpointException">Anything is not as the format has it.</exception>
    let read (file: string) (stream: Stream) : FileHeader =
        let length = stream.Length

        if length < 8L then
            header file (invariant $"expected at least 8 bytes, got {length}")

        let prefix: byte[] = Array.zeroCreate 8
        stream.ReadExactly prefix
        let announced = Binary.BinaryPrimitives.ReadUInt64LittleEndian(ReadOnlySpan prefix)
        let room = uint64 (min maxHeader (length - 8L))

        if announced > room then
            match ForeignFile.tryName prefix stream with
            | ValueSome name -> header file name
            | ValueNone -> header file (invariant $"expected a header of at most {room} bytes, got {announced}")

        let json: byte[] = Array.zeroCreate (int announced)
        stream.ReadExactly json
        parse file json (length - 8L - int64 announced)
