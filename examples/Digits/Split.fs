namespace Digits

/// <summary>Training digits in two parts: one to learn from, one to choose a recipe by, so that the test digits choose nothing.</summary>
[<RequireQualifiedAccess>]
module Split =

    /// Of each class, one digit in this many is for choosing.
    [<Literal>]
    let private Fold = 5

    /// <summary>Where the digits of either part are.</summary>
    /// <param name="labels">The class of each digit, 0..9.</param>
    /// <returns>Rising indices to learn from, and rising indices to choose by: every fifth digit of each class. Together
    /// they are all indices, and none is in both.</returns>
    let indices (labels: byte[]) : int[] * int[] =
        let met: int[] = Array.zeroCreate Idx.Classes

        let isForChoosing i =
            let label = int labels[i]
            met[label] <- met[label] + 1
            met[label] % Fold = 0

        let choosing, learning = Array.partition isForChoosing [| 0 .. labels.Length - 1 |]

        learning, choosing

    let private at (digits: DigitSet) (indices: int[]) : DigitSet =
        let image i =
            Array.sub digits.Pixels (i * Idx.Pixels) Idx.Pixels

        { Pixels = Array.collect image indices
          Labels = indices |> Array.map (fun i -> digits.Labels[i]) }

    /// <summary>The digits to learn from and those to choose by, as <c>indices</c> has them.</summary>
    let validation (digits: DigitSet) : DigitSet * DigitSet =
        let learning, choosing = indices digits.Labels
        at digits learning, at digits choosing
