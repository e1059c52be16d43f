namespace SparseFs.Torch

open System
open System.Collections.Generic
open SparseFs
open TorchSharp

/// <summary>What a state_dict must be for a layer to take it over.</summary>
module internal StateCheck =

    let private refuse (key: string) (message: string) = raise (ArgumentException(message, key))

    /// A weight of another length belongs to another pattern, which copying numbers cannot change.
    let private checkWeight (nnz: int) (t: torch.Tensor) : unit =
        if t.dim () = 2L then
            refuse
                "weight"
                ($"expected the {nnz} weights of a sparse layer, shape [{nnz}], got a dense layer's, shape {Shape.text t.shape}: "
                 + "make the sparse layer of the dense one, with Conversion.ofDense (C#: dense.ToSparse)")

        if t.dim () = 1L && t.shape[0] <> int64 nnz then
            refuse
                "weight"
                ($"expected {nnz} weights, shape [{nnz}], got {t.shape[0]}: load_state_dict copies numbers, and cannot change how many weights "
                 + "a layer has. Save the other layer or model with Checkpoint.save and load it with Checkpoint.load (C#: "
                 + "Checkpoints.Save, Checkpoints.Load), which takes its pattern over; or make this layer over the other's "
                 + "Connectivity")

        TensorView.checkVector "weight" t nnz

    /// torch says only that the names are not identical.
    let private checkNames
        (expected: string list)
        (source: Dictionary<string, torch.Tensor>)
        (isSkipped: string -> bool)
        =
        let missing =
            expected
            |> List.filter (fun key -> not (source.ContainsKey key || isSkipped key))

        let others =
            source.Keys
            |> Seq.filter (fun key -> not (List.contains key expected || isSkipped key))
            |> Seq.truncate 5
            |> List.ofSeq

        let listed (names: string list) = String.Join(", ", names)

        let got =
            [ if not missing.IsEmpty then
                  $"one without {listed missing}"
              if not others.IsEmpty then
                  $"one with {listed others}" ]

        let isModels = others |> List.exists (fun key -> key.Contains '.')

        let cure =
            if isModels then
                "a whole model's state_dict is loaded by the model's load_state_dict, not by a layer's"
            else
                "strict = false (C#: strict: false) passes over such names"

        if not got.IsEmpty then
            let came = listed got
            raise (InvalidOperationException $"expected a state_dict of {listed expected}, got {came}: {cure}")

    /// <summary>Refuses what copy_ would broadcast, cast or take unseen, before anything is copied.</summary>
    /// <exception cref="T:System.ArgumentException">A tensor has another length, or the pattern is none.</exception>
    /// <exception cref="T:System.InvalidOperationException">The load is strict, and the names are others.</exception>
    let ofLayer
        (versions: LayerVersions)
        (source: Dictionary<string, torch.Tensor>)
        (isStrict: bool)
        (skip: IList<string> | null)
        : unit =
        let isSkipped (key: string) =
            match skip with
            | null -> false
            | skip -> skip.Contains key

        let find (key: string) =
            match source.TryGetValue key with
            | true, tensor when not (isSkipped key) -> ValueSome tensor
            | _ -> ValueNone

        let checkLength (key: string) (length: int) =
            find key |> ValueOption.iter (fun t -> TensorView.checkVector key t length)

        let ints (key: string) (length: int) (current: int[]) =
            checkLength key length

            match find key with
            | ValueSome t -> TensorView.toInts key t
            | ValueNone -> current

        let c = versions.Connectivity
        find "weight" |> ValueOption.iter (checkWeight c.Nnz)
        let hasBias = not (isNull versions.Bias)

        match versions.Bias with
        | null -> ()
        | bias -> checkLength "bias" (int (bias.numel ()))

        if isStrict then
            let names =
                [ "weight"
                  if hasBias then
                      "bias"
                  "row_ptr"
                  "col_idx" ]

            checkNames names source isSkipped

        let rowPtr = ints "row_ptr" (c.Rows + 1) c.RowPtrArray
        let colIdx = ints "col_idx" c.Nnz c.ColIdxArray

        match Connectivity.tryCreate c.Rows c.Cols rowPtr colIdx with
        | Ok _ -> ()
        | Error refusal -> raise (PatternTensors.Refused refusal)
