namespace SparseFs.Torch

open System.Collections.Generic
open SparseFs
open TorchSharp

/// <summary>What a state_dict must be for a layer to take it over.</summary>
module internal StateCheck =

    /// <summary>Refuses what copy_ would broadcast, cast or take unseen, before anything is copied.</summary>
    /// <exception cref="T:System.ArgumentException">A tensor has another length, or the pattern is none.</exception>
    let ofLayer
        (versions: LayerVersions)
        (source: Dictionary<string, torch.Tensor>)
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
        checkLength "weight" c.Nnz

        if not (isNull versions.Bias) then
            checkLength "bias" c.Rows

        let rowPtr = ints "row_ptr" (c.Rows + 1) c.RowPtrArray
        let colIdx = ints "col_idx" c.Nnz c.ColIdxArray

        match Connectivity.tryCreate c.Rows c.Cols rowPtr colIdx with
        | Ok _ -> ()
        | Error refusal -> raise (PatternTensors.Refused refusal)
