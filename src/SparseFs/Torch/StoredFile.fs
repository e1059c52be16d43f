namespace SparseFs.Torch

open System
open System.Collections.Generic
open System.IO
open System.Text
open SparseFs
open TorchSharp

/// <summary>torch's dtypes and the format's.</summary>
module internal StoredDtypes =

    let private pairs =
        [ torch.ScalarType.Float64, StoredDtype.F64
          torch.ScalarType.Float32, StoredDtype.F32
          torch.ScalarType.Float16, StoredDtype.F16
          torch.ScalarType.BFloat16, StoredDtype.BF16
          torch.ScalarType.Int64, StoredDtype.I64
          torch.ScalarType.Int32, StoredDtype.I32
          torch.ScalarType.Int16, StoredDtype.I16
          torch.ScalarType.Int8, StoredDtype.I8
          torch.ScalarType.Byte, StoredDtype.U8
          torch.ScalarType.Bool, StoredDtype.BOOL ]

    let ofStored (dtype: StoredDtype) : torch.ScalarType =
        pairs |> List.find (fun (_, stored) -> stored = dtype) |> fst

    /// <exception cref="T:System.ArgumentException">The format has none of that kind.</exception>
    let toStored (name: string) (dtype: torch.ScalarType) : StoredDtype =
        match pairs |> List.tryFind (fun (known, _) -> known = dtype) with
        | Some(_, stored) -> stored
        | None ->
            let known = String.Join(", ", List.map fst pairs)
            raise (ArgumentException($"expected '{name}' to be of {known}, got {dtype}", "tensors"))

    let isFloating (dtype: StoredDtype) = dtype <= StoredDtype.BF16

/// <summary>A safetensors file that is open for reading, its header checked.</summary>
[<Sealed>]
type internal StoredFile(path: string) =
    do ArgumentException.ThrowIfNullOrEmpty(path, nameof path)

    let file = path

    let stream =
        Refuse.onFailure file (fun () ->
            WholeFile.tryWrongKind file
            |> ValueOption.iter (Refuse.because CheckpointProblem.Access file "")

            WholeFile.openRead 1 file)

    let header =
        try
            Refuse.onFailure file (fun () -> SafetensorsParser.read file stream)
        with _ ->
            stream.Dispose()
            reraise ()

    let byName =
        Dictionary<string, StoredTensor>(header.Tensors |> Seq.map (fun t -> KeyValuePair(t.Name, t)))

    let metadata =
        Dictionary<string, string>(
            header.Metadata
            |> Seq.map (fun (struct (key, value)) -> KeyValuePair(key, value))
        )

    /// Few enough bytes to stay out of the large object heap.
    static let chunk = 65536L

    let readBytes (dtype: torch.ScalarType) (t: StoredTensor) : torch.Tensor =
        let tensor = torch.empty (t.Shape, dtype = dtype, device = torch.CPU)

        try
            stream.Position <- header.DataStart + t.Start

            if t.Bytes > 0L then
                tensor.ReadBytesFromStream(stream, int (min chunk t.Bytes))

            tensor
        with _ ->
            tensor.Dispose()
            reraise ()

    /// As the caller named it.
    member _.File: string = file

    /// In bytes.
    member _.Length: int64 = stream.Length

    member _.Tensors: StoredTensor[] = header.Tensors

    member _.Metadata: Dictionary<string, string> = metadata

    member _.TryFind(name: string) : StoredTensor voption =
        match byName.TryGetValue name with
        | true, t -> ValueSome t
        | _ -> ValueNone

    /// <summary>Refuses the file.</summary>
    member _.Refuse(problem: CheckpointProblem, tensor: string, reason: string) : 'a =
        Refuse.because problem file tensor reason

    /// <summary>A tensor's numbers, on the CPU, without a gradient; the open DisposeScope owns them.</summary>
    /// <exception cref="T:SparseFs.CheckpointException">The file or the memory fails, or a BOOL is neither 0 nor 1.</exception>
    member f.Read(t: StoredTensor) : torch.Tensor =
        Refuse.onFailure file (fun () ->
            if t.Dtype <> StoredDtype.BOOL then
                readBytes (StoredDtypes.ofStored t.Dtype) t
            else
                use bytes = readBytes torch.ScalarType.Byte t
                use one = 1.0f.ToScalar()
                use beyond = bytes.gt one
                use above = beyond.any ()

                if above.item<bool>() then
                    f.Refuse(CheckpointProblem.Value, t.Name, "expected booleans of 0 or 1")

                bytes.to_type torch.ScalarType.Bool)

    interface IDisposable with
        member _.Dispose() = stream.Dispose()

/// <summary>Writing tensors.</summary>
module internal StoredFile =

    let private storedAs (name: string) (t: torch.Tensor) : StoredTensor =
        let dtype = StoredDtypes.toStored name t.dtype

        if t.is_sparse then
            raise (ArgumentException($"expected '{name}' to be dense, got one of torch's sparse tensors", "tensors"))

        if t.device_type = DeviceType.META then
            raise (ArgumentException($"expected '{name}' to hold numbers, got a tensor on the meta device", "tensors"))

        if t.shape.Length > StoredTensor.maxRank then
            let expected = $"expected at most {StoredTensor.maxRank} dimensions for '{name}'"
            raise (ArgumentException($"{expected}, got {t.shape.Length}", "tensors"))

        { Name = name
          Dtype = dtype
          Shape = t.shape
          Start = 0L
          Bytes = t.numel () * StoredTensor.size dtype }

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
                isNull name
                || name = SafetensorsParser.MetadataKey
                || not (isText name)
                || not (byName.TryAdd(name, t))
            then
                raise (ArgumentException($"expected distinct names of tensors, got '{name}'", nameof tensors))

        for key, value in metadata do
            if
                isNull key
                || isNull value
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
