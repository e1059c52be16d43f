namespace SparseFs.Tool

open System.IO
open SparseFs
open SparseFs.Inference

/// <summary>A sparse checkpoint of a dense file.</summary>
module internal ConvertCommand =

    /// A row of the report: what there was of a tensor, and what there is.
    let private rowOf (rule: ConvertRule) (cut: CutLayer voption) (t: TensorInfo) : string list =
        let count = TensorFile.Count t

        let kept, bytes, note =
            match cut with
            | ValueSome cut ->
                let bytes = CutLayer.tensors cut |> List.sumBy _.Bytes
                int64 cut.Pattern.Nnz, bytes, "sparse"
            | ValueNone when ConvertRule.IsWeight t -> count, (SparseFile.kept t).Bytes, "dense: " + rule.WhyDense t
            | ValueNone -> count, (SparseFile.kept t).Bytes, ""

        [ t.Name
          string t.Dtype
          Tables.shape t.Shape
          Tables.count count
          Tables.count kept
          (if cut.IsSome then
               Tables.percent (Sparsity.ofCount kept count)
           else
               "")
          Tables.count t.Bytes
          Tables.count bytes
          note ]

    let private writeReport (output: TextWriter) (file: TensorFile) (rule: ConvertRule) (cuts: CutLayer list) : unit =
        let cutOf = dict [ for cut in cuts -> cut.Weight.Name, cut ]

        let tryCut (t: TensorInfo) =
            match cutOf.TryGetValue t.Name with
            | true, cut -> ValueSome cut
            | _ -> ValueNone

        Tables.write
            output
            [ "tensor"
              "dtype"
              "shape"
              ">numbers"
              ">kept"
              ">sparsity"
              ">bytes before"
              ">bytes"
              "" ]
            [ for t in
                  file.Tensors
                  |> Array.sortWith (fun a b -> MlpDescription.compareNames a.Name b.Name) do
                  rowOf rule (tryCut t) t ]
            []

    /// Floats that are not float32, by their dtypes, in words.
    let private converted (file: TensorFile) : string =
        file.Tensors
        |> Array.filter (fun t -> Elements.isFloating t.Dtype && t.Dtype <> Dtype.F32)
        |> Array.countBy _.Dtype
        |> Array.sort
        |> Array.map (fun (dtype, count) -> invariant $"{count} of {dtype}")
        |> String.concat ", "

    /// <summary>Reads a file, cuts its weights, writes the result, and reads it again where it describes a network.</summary>
    /// <param name="output">Where it tells what it kept.</param>
    /// <param name="rule">Which weights become sparse.</param>
    /// <param name="activation">Between the layers of an MLP, whose description is then written; or nothing.</param>
    /// <param name="source">The dense file.</param>
    /// <param name="target">The file that is written.</param>
    let run
        (output: TextWriter)
        (rule: ConvertRule)
        (activation: string voption)
        (source: string)
        (target: string)
        : unit =
        RunCommand.checkTarget target [ source ]
        use file = new TensorFile(source)
        SparseFile.check file

        let chosen =
            file.Tensors |> Array.filter (fun t -> rule.WhyDense t = "") |> List.ofArray

        if chosen.IsEmpty then
            let got =
                file.Tensors
                |> Array.countBy rule.WhyDense
                |> Array.sort
                |> Array.map (fun (why, count) -> invariant $"{count} {why}")
                |> String.concat ", "

            Refusal.because (
                invariant
                    $"{source}: expected a weight to make sparse, got none among {file.Tensors.Length} tensors: {got}"
            )

        let wanted = chosen |> List.map _.Name |> set

        // Before anything is computed.
        let network =
            activation
            |> ValueOption.map (fun activation ->
                MlpDescription.layersOf file.Tensors wanted.Contains
                |> MlpDescription.write activation)

        let cuts = chosen |> List.map (CutLayer.ofTensor rule file)
        SparseFile.write target file cuts network

        if network.IsSome then
            SparseModel.Load target |> ignore

        match converted file with
        | "" -> ()
        | dtypes -> output.WriteLine(invariant $"read as float32, and written so: {dtypes} tensors")

        writeReport output file rule cuts
        let before, after = file.Bytes, FileInfo(target).Length

        output.WriteLine(
            invariant
                $"{Refusal.shown source}: {Tables.count before} bytes; {Refusal.shown target}: {Tables.count after} bytes"
        )
