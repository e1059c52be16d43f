namespace SparseFs.Tool

open System
open System.Collections.Generic
open System.IO
open SparseFs

/// <summary>A safetensors file, or the files of an index, open for reading; the header is checked, and no number is believed.</summary>
[<Sealed>]
type internal TensorFile(path: string) =
    let shards = ShardSet.openAll path

    let metadata =
        try
            ShardSet.metadata path shards
        with _ ->
            for shard in shards do
                (shard :> IDisposable).Dispose()

            reraise ()

    // No name is in two files.
    let places =
        let places = Dictionary<string, struct (Shard * TensorInfo)>()

        for shard in shards do
            for t in shard.Header.Tensors do
                places.Add(t.Name, struct (shard, t))

        places

    /// Bytes that are read at once: whole elements of every dtype that is read.
    static member Piece: int = 1 <<< 20

    /// As the caller named it.
    member _.Path: string = path

    /// Bytes of all files.
    member _.Bytes: int64 = shards |> Array.sumBy _.Length

    member _.Metadata: IReadOnlyDictionary<string, string> = metadata

    /// By their place in the file.
    member val Tensors: TensorInfo[] =
        [| for shard in shards do
               yield! shard.Header.Tensors |]

    member _.TryFind(name: string) : TensorInfo voption =
        match places.TryGetValue name with
        | true, struct (_, t) -> ValueSome t
        | _ -> ValueNone

    member _.Refuse(problem: CheckpointProblem, tensor: string, reason: string) : 'a =
        CheckpointFault.because problem path tensor reason

    /// <summary>A tensor's bytes, piece by piece, in an array that is used again.</summary>
    /// <param name="t">One of the file's.</param>
    /// <param name="take">Takes the array and how many bytes of it are there.</param>
    member _.EachPiece(t: TensorInfo, take: byte[] -> int -> unit) : unit =
        let struct (shard, t) = places[t.Name]

        CheckpointFault.onFailure shard.File (fun () ->
            let stream: Stream = shard.At t
            let bytes: byte[] = Array.zeroCreate (int (min (int64 TensorFile.Piece) t.Bytes))
            let mutable left = t.Bytes

            while left > 0L do
                let count = int (min left (int64 bytes.Length))
                stream.ReadExactly(bytes, 0, count)
                take bytes count
                left <- left - int64 count)

    /// Numbers of a tensor.
    static member Count(t: TensorInfo) : int64 = t.Shape |> Array.fold (*) 1L

    /// <summary>A tensor as float32, row-major.</summary>
    /// <exception cref="T:SparseFs.CheckpointException">It has another dtype, or more numbers than an array.</exception>
    member f.Floats(t: TensorInfo) : float32[] =
        if not (Elements.isFloating t.Dtype) then
            f.Refuse(CheckpointProblem.Dtype, t.Name, invariant $"expected F32, F64, F16 or BF16, got {t.Dtype}")

        if TensorFile.Count t > int64 Array.MaxLength then
            f.Refuse(CheckpointProblem.Shape, t.Name, invariant $"expected at most {Array.MaxLength} numbers")

        let size = int (TensorInfo.size t.Dtype)
        let numbers: float32[] = Array.zeroCreate (int (TensorFile.Count t))
        let first = ref 0

        f.EachPiece(
            t,
            fun bytes count ->
                Elements.toFloats t.Dtype (ReadOnlySpan(bytes, 0, count)) (numbers.AsSpan(first.Value, count / size))

                first.Value <- first.Value + count / size
        )

        numbers

    /// <summary>A tensor of whole numbers, each of which an int holds.</summary>
    /// <exception cref="T:SparseFs.CheckpointException">It has another dtype, or another number.</exception>
    member f.Ints(t: TensorInfo) : int[] =
        if TensorFile.Count t > int64 Array.MaxLength then
            f.Refuse(CheckpointProblem.Shape, t.Name, invariant $"expected at most {Array.MaxLength} numbers")

        let numbers: int[] = Array.zeroCreate (int (TensorFile.Count t))
        let next = ref 0

        let add (number: int64) =
            if number < 0L || number > int64 Int32.MaxValue then
                f.Refuse(
                    CheckpointProblem.Pattern,
                    t.Name,
                    invariant $"expected numbers of 0 to 2^31 − 1, got {number}"
                )

            numbers[next.Value] <- int number
            next.Value <- next.Value + 1

        match t.Dtype with
        | Dtype.I32 ->
            f.EachPiece(
                t,
                fun bytes count ->
                    for at in 0..4 .. count - 4 do
                        add (int64 (BitConverter.ToInt32(bytes, at)))
            )
        | Dtype.I64 ->
            f.EachPiece(
                t,
                fun bytes count ->
                    for at in 0..8 .. count - 8 do
                        add (BitConverter.ToInt64(bytes, at))
            )
        | other -> f.Refuse(CheckpointProblem.Dtype, t.Name, invariant $"expected I32 or I64, got {other}")

        numbers

    interface IDisposable with
        member _.Dispose() =
            for shard in shards do
                (shard :> IDisposable).Dispose()
