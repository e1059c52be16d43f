namespace Digits

/// <summary>How many of the same test digits one network reads right and the other does not.</summary>
type Comparison =
    { Digits: int
      OnlySparse: int
      OnlyDense: int }

/// <summary>Where the sparse network stands beside the dense one.</summary>
[<RequireQualifiedAccess>]
type Standing =
    | Behind
    | Level
    | Ahead

/// <summary>What one network needs, to be set against the other's.</summary>
type Cost =
    { Weights: int64
      Bytes: int64
      SecondsAnEpoch: float }

[<RequireQualifiedAccess>]
module Comparison =

    /// <summary>Counts the digits that the networks disagree on.</summary>
    /// <param name="sparse">Whether the sparse network reads each digit right.</param>
    /// <param name="dense">The same of the dense one, for the same digits.</param>
    let ofReads (sparse: bool[]) (dense: bool[]) : Comparison =
        let only = Array.map2 (fun mine other -> mine && not other)
        let count = Array.filter id >> Array.length

        { Digits = sparse.Length
          OnlySparse = count (only sparse dense)
          OnlyDense = count (only dense sparse) }

    let private points (digits: float) (c: Comparison) = 100.0 * digits / float c.Digits

    /// Accuracy of the sparse network less the dense one's, in percentage points.
    let difference (c: Comparison) : float =
        points (float (c.OnlySparse - c.OnlyDense)) c

    /// <summary>What the difference would deviate by, in percentage points, between networks that are equally good.</summary>
    /// <remarks>Digits that both read alike say nothing, and each other one goes either way: McNemar, Psychometrika 12(2),
    /// 1947.</remarks>
    let deviation (c: Comparison) : float =
        points (sqrt (float (c.OnlySparse + c.OnlyDense))) c

    /// Level within one deviation.
    let standing (c: Comparison) : Standing =
        let lead = int64 c.OnlySparse - int64 c.OnlyDense

        if lead * lead <= int64 c.OnlySparse + int64 c.OnlyDense then
            Standing.Level
        elif lead < 0L then
            Standing.Behind
        else
            Standing.Ahead

    /// "10.0 times fewer", "1.3 times more" or "as many": how the sparse network's number is beside the dense one's.
    let private beside (less: string) (more: string) (alike: string) (sparse: float) (dense: float) =
        let times = $"%.1f{max sparse dense / min sparse dense} times"

        if times = "1.0 times" then alike
        elif sparse < dense then $"{times} {less}"
        else $"{times} {more}"

    /// <summary>One line: where the sparse network stands, by how much, and what it needs beside the dense one.</summary>
    /// <param name="sparse">What the sparse network needs.</param>
    /// <param name="dense">What the dense network needs.</param>
    /// <param name="c">How they read the test digits.</param>
    let words (sparse: Cost) (dense: Cost) (c: Comparison) : string =
        let stands =
            match standing c with
            | Standing.Behind -> "behind"
            | Standing.Level -> "level with"
            | Standing.Ahead -> "ahead of"

        let fewer = beside "fewer" "more" "as many"
        let weights = fewer (float sparse.Weights) (float dense.Weights)
        let bytes = fewer (float sparse.Bytes) (float dense.Bytes)

        let epochs =
            beside "shorter" "longer" "equally long" sparse.SecondsAnEpoch dense.SecondsAnEpoch

        $"sparse is {stands} dense: %+.2f{difference c} points (deviation %.2f{deviation c} over {c.Digits} test digits), with "
        + $"{weights} weights, {bytes} bytes and {epochs} epochs"
