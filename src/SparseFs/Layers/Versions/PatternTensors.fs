namespace SparseFs.Torch

open System
open SparseFs
open TorchSharp

/// <summary>A layer's pattern as state_dict shows it: the tensors <c>row_ptr</c> and <c>col_idx</c>, which stay the layer's
/// own for good.</summary>
/// <remarks>load_state_dict copies into whatever tensors state_dict returned and tells nobody, so the layer looks at their
/// versions when it is used. What is handed out may be disposed of by whoever got it; the handles that are looked at are
/// others.</remarks>
[<Sealed>]
type internal PatternTensors(connectivity: Connectivity) =
    let make (values: int[]) =
        // Tensors of inference mode have no version.
        use _ = torch.inference_mode false
        torch.tensor(values, device = torch.CPU).DetachFromDisposeScope()

    let ownRows, ownCols = make connectivity.RowPtrArray, make connectivity.ColIdxArray

    let handle (t: torch.Tensor) = t.alias().DetachFromDisposeScope()
    let mutable shownRows, shownCols = handle ownRows, handle ownCols

    let write (t: torch.Tensor) (values: int[]) =
        use _ = torch.no_grad ()
        use source = make values

        if t.numel () = values.LongLength then
            t.copy_ source |> ignore
        else
            t.set_ source |> ignore

    /// The names and tensors that state_dict shows.
    member _.Shown: struct (string * torch.Tensor) list =
        if shownRows.IsInvalid then
            shownRows <- handle ownRows

        if shownCols.IsInvalid then
            shownCols <- handle ownCols

        [ struct ("row_ptr", shownRows); struct ("col_idx", shownCols) ]

    /// How often each has been written to.
    member _.Versions: struct (int64 * int64) =
        struct (NativeTensor.version ownRows, NativeTensor.version ownCols)

    /// Whether they hold this pattern.
    member _.Hold(c: Connectivity) : bool =
        TensorView.holdInts "row_ptr" ownRows c.RowPtrArray
        && TensorView.holdInts "col_idx" ownCols c.ColIdxArray

    /// They show this pattern from now on.
    member _.Write(c: Connectivity) : unit =
        write ownRows c.RowPtrArray
        write ownCols c.ColIdxArray

    /// The error that names the key, says what was expected and what came, and what follows from it.
    static member Refusal(e: ConnectivityError, consequence: string) : exn =
        let key = if e.ParamName = "rowPtr" then "row_ptr" else "col_idx"
        ArgumentException($"{e.Message}; {consequence}", key)

    /// As Refusal, where nothing has changed.
    static member Refused(e: ConnectivityError) : exn =
        PatternTensors.Refusal(e, "the layer keeps its pattern and its weights")

    /// What they hold, if it is a pattern of that shape.
    member _.TryRead(rows: int, cols: int) : Result<Connectivity, ConnectivityError> =
        Connectivity.tryCreate rows cols (TensorView.toInts "row_ptr" ownRows) (TensorView.toInts "col_idx" ownCols)
