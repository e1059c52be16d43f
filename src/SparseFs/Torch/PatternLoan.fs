namespace SparseFs.Torch

open System
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>A layer's pattern as tensors, lent out through state_dict, and what to go back to if it comes back wrong.</summary>
/// <remarks>load_state_dict copies into whatever tensors state_dict returned and tells nobody. So a layer lends its
/// pattern out as copies, and looks at them again before it is used next.</remarks>
type internal PatternLoan =
    private
        {
            RowPtr: torch.Tensor
            ColIdx: torch.Tensor
            /// Each parameter and a copy of its values from when the pattern was lent.
            Saved: struct (Parameter * torch.Tensor) list
        }

[<RequireQualifiedAccess>]
module internal PatternLoan =

    /// The pattern, or an error that names the key and says what was expected and what came.
    let tryPattern (rows: int) (cols: int) (rowPtr: int[]) (colIdx: int[]) : Result<Connectivity, exn> =
        Connectivity.tryCreate rows cols rowPtr colIdx
        |> Result.mapError (fun e ->
            let key = if e.ParamName = "rowPtr" then "row_ptr" else "col_idx"
            ArgumentException($"{e.Message}; the layer keeps its pattern and its weights", key))

    /// The names and tensors that state_dict shows.
    let tensors (loan: PatternLoan) : struct (string * torch.Tensor) list =
        [ struct ("row_ptr", loan.RowPtr); struct ("col_idx", loan.ColIdx) ]

    let private save (p: Parameter) =
        use detached = p.detach ()
        struct (p, detached.clone().DetachFromDisposeScope())

    /// <summary>Lends a pattern; in the tensors of an earlier loan of it, if that is still out: a module tree asks twice
    /// for one state_dict and keeps the first answer.</summary>
    let lend (c: Connectivity) (parameters: Parameter list) (earlier: PatternLoan voption) : PatternLoan =
        let copyOf (values: int[]) =
            torch.tensor(values, device = torch.CPU).DetachFromDisposeScope()

        let struct (rowPtr, colIdx) =
            match earlier with
            | ValueSome loan when not (loan.RowPtr.IsInvalid || loan.ColIdx.IsInvalid) ->
                struct (loan.RowPtr, loan.ColIdx)
            | _ -> struct (copyOf c.RowPtrArray, copyOf c.ColIdxArray)

        { RowPtr = rowPtr
          ColIdx = colIdx
          Saved = List.map save parameters }

    /// Ends the loan and looks at nothing.
    let free (loan: PatternLoan) =
        for struct (_, saved) in loan.Saved do
            saved.Dispose()

    let private restore (loan: PatternLoan) =
        use _ = torch.no_grad ()

        for struct (p, saved) in loan.Saved do
            p.copy_ saved |> ignore

    /// Ends the loan, whatever was loaded: the parameters are again what they were.
    let revoke (loan: PatternLoan) =
        restore loan
        free loan

    /// <summary>Ends the loan and takes in what came back.</summary>
    /// <param name="c">The pattern that was lent.</param>
    /// <param name="loan">What was lent; not to be used again.</param>
    /// <returns>The pattern that came back; <paramref name="c"/> itself if nothing was loaded.</returns>
    /// <exception cref="T:System.ArgumentException">It is not a pattern of this shape; the parameters are again what they
    /// were.</exception>
    let settle (c: Connectivity) (loan: PatternLoan) : Connectivity =
        try
            if loan.RowPtr.IsInvalid || loan.ColIdx.IsInvalid then
                c // freed by whoever had borrowed it
            else
                let rowPtr = TensorView.toInts "row_ptr" loan.RowPtr
                let colIdx = TensorView.toInts "col_idx" loan.ColIdx

                if c.RowPtr.SequenceEqual rowPtr && c.ColIdx.SequenceEqual colIdx then
                    c
                else
                    match tryPattern c.Rows c.Cols rowPtr colIdx with
                    | Ok loaded -> loaded
                    | Error refusal ->
                        restore loan
                        raise refusal
        finally
            free loan
