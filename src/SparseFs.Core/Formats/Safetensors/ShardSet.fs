namespace SparseFs

open System
open System.Collections.Generic
open System.IO

/// <summary>A safetensors file that is open for reading, its header checked.</summary>
[<Sealed>]
type internal Shard(file: string, stream: FileStream) =

    let header =
        try
            CheckpointFault.onFailure file (fun () ->
                stream.Position <- 0L
                HeaderReader.read file stream)
        with _ ->
            stream.Dispose()
            reraise ()

    /// As errors call it.
    member _.File: string = file

    /// In bytes.
    member _.Length: int64 = stream.Length

    member _.Header: FileHeader = header

    /// The file, where a tensor's bytes begin.
    member _.At(t: TensorInfo) : Stream =
        stream.Position <- header.DataStart + t.Start
        stream

    interface IDisposable with
        member _.Dispose() = stream.Dispose()

/// <summary>A checkpoint's files: one, or those that an index names.</summary>
module internal ShardSet =

    let private openFile (file: string) : FileStream =
        CheckpointFault.onFailure file (fun () ->
            AtomicFile.tryWrongKind file
            |> ValueOption.iter (CheckpointFault.because CheckpointProblem.Access file "")

            AtomicFile.openRead 1 file)

    let private disposeAll (shards: seq<Shard>) =
        for shard in shards do
            (shard :> IDisposable).Dispose()

    /// Every tensor of the index where the index says, and none in two files.
    let private check (index: string) (map: Dictionary<string, string>) (shards: Dictionary<string, Shard>) =
        let places = Dictionary<string, string>()

        for entry in shards do
            for t in entry.Value.Header.Tensors do
                if not (places.TryAdd(t.Name, entry.Key)) then
                    let reason = (invariant $"it is in '{places[t.Name]}' and in '{entry.Key}'")

                    CheckpointFault.because
                        CheckpointProblem.Layout
                        index
                        t.Name
                        (invariant $"expected each name in one file, {reason}")

        for entry in map do
            match places.TryGetValue entry.Key with
            | true, place when place = entry.Value -> ()
            | true, place ->
                CheckpointFault.because
                    CheckpointProblem.Layout
                    index
                    entry.Key
                    (invariant $"expected it in '{entry.Value}', as the index says, got it in '{place}'")
            | _ ->
                CheckpointFault.because
                    CheckpointProblem.Layout
                    index
                    entry.Key
                    (invariant $"expected it in '{entry.Value}', as the index says, but it is in none of its files")

    let private openShards (index: string) (map: Dictionary<string, string>) : Shard[] =
        let folder =
            match Path.GetDirectoryName index with
            | null -> "" // a root, in which no file was opened
            | folder -> folder

        let opened = Dictionary<string, Shard>()
        let names = Array.ofSeq (HashSet<string> map.Values)
        Array.sortInPlaceWith (fun (a: string) b -> String.CompareOrdinal(a, b)) names

        try
            for name in names do
                let file = Path.Combine(folder, name)

                if SystemFiles.kind file = PathKind.Missing then
                    CheckpointFault.because
                        CheckpointProblem.NotFound
                        index
                        ""
                        (invariant $"the index names '{name}', which is not there")

                opened.Add(name, new Shard(file, openFile file))

            check index map opened
            [| for name in names -> opened[name] |]
        with _ ->
            disposeAll opened.Values
            reraise ()

    /// <summary>Opens a safetensors file, or all files of an index.</summary>
    /// <returns>By the files' names, in ordinal order.</returns>
    /// <exception cref="T:SparseFs.CheckpointException">A file cannot be read or is not as its format has it, or the files are
    /// not what the index says.</exception>
    let openAll (file: string) : Shard[] =
        let stream = openFile file

        let index =
            try
                CheckpointFault.onFailure file (fun () ->
                    if ShardIndex.isIndex stream then
                        ValueSome(ShardIndex.read file stream)
                    else
                        ValueNone)
            with _ ->
                stream.Dispose()
                reraise ()

        match index with
        | ValueNone -> [| new Shard(file, stream) |]
        | ValueSome map ->
            stream.Dispose()
            openShards file map

    /// <summary>The texts of all files. What this library reads itself must not differ between them; of others the first file's
    /// text stands.</summary>
    let metadata (file: string) (shards: Shard[]) : Dictionary<string, string> =
        let texts = Dictionary<string, string>()

        for shard in shards do
            for struct (key, value) in shard.Header.Metadata do
                if
                    not (texts.TryAdd(key, value))
                    && texts[key] <> value
                    && key.StartsWith("sparsefs.", StringComparison.Ordinal)
                then
                    CheckpointFault.because CheckpointProblem.Mismatch file key "expected one text, the files differ"

        texts
