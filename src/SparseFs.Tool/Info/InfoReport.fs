namespace SparseFs.Tool

open System
open SparseFs
open SparseFs.Inference

/// <summary>A tensor that belongs to no pattern.</summary>
[<NoComparison>]
type internal PlainTensor =
    {
        Tensor: TensorInfo
        /// Numbers that are not 0, of a dtype that is read.
        NonZeros: int64 voption
    }

/// <summary>What a file holds.</summary>
[<NoComparison; NoEquality>]
type internal InfoReport =
    {
        File: string
        Bytes: int64
        /// Where the file describes one.
        Network: SparseModel voption
        /// Whether SparseFs has written it.
        IsCheckpoint: bool
        Patterns: StoredPattern list
        Tensors: PlainTensor list
    }

    member r.Format: string =
        if r.Network.IsSome then "network"
        elif r.IsCheckpoint then "checkpoint"
        else "safetensors"

/// <summary>Reading it.</summary>
module internal InfoReport =

    /// The metadata's key of a network's description.
    [<Literal>]
    let NetworkKey = "sparsefs.network"

    let private plain (file: TensorFile) (t: TensorInfo) : PlainTensor =
        let nonZeros =
            if Elements.isRead t.Dtype then
                let count = ref 0L

                file.EachPiece(
                    t,
                    fun bytes length ->
                        count.Value <- count.Value + Elements.nonZeros t.Dtype (ReadOnlySpan(bytes, 0, length))
                )

                ValueSome count.Value
            else
                ValueNone

        { Tensor = t; NonZeros = nonZeros }

    /// <summary>Reads and checks all of a file.</summary>
    /// <exception cref="T:SparseFs.CheckpointException">It is not sound.</exception>
    let ofFile (path: string) : InfoReport =
        use file = new TensorFile(path)
        let isNetwork = file.Metadata.ContainsKey NetworkKey
        let patterns = StoredPatterns.ofFile file
        let ofPatterns = patterns |> List.collect _.Tensors |> set

        { File = path
          Bytes = file.Bytes
          Network =
            if isNetwork then
                ValueSome(SparseModel.Load path)
            else
                ValueNone
          IsCheckpoint = file.Metadata.ContainsKey "sparsefs.format"
          Patterns = patterns
          Tensors =
            [ for t in
                  file.Tensors
                  |> Array.sortWith (fun a b -> String.CompareOrdinal(a.Name, b.Name)) do
                  if not (ofPatterns.Contains t.Name) then
                      plain file t ] }
