namespace SparseFs.Tool

open System.IO
open SparseFs
open SparseFs.Inference

/// <summary>What a file holds, as tables for people.</summary>
module internal InfoText =

    let private part (nnz: int64) (cells: int64) : string =
        Tables.percent (Sparsity.ofCount nnz cells)

    let private writeNetwork (output: TextWriter) (model: SparseModel) : unit =
        output.WriteLine(invariant $"input   {Signature.line model.Input}")
        output.WriteLine(invariant $"output  {Signature.line model.Output}")

        if model.Output.Labels.Count > 0 then
            output.WriteLine(invariant $"labels  {Signature.labels model.Output}")

        let layers = List.ofSeq model.Layers

        let sum (of': ModelLayer -> int64) =
            layers |> List.sumBy of' |> Tables.count

        let cells (l: ModelLayer) = int64 l.Outputs * int64 l.Inputs

        Tables.write
            output
            [ "layer"
              "outputs x inputs"
              ">weights"
              ">sparsity"
              ">dense float32"
              ">sparse float32"
              ">as stored" ]
            [ for l in layers ->
                  [ l.Name
                    invariant $"{l.Outputs} x {l.Inputs}"
                    Tables.count (int64 l.Nnz)
                    part (int64 l.Nnz) (cells l)
                    Tables.count l.DenseBytes
                    Tables.count l.SparseBytes
                    Tables.count l.StoredBytes ] ]
            [ "together"
              ""
              sum (fun l -> int64 l.Nnz)
              part (layers |> List.sumBy (fun l -> int64 l.Nnz)) (layers |> List.sumBy cells)
              sum _.DenseBytes
              sum _.SparseBytes
              sum _.StoredBytes ]

    let private writePatterns (output: TextWriter) (patterns: StoredPattern list) : unit =
        let cols (p: StoredPattern) =
            match p.Cols with
            | ValueSome cols -> string cols
            | ValueNone -> "?"

        Tables.write
            output
            [ "sparse weights"
              "dtype"
              "rows x columns"
              ">weights"
              ">sparsity"
              ">bytes" ]
            [ for p in patterns ->
                  [ p.Weight
                    string p.Dtype
                    invariant $"{p.Rows} x {cols p}"
                    Tables.count (int64 p.Nnz)
                    p.TrySparsity |> ValueOption.map Tables.percent |> ValueOption.defaultValue "?"
                    Tables.count p.Bytes ] ]
            [ "together"
              ""
              ""
              Tables.count (patterns |> List.sumBy (fun p -> int64 p.Nnz))
              ""
              Tables.count (patterns |> List.sumBy _.Bytes) ]

    let private writeTensors (output: TextWriter) (tensors: PlainTensor list) : unit =
        Tables.write
            output
            [ "tensor"; "dtype"; "shape"; ">not 0"; ">sparsity"; ">bytes" ]
            [ for p in tensors ->
                  let ofCount (write: int64 -> string) =
                      p.NonZeros |> ValueOption.map write |> ValueOption.defaultValue "?"

                  [ p.Tensor.Name
                    string p.Tensor.Dtype
                    Tables.shape p.Tensor.Shape
                    ofCount Tables.count
                    ofCount (fun count -> part count (TensorFile.Count p.Tensor))
                    Tables.count p.Tensor.Bytes ] ]
            [ "together"
              ""
              ""
              ""
              ""
              Tables.count (tensors |> List.sumBy _.Tensor.Bytes) ]

    /// <summary>Writes the tables.</summary>
    let write (output: TextWriter) (report: InfoReport) : unit =
        let what =
            match report.Format with
            | "network" -> "a network"
            | "checkpoint" -> "a checkpoint without a description of its network"
            | _ -> "a safetensors file"

        output.WriteLine(invariant $"{Refusal.shown report.File}: {what}, {Tables.count report.Bytes} bytes")

        match report.Network with
        | ValueSome model -> writeNetwork output model
        | ValueNone ->
            if not report.Patterns.IsEmpty then
                writePatterns output report.Patterns

            if not report.Tensors.IsEmpty then
                writeTensors output report.Tensors
