namespace SparseFs.Inference

open System
open System.Buffers
open System.Collections.Generic
open System.IO
open System.Runtime.InteropServices
open SparseFs

/// <summary>A safetensors file, or the files of an index, open for reading; its header is checked, and nothing else is believed.</summary>
[<Sealed>]
type internal ModelFile(path: string) =
    let shards = ShardSet.openAll path

    // What several operations share is read once: a small file that asks for a tensor a thousand times takes no more memory than the file.
    let known = Dictionary<string, float32[]>()

    /// Bytes that are read at once.
    let piece = 1 <<< 20

    // No name is in two files.
    let places =
        let places = Dictionary<string, struct (Shard * TensorInfo)>()

        for shard in shards do
            for t in shard.Header.Tensors do
                places[t.Name] <- struct (shard, t)

        places

    let refuse (problem: CheckpointProblem) (tensor: string) (reason: string) : 'a =
        CheckpointFault.because problem path tensor reason

    let find (name: string) : struct (Shard * TensorInfo) =
        match places.TryGetValue name with
        | true, found -> found
        | _ -> refuse CheckpointProblem.Mismatch name "the network asks for this tensor, which the file does not have"

    let checkShape (t: TensorInfo) (expected: int64[]) =
        if t.Shape <> expected then
            refuse
                CheckpointProblem.Mismatch
                t.Name
                (invariant $"expected shape {Shape.text expected}, got {Shape.text t.Shape}")

    /// Reads elements as they lie there; a piece of bytes holds whole ones.
    let readRaw (shard: Shard) (t: TensorInfo) (take: ReadOnlyMemory<byte> -> int -> unit) =
        CheckpointFault.onFailure shard.File (fun () ->
            let stream = shard.At t
            let room = ArrayPool<byte>.Shared.Rent(int (min (int64 piece) (max 1L t.Bytes)))

            try
                let mutable left = t.Bytes
                let mutable first = 0
                let size = int (TensorInfo.size t.Dtype)

                while left > 0L do
                    let count = int (min left (int64 piece))
                    stream.ReadExactly(room, 0, count)
                    take (ReadOnlyMemory(room, 0, count)) first
                    first <- first + count / size
                    left <- left - int64 count
            finally
                ArrayPool<byte>.Shared.Return room)

    let read (shard: Shard) (t: TensorInfo) (shape: int64[]) : float32[] =
        let name = t.Name
        let count = shape |> Array.fold (*) 1L

        if count > int64 Array.MaxLength then
            refuse CheckpointProblem.Shape name (invariant $"expected at most {Array.MaxLength} numbers, got {count}")

        let values: float32[] = GC.AllocateUninitializedArray(int count)

        let convert (toFloat: ReadOnlyMemory<byte> -> int -> float32) (size: int) =
            readRaw shard t (fun bytes first ->
                for i in 0 .. bytes.Length / size - 1 do
                    values[first + i] <- toFloat bytes i)

        match t.Dtype with
        | Dtype.F32 ->
            readRaw shard t (fun bytes first ->
                bytes.Span.CopyTo(MemoryMarshal.AsBytes(values.AsSpan(first, bytes.Length / 4))))
        | Dtype.F64 -> convert (fun bytes i -> float32 (BitConverter.ToDouble(bytes.Span.Slice(8 * i)))) 8
        | Dtype.F16 -> convert (fun bytes i -> float32 (BitConverter.ToHalf(bytes.Span.Slice(2 * i)))) 2
        | Dtype.BF16 ->
            convert
                (fun bytes i ->
                    BitConverter.Int32BitsToSingle(int (BitConverter.ToUInt16(bytes.Span.Slice(2 * i))) <<< 16))
                2
        | other -> refuse CheckpointProblem.Dtype name (invariant $"expected F32, F64, F16 or BF16, got {other}")

        values

    /// As errors call it.
    member _.Path: string = path

    /// A text of the metadata.
    member _.TryText(key: string) : string voption =
        let mutable found = ValueNone

        for shard in shards do
            for struct (own, text) in shard.Header.Metadata do
                if own = key then
                    found <- ValueSome text

        found

    member _.Refuse(problem: CheckpointProblem, tensor: string, reason: string) : 'a = refuse problem tensor reason

    /// The length of a tensor of one dimension.
    member _.Length(name: string) : int =
        let struct (_, t) = find name

        if t.Shape.Length <> 1 || t.Shape[0] > int64 Array.MaxLength then
            refuse
                CheckpointProblem.Mismatch
                name
                (invariant $"expected one dimension of at most {Array.MaxLength}, got {Shape.text t.Shape}")

        int t.Shape[0]

    /// <summary>A tensor of a shape as float32, row-major: not to be changed.</summary>
    member _.Floats(name: string, shape: int64[]) : float32[] =
        let struct (shard, t) = find name
        checkShape t shape

        match known.TryGetValue name with
        | true, values -> values
        | _ ->
            let values = read shard t shape
            known.Add(name, values)
            values

    /// <summary>A tensor of whole numbers of 32 bits.</summary>
    member _.Ints(name: string, length: int) : int[] =
        let struct (shard, t) = find name
        checkShape t [| int64 length |]

        if t.Dtype <> Dtype.I32 then
            refuse CheckpointProblem.Dtype name (invariant $"expected I32, got {t.Dtype}")

        let values: int[] = GC.AllocateUninitializedArray length

        readRaw shard t (fun bytes first ->
            bytes.Span.CopyTo(MemoryMarshal.AsBytes(values.AsSpan(first, bytes.Length / 4))))

        values

    /// Bytes of a tensor as it lies in the file.
    member _.BytesOf(name: string) : int64 =
        let struct (_, t) = find name
        t.Bytes

    /// Bytes of all files.
    member _.Bytes: int64 = shards |> Array.sumBy _.Length

    interface IDisposable with
        member _.Dispose() =
            for shard in shards do
                (shard :> IDisposable).Dispose()
