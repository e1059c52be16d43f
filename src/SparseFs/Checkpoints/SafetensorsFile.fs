namespace SparseFs.Torch

open System
open System.Collections.Generic
open System.IO
open System.Text
open SparseFs
open TorchSharp

/// <summary>torch's dtypes and the format's.</summary>
module internal TorchDtypes =

    let private pairs =
        [ torch.ScalarType.Float64, Dtype.F64
          torch.ScalarType.Float32, Dtype.F32
          torch.ScalarType.Float16, Dtype.F16
          torch.ScalarType.BFloat16, Dtype.BF16
          torch.ScalarType.Int64, Dtype.I64
          torch.ScalarType.Int32, Dtype.I32
          torch.ScalarType.Int16, Dtype.I16
          torch.ScalarType.Int8, Dtype.I8
          torch.ScalarType.Byte, Dtype.U8
          torch.ScalarType.Bool, Dtype.BOOL ]

    let known = String.Join(", ", pairs |> List.map snd)

    let isRead (dtype: Dtype) : bool =
        pairs |> List.exists (fun (_, stored) -> stored = dtype)

    /// Of a dtype that is read.
    let ofStored (dtype: Dtype) : torch.ScalarType =
        pairs |> List.find (fun (_, stored) -> stored = dtype) |> fst

    /// Whether a stored tensor has torch's dtype.
    let isOf (dtype: torch.ScalarType) (stored: Dtype) : bool = List.contains (dtype, stored) pairs

    /// <exception cref="T:System.ArgumentException">The format has none of that kind.</exception>
    let toStored (name: string) (dtype: torch.ScalarType) : Dtype =
        match pairs |> List.tryFind (fun (known, _) -> known = dtype) with
        | Some(_, stored) -> stored
        | None ->
            let known = String.Join(", ", List.map fst pairs)
            raise (ArgumentException($"expected '{name}' to be of {known}, got {dtype}", "tensors"))

    let isFloating (dtype: Dtype) = dtype <= Dtype.BF16

/// <summary>A checkpoint that is open for reading, its headers checked: a safetensors file, or the files of an index.</summary>
/// <param name="path">The file or the index.</param>
/// <param name="prefixes">What names lose at their start.</param>
[<Sealed>]
type internal SafetensorsFile(path: string, prefixes: string list) =
    do ArgumentException.ThrowIfNullOrEmpty(path, nameof path)

    let file = path
    let shards = ShardSet.openAll file

    let disposeAll () =
        for shard in shards do
            (shard :> IDisposable).Dispose()

    /// Tensors by their names without prefixes, and their files.
    let byName = Dictionary<string, struct (TensorInfo * Shard)>()
    let metadata = Dictionary<string, string>()

    let refuseTwice (name: string) =
        CheckpointFault.because
            CheckpointProblem.Mismatch
            file
            name
            "without the prefixes two names of the file become this one"

    let tensors =
        try
            for entry in ShardSet.metadata file shards do
                let key = StoredNames.stripKey prefixes entry.Key

                if not (metadata.TryAdd(key, entry.Value)) then
                    refuseTwice key

            [| for shard in shards do
                   for t in shard.Header.Tensors do
                       let t =
                           { t with
                               Name = StoredNames.strip prefixes t.Name }

                       if not (byName.TryAdd(t.Name, struct (t, shard))) then
                           refuseTwice t.Name

                       t |]
        with _ ->
            disposeAll ()
            reraise ()

    /// Few enough bytes to stay out of the large object heap.
    static let chunk = 65536L

    let readBytes (dtype: torch.ScalarType) (t: TensorInfo) : torch.Tensor =
        let struct (_, shard) = byName[t.Name]
        let tensor = torch.empty (t.Shape, dtype = dtype, device = torch.CPU)

        try
            let stream = shard.At t

            if t.Bytes > 0L then
                tensor.ReadBytesFromStream(stream, int (min chunk t.Bytes))

            tensor
        with _ ->
            tensor.Dispose()
            reraise ()

    /// A checkpoint whose names stay as they are.
    new(path: string) = new SafetensorsFile(path, [])

    /// As the caller named it.
    member _.File: string = file

    /// In bytes, of all files.
    member _.Length: int64 = shards |> Array.sumBy _.Length

    member _.Tensors: TensorInfo[] = tensors

    member _.Metadata: Dictionary<string, string> = metadata

    member _.TryFind(name: string) : TensorInfo voption =
        match byName.TryGetValue name with
        | true, (t, _) -> ValueSome t
        | _ -> ValueNone

    /// <summary>Refuses the file.</summary>
    member _.Refuse(problem: CheckpointProblem, tensor: string, reason: string) : 'a =
        CheckpointFault.because problem file tensor reason

    /// <summary>A tensor's numbers, on the CPU, without a gradient; the open DisposeScope owns them.</summary>
    /// <exception cref="T:SparseFs.CheckpointException">The file or the memory fails, the dtype is not one that is read, or a
    /// BOOL is neither 0 nor 1.</exception>
    member f.Read(t: TensorInfo) : torch.Tensor =
        if not (TorchDtypes.isRead t.Dtype) then
            f.Refuse(CheckpointProblem.Dtype, t.Name, $"expected one of {TorchDtypes.known}, got {t.Dtype}")

        CheckpointFault.onFailure file (fun () ->
            if t.Dtype <> Dtype.BOOL then
                readBytes (TorchDtypes.ofStored t.Dtype) t
            else
                use bytes = readBytes torch.ScalarType.Byte t
                use one = 1.0f.ToScalar()
                use beyond = bytes.gt one
                use above = beyond.any ()

                if above.item<bool>() then
                    f.Refuse(CheckpointProblem.Value, t.Name, "expected booleans of 0 or 1")

                bytes.to_type torch.ScalarType.Bool)

    interface IDisposable with
        member _.Dispose() = disposeAll ()

/// <summary>Writing tensors.</summary>
module internal SafetensorsFile =

    let private storedAs (name: string) (t: torch.Tensor) : TensorInfo =
        let dtype = TorchDtypes.toStored name t.dtype

        if t.is_sparse then
            raise (ArgumentException($"expected '{name}' to be dense, got one of torch's sparse tensors", "tensors"))

        if t.device_type = DeviceType.META then
            raise (ArgumentException($"expected '{name}' to hold numbers, got a tensor on the meta device", "tensors"))

        if t.shape.Length > TensorInfo.maxRank then
            let expected = $"expected at most {TensorInfo.maxRank} dimensions for '{name}'"
            raise (ArgumentException($"{expected}, got {t.shape.Length}", "tensors"))

        { Name = name
          Dtype = dtype
          Shape = t.shape
          Start = 0L
          Bytes = t.numel () * TensorInfo.size dtype }

    let private strict = UTF8Encoding(false, true)

    /// UTF-8 has no half of a surrogate pair: it would come back as another text.
    let private isText (text: string) : bool =
        try
            strict.GetByteCount text >= 0
        with :? EncoderFallbackException ->
            false

    let private writeBytes (t: torch.Tensor) (stream: Stream) =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let plain = TensorView.contiguous (t.detach().cpu())
        let bytes = plain.numel () * plain.element_size ()

        if bytes > 0L then
            plain.WriteBytesToStream(stream, int (min 65536L bytes))

    /// <summary>Writes a file, whole or not at all, one tensor after the other; the writing goes through wrap, which is id
    /// but in tests.</summary>
    /// <exception cref="T:System.ArgumentException">A name comes twice or is the metadata's, or the format has no such
    /// dtype.</exception>
    let writeThrough
        (wrap: Stream -> Stream)
        (file: string)
        (metadata: (string * string) list)
        (tensors: struct (string * torch.Tensor) list)
        : unit =
        let byName = Dictionary<string, torch.Tensor>()
        let keys = HashSet<string>()

        for struct (name, t) in tensors do
            if
                isNull (box name)
                || name = HeaderReader.MetadataKey
                || not (isText name)
                || not (byName.TryAdd(name, t))
            then
                raise (ArgumentException($"expected distinct names of tensors, got '{name}'", nameof tensors))

        for key, value in metadata do
            if
                isNull (box key)
                || isNull (box value)
                || not (isText key && isText value)
                || not (keys.Add key)
            then
                raise (ArgumentException($"expected distinct names and texts, got '{key}'", nameof metadata))

        SafetensorsWriter.writeThrough
            wrap
            file
            [| for key, value in metadata -> struct (key, value) |]
            [| for struct (name, t) in tensors -> storedAs name t |]
            (fun name stream -> writeBytes byName[name] stream)
