namespace SparseFs

open System
open SparseFs.Torch

/// <summary>How many units of a sample win.</summary>
[<RequireQualifiedAccess>]
type WinnerCount =
    /// <summary>By the part of the units that do not win, in [0, 1): k = (1 − sparsity) · n, rounded half to even, at least
    /// 1. nupic.torch's percent_on is 1 − sparsity.</summary>
    | Sparsity of sparsity: float
    /// <summary>By k itself, 1..n.</summary>
    | Exactly of k: int

    override w.ToString() =
        match w with
        | Sparsity sparsity -> FormattableString.Invariant $"Sparsity({sparsity})"
        | Exactly k -> $"Exactly({k})"

module internal WinnerCount =

    /// <exception cref="T:System.ArgumentException">The count is null, the sparsity is outside [0, 1), or k is less than
    /// 1.</exception>
    let check (winners: WinnerCount) : WinnerCount =
        if isNull (box winners) then
            nullArg (nameof winners)

        match winners with
        | WinnerCount.Sparsity sparsity -> Sparsity.density sparsity |> ignore
        | WinnerCount.Exactly k when k < 1 ->
            raise (ArgumentOutOfRangeException(nameof k, k, $"expected 1 winner or more, got {k}"))
        | WinnerCount.Exactly _ -> ()

        winners

    /// <summary>k among n units.</summary>
    /// <exception cref="T:System.ArgumentException">k is outside 1..n.</exception>
    let among (n: int) (winners: WinnerCount) : int =
        match winners with
        | WinnerCount.Exactly k ->
            KWinners.checkK n k
            k
        | WinnerCount.Sparsity sparsity -> KWinners.count n sparsity
