namespace SparseFs

open System
open System.Collections.Generic
open System.IO
open System.Text.Json
open System.Text.Unicode

/// <summary>The index of a checkpoint in several files, as Hugging Face's libraries write it: a JSON object whose
/// <c>weight_map</c> has, for each tensor, the file that holds it.</summary>
/// <remarks>Nobody vouches for it: names of files are plain names of the index's own folder, and their number and the index's
/// length are bounded.</remarks>
module internal ShardIndex =

    /// Each stays open while the checkpoint is read.
    let maxShards = 1000

    let private refuse (file: string) (entry: string) (reason: string) : 'a =
        CheckpointFault.because CheckpointProblem.Header file entry reason

    /// <summary>Whether a file is JSON and no safetensors file, whose eight bytes of length hold a zero.</summary>
    let isIndex (stream: Stream) : bool =
        let start: byte[] = Array.zeroCreate 8
        stream.Position <- 0L
        let count = stream.ReadAtLeast(start.AsSpan(), 8, throwOnEndOfStream = false)
        stream.Position <- 0L
        let first = start.AsSpan().IndexOfAnyExcept(" \t\r\n"B.AsSpan())

        count = 8
        && first >= 0
        && start[first] = byte '{'
        && not (Array.contains 0uy start)

    /// A file of the same folder: no way out of it, nothing that a system reads otherwise than as a name.
    let private isPlain (name: string) : bool =
        name <> ""
        && name <> "."
        && name <> ".."
        && name.Length <= 255
        && name
           |> String.forall (fun ch -> ch >= ' ' && ch <> '/' && ch <> '\\' && ch <> ':' && ch <> '\127')

    let private weightMap (file: string) (reader: byref<Utf8JsonReader>) : Dictionary<string, string> =
        if not (reader.Read()) || reader.TokenType <> JsonTokenType.StartObject then
            refuse file "weight_map" (invariant $"expected an object, got {reader.TokenType}")

        let shards = Dictionary<string, string>()

        while reader.Read() && reader.TokenType = JsonTokenType.PropertyName do
            let tensor = HeaderReader.stringOf &reader

            if not (reader.Read()) || reader.TokenType <> JsonTokenType.String then
                refuse file tensor (invariant $"expected the name of a file, got {reader.TokenType}")

            let shard = HeaderReader.stringOf &reader

            if not (isPlain shard) then
                refuse
                    file
                    tensor
                    (invariant $"expected the plain name of a file in the index's folder, got {ArrayFile.shown shard}")

            if not (shards.TryAdd(tensor, shard)) then
                refuse file tensor "expected each name once, got it twice"

        shards

    /// <summary>Checks an index.</summary>
    /// <returns>The file of each tensor.</returns>
    /// <exception cref="T:SparseFs.CheckpointException">It is not as the format has it.</exception>
    let parse (file: string) (json: byte[]) : Dictionary<string, string> =
        if not (Utf8.IsValid(ReadOnlySpan json)) then
            refuse file "" "expected an index of UTF-8"

        let mutable map: Dictionary<string, string> voption = ValueNone

        try
            let mutable reader =
                Utf8JsonReader(ReadOnlySpan json, JsonReaderOptions(MaxDepth = 8))

            if not (reader.Read()) || reader.TokenType <> JsonTokenType.StartObject then
                refuse file "" (invariant $"expected an object, got {reader.TokenType}")

            while reader.Read() && reader.TokenType = JsonTokenType.PropertyName do
                if reader.GetString() <> "weight_map" then
                    reader.Skip()
                elif map.IsNone then
                    map <- ValueSome(weightMap file &reader)
                else
                    refuse file "weight_map" "expected it once, got it twice"

            // What follows the object must be space; the reader throws if it is not.
            while reader.Read() do
                ()
        with
        | :? JsonException as e -> refuse file "" (invariant $"expected JSON: {e.Message}")
        | :? InvalidOperationException as e -> refuse file "" (invariant $"expected Unicode: {e.Message}") // a lone surrogate

        let map =
            match map with
            | ValueSome map -> map
            | ValueNone ->
                refuse file "" "expected a safetensors file, or an index of several with a weight_map; got other JSON"

        let count = (HashSet<string> map.Values).Count

        if count > maxShards then
            refuse file "weight_map" (invariant $"expected at most {maxShards} files, got {count}")

        map

    /// <summary>Reads and checks an index from its start.</summary>
    /// <exception cref="T:SparseFs.CheckpointException">It is not as the format has it.</exception>
    let read (file: string) (stream: Stream) : Dictionary<string, string> =
        if stream.Length > HeaderReader.maxHeader then
            refuse
                file
                ""
                (invariant $"expected an index of at most {HeaderReader.maxHeader} bytes, got {stream.Length}")

        let json: byte[] = Array.zeroCreate (int stream.Length)
        stream.ReadExactly json
        parse file json
