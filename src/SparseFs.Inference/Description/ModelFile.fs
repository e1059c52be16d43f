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

    /// Elements as they lie there, which are of the size of 'T.
    member private _.Elements<'T when 'T: unmanaged and 'T: struct and 'T: (new: unit -> 'T) and 'T :> ValueType>
        (shard: Shard, t: TensorInfo)
        : 'T[] =
        let size = TensorInfo.size t.Dtype
        let count = t.Bytes / size

        if count > int64 Array.MaxLength then
            refuse CheckpointProblem.Shape t.Name (invariant $"expected at most {Array.MaxLength} numbers, got {count}")

        let values: 'T[] = GC.AllocateUninitializedArray(int count)

        readRaw shard t (fun bytes first ->
            bytes.Span.CopyTo(MemoryMarshal.AsBytes(values.AsSpan(first, bytes.Length / int size))))

        values

    /// Refuses a tensor of another shape.
    member _.Check(name: string, shape: int64[]) : unit =
        let struct (_, t) = find name
        checkShape t shape

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
    member f.Ints(name: string, length: int) : int[] =
        let struct (shard, t) = find name
        checkShape t [| int64 length |]

        if t.Dtype <> Dtype.I32 then
            refuse CheckpointProblem.Dtype name (invariant $"expected I32, got {t.Dtype}")

        f.Elements(shard, t)

    /// The bytes of a tensor of bytes.
    member f.Raw(name: string) : byte[] =
        let struct (shard, t) = find name

        if t.Dtype <> Dtype.U8 then
            refuse CheckpointProblem.Dtype name (invariant $"expected U8, got {t.Dtype}")

        f.Elements(shard, t)

    /// <summary>Weights in the form in which they are stored.</summary>
    /// <param name="name">F32, F64, F16 or BF16; or I8, with scales.</param>
    /// <param name="shape">Of them.</param>
    /// <param name="scales">The tensor of scales, if there is one.</param>
    /// <param name="rows">Scales that there have to be.</param>
    member f.Numbers(name: string, shape: int64[], scales: string voption, rows: int) : CompactValues =
        let struct (shard, t) = find name
        checkShape t shape

        match t.Dtype, scales with
        | Dtype.I8, ValueSome scales ->
            let values = f.Elements<sbyte>(shard, t)
            let scales = f.Floats(scales, [| int64 rows |])

            if scales |> Array.exists (Single.IsFinite >> not) then
                refuse CheckpointProblem.Mismatch name "expected finite scales"

            CompactValues.Int8(values, scales)
        | Dtype.I8, ValueNone ->
            refuse CheckpointProblem.Mismatch name "expected a scale beside weights of I8, got none"
        | _, ValueSome scales ->
            refuse CheckpointProblem.Mismatch scales (invariant $"expected weights of I8, got {t.Dtype}")
        | Dtype.BF16, ValueNone -> CompactValues.BFloat16(f.Elements<uint16>(shard, t))
        | _ -> CompactValues.Float32(f.Floats(name, shape))

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
