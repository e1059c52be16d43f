namespace SparseFs.Tool

open System.IO
open SparseFs
open SparseFs.Inference

/// <summary>A sparse checkpoint of a dense file.</summary>
module internal ConvertCommand =

    let private writeReport (output: TextWriter) (file: TensorFile) (rule: ConvertRule) (cuts: CutLayer list) : unit =
        let cutOf = dict [ for cut in cuts -> cut.Weight.Name, cut ]

        Tables.write
            output
            [ "tensor"; "dtype"; "shape"; ">kept"; ">of"; ">sparsity"; ">bytes"; "" ]
            [ for t in
                  file.Tensors
                  |> Array.sortWith (fun a b -> MlpDescription.compareNames a.Name b.Name) do
                  let row (kept: int64) (bytes: int64) (why: string) =
                      let count = TensorFile.Count t

                      [ t.Name
                        string t.Dtype
                        Tables.shape t.Shape
                        Tables.count kept
                        Tables.count count
                        (if why = "" then
                             Tables.percent (Sparsity.ofCount kept count)
                         else
                             "")
                        Tables.count bytes
                        (if why = "" then "" else "dense: " + why) ]

                  match cutOf.TryGetValue t.Name with
                  | true, cut -> row (int64 cut.Pattern.Nnz) (CutLayer.tensors cut |> List.sumBy _.Bytes) ""
                  | _ ->
                      let bytes =
                          if Elements.isFloating t.Dtype then
                              4L * TensorFile.Count t
                          else
                              t.Bytes

                      row (TensorFile.Count t) bytes (rule.WhyDense t) ]
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
