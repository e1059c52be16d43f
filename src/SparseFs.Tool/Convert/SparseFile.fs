namespace SparseFs.Tool

open System
open System.Collections.Generic
open System.IO
open System.Runtime.InteropServices
open SparseFs

/// <summary>Writing a checkpoint in which some weights of a dense file are sparse.</summary>
module internal SparseFile =

    let private isOurs (key: string) =
        key = "format" || key.StartsWith("sparsefs.", StringComparison.Ordinal)

    /// <summary>Refuses what is no model with dense weights.</summary>
    /// <exception cref="T:SparseFs.CheckpointException">The file has patterns or a run's tensors, or a dtype that is not read.</exception>
    let check (file: TensorFile) : unit =
        for key in file.Metadata.Keys do
            if key.StartsWith(StoredPatterns.LayerKey, StringComparison.Ordinal) then
                file.Refuse(
                    CheckpointProblem.Mismatch,
                    key,
                    "expected a file of dense weights, got one with sparse layers"
                )

        for t in file.Tensors do
            if t.Name.StartsWith '@' then
                file.Refuse(
                    CheckpointProblem.Mismatch,
                    t.Name,
                    "expected a file of a model alone, got one of a training run: save the model with Checkpoint.save"
                )

            if not (Elements.isRead t.Dtype) then
                file.Refuse(CheckpointProblem.Dtype, t.Name, invariant $"expected a dtype up to BOOL, got {t.Dtype}")

    /// What a tensor is in the file that is written: all floats are float32.
    let kept (t: TensorInfo) : TensorInfo =
        if Elements.isFloating t.Dtype then
            { t with
                Dtype = Dtype.F32
                Bytes = 4L * TensorFile.Count t }
        else
            t

    let private writeKept (file: TensorFile) (t: TensorInfo) (stream: Stream) : unit =
        if t.Dtype = Dtype.F32 || not (Elements.isFloating t.Dtype) then
            file.EachPiece(t, fun bytes count -> stream.Write(bytes, 0, count))
        else
            let size = int (TensorInfo.size t.Dtype)

            let numbers: float32[] =
                Array.zeroCreate (int (min (TensorFile.Count t) (int64 TensorFile.Piece)))

            file.EachPiece(
                t,
                fun bytes count ->
                    let piece = numbers.AsSpan(0, count / size)
                    Elements.toFloats t.Dtype (ReadOnlySpan(bytes, 0, count)) piece
                    stream.Write(Span.op_Implicit (MemoryMarshal.AsBytes piece): ReadOnlySpan<byte>)
            )

    /// The version of this program, which is that of the library.
    let private version =
        match Reflection.Assembly.GetExecutingAssembly().GetName().Version with
        | null -> "0.0.0"
        | version -> version.ToString 3

    /// <summary>Writes the file, whole or not at all.</summary>
    /// <param name="target">The file that is written.</param>
    /// <param name="file">The dense file, which has passed check.</param>
    /// <param name="cuts">Its weights that become sparse.</param>
    /// <param name="network">The description of a network, or nothing.</param>
    /// <exception cref="T:SparseFs.CheckpointException">A tensor has a name that a pattern needs, or the file cannot be written.</exception>
    let write (target: string) (file: TensorFile) (cuts: CutLayer list) (network: string voption) : unit =
        let byTensor = Dictionary<string, CutLayer>()
        let cutWeights = HashSet<string>(cuts |> List.map _.Weight.Name)

        let others =
            file.Tensors |> Array.filter (fun t -> not (cutWeights.Contains t.Name))

        for cut in cuts do
            for t in CutLayer.tensors cut do
                byTensor.Add(t.Name, cut)

        for t in others do
            if byTensor.ContainsKey t.Name then
                file.Refuse(CheckpointProblem.Mismatch, t.Name, "the file has a tensor of a name that a pattern needs")

        let texts =
            [| for text in file.Metadata do
                   if not (isOurs text.Key) then
                       struct (text.Key, text.Value)

               struct ("format", "pt")
               struct ("sparsefs.format", "1")
               struct ("sparsefs.version", version)

               for cut in cuts do
                   let hasBias = (file.TryFind(CutLayer.key cut.Layer "bias")).IsSome

                   match CutLayer.tryText hasBias cut with
                   | ValueSome text -> struct (StoredPatterns.LayerKey + cut.Layer, text)
                   | ValueNone -> ()

               match network with
               | ValueSome text -> struct (InfoReport.NetworkKey, text)
               | ValueNone -> () |]

        let tensors =
            [| yield! Array.map kept others
               for cut in cuts do
                   yield! CutLayer.tensors cut |]

        SafetensorsWriter.writeThrough id target texts tensors (fun name stream ->
            match byTensor.TryGetValue name with
            | true, cut -> stream.Write(CutLayer.bytes cut name)
            | _ -> writeKept file (file.TryFind name).Value stream)
