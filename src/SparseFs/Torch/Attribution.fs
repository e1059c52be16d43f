namespace SparseFs.Torch

open System
open TorchSharp

/// <summary>A gradient as numbers times what it was before and what passes gave.</summary>
[<Struct>]
type internal Fit =
    {
        /// The number that multiplied the earlier gradient; 0 where nothing of it is left.
        OfEarlier: float
        /// The number that multiplied the passes.
        OfPasses: float
    }

/// <summary>Which passes a gradient is made of, told from the numbers at the slots.</summary>
/// <remarks>
/// torch adds a pass's sparse gradient d to the accumulated one, and loops multiply that by a number now and then: norms
/// are clipped, losses unscaled, micro-batches averaged. So gradient = α · earlier + β · Σ d up to rounding. With n
/// additions and at most four multiplications in the weight's dtype each number is wrong by
/// (n + 4) · u · (|α| · |earlier| + |β| · Σ |d|) at most, u the dtype's unit roundoff (Higham, "Accuracy and stability of
/// numerical algorithms", 2002, section 4.2), and so is, in the 2-norm, the residual; least squares does not make it larger.
/// All arguments are vectors in float64.
/// </remarks>
module internal Attribution =

    let private roundoff (dtype: torch.ScalarType) : float =
        match dtype with
        | torch.ScalarType.Float64 -> Math.ScaleB(1.0, -53)
        | torch.ScalarType.Float16 -> Math.ScaleB(1.0, -11)
        | torch.ScalarType.BFloat16 -> Math.ScaleB(1.0, -8)
        | _ -> Math.ScaleB(1.0, -24)

    /// The smallest number above 0: what an underflow may lose.
    let private smallest (dtype: torch.ScalarType) : float =
        match dtype with
        | torch.ScalarType.Float64 -> Double.Epsilon
        | torch.ScalarType.Float16 -> Math.ScaleB(1.0, -24)
        | torch.ScalarType.BFloat16 -> Math.ScaleB(1.0, -133)
        | _ -> Math.ScaleB(1.0, -149)

    let private norm (t: torch.Tensor) : float =
        use n = t.norm ()
        n.item<float>()

    let private dot (a: torch.Tensor) (b: torch.Tensor) : float =
        use d = a.dot b
        d.item<float>()

    let private isUsable (number: float) = number <> 0.0 && Double.IsFinite number

    /// The numbers that least squares gives two vectors, if they are not of one direction.
    let private twoNumbers (gradient: torch.Tensor) (earlier: torch.Tensor) (sum: torch.Tensor) : Fit voption =
        let ee, es, ss = dot earlier earlier, dot earlier sum, dot sum sum
        let ge, gs = dot gradient earlier, dot gradient sum
        let determinant = ee * ss - es * es

        if determinant <= 1e-9 * ee * ss then
            ValueNone
        else
            let fit =
                { OfEarlier = (ge * ss - gs * es) / determinant
                  OfPasses = (gs * ee - ge * es) / determinant }

            if isUsable fit.OfEarlier && isUsable fit.OfPasses then
                ValueSome fit
            else
                ValueNone

    /// Places of pending passes that may have been added together: all, then without the oldest, then without the newest,
    /// then the rest, then none.
    let private ranges (count: int) : struct (int * int)[] =
        [| struct (0, count)
           for first in 1 .. count - 1 do
               struct (first, count)
           for last in count - 1 .. -1 .. 1 do
               struct (0, last)
           if count <= 8 then
               for first in 1 .. count - 2 do
                   for last in count - 1 .. -1 .. first + 1 do
                       struct (first, last)
           if count > 0 then
               struct (0, 0) |]

    /// <summary>Which of the pending passes are in a gradient, as a range of their places, and the numbers.</summary>
    /// <param name="dtype">The weight's.</param>
    /// <param name="gradient">Finite, not 0.</param>
    /// <param name="earlier">The gradient as it was before the pending passes came; null for 0.</param>
    /// <param name="pending">What each of them gave, oldest first.</param>
    /// <remarks>The plain sums are tried before sums times a number, and more passes before fewer.</remarks>
    let tryFit
        (dtype: torch.ScalarType)
        (gradient: torch.Tensor)
        (earlier: torch.Tensor)
        (pending: torch.Tensor[])
        : struct (struct (int * int) * Fit) voption =
        use _ = torch.NewDisposeScope()
        let norms = pending |> Array.map norm
        let ofEarlier = if isNull earlier then 0.0 else norm earlier
        let count = float (gradient.numel ())

        let sums =
            ranges pending.Length
            |> Array.map (fun (struct (first, last) as range) ->
                let sum =
                    lazy
                        (let sum = torch.zeros_like gradient

                         for place in first .. last - 1 do
                             sum.add_ pending[place] |> ignore

                         sum)

                struct (range, sum))

        let holds (struct (first, last)) (sum: Lazy<torch.Tensor>) (fit: Fit) =
            let sum = sum.Value // made in the outer scope, for the next guess
            use _ = torch.NewDisposeScope()
            let residual = gradient.sub (sum.mul (fit.OfPasses.ToScalar()))

            if not (isNull earlier) then
                residual.sub_ (earlier.mul (fit.OfEarlier.ToScalar())) |> ignore

            let size =
                abs fit.OfEarlier * ofEarlier
                + abs fit.OfPasses * Array.sum norms[first .. last - 1]

            let steps = float (last - first) + 4.0
            norm residual <= steps * (roundoff dtype * size + smallest dtype * sqrt count)

        let oneNumber (vector: torch.Tensor) : float voption =
            let number = dot gradient vector / dot vector vector
            if isUsable number then ValueSome number else ValueNone

        let isNone (struct (first, last)) = last <= first

        /// From a range of passes and their sum to numbers that may be right.
        let guesses: (struct (int * int) -> Lazy<torch.Tensor> -> Fit voption)[] =
            [| fun range _ ->
                   if isNull earlier && isNone range then
                       ValueNone
                   else
                       ValueSome
                           { OfEarlier = (if isNull earlier then 0.0 else 1.0)
                             OfPasses = 1.0 }
               if not (isNull earlier) then
                   fun range _ ->
                       if isNone range then
                           ValueNone
                       else
                           ValueSome { OfEarlier = 0.0; OfPasses = 1.0 }

                   fun _ sum ->
                       use both = sum.Value.add earlier

                       oneNumber both
                       |> ValueOption.map (fun number ->
                           { OfEarlier = number
                             OfPasses = number })
               fun range sum ->
                   if isNone range then
                       ValueNone
                   else
                       oneNumber sum.Value
                       |> ValueOption.map (fun number -> { OfEarlier = 0.0; OfPasses = number })
               if not (isNull earlier) then
                   fun range sum ->
                       if isNone range then
                           ValueNone
                       else
                           twoNumbers gradient earlier sum.Value |]

        seq {
            for guess in guesses do
                for struct (range, sum) in sums do
                    match guess range sum with
                    | ValueSome fit when holds range sum fit -> struct (range, fit)
                    | _ -> ()
        }
        |> Seq.tryHead
        |> ValueOption.ofOption

    /// <summary>The sum that a gradient is most like, where it is a multiple of none: with the earlier gradient or without,
    /// from which pending pass on, the number between the two, and the cosine.</summary>
    /// <remarks>The number is the median over the slots of gradient / sum, which values that were clipped do not move; 1
    /// where that is no number above 0, or where the two have little in common.</remarks>
    let nearest
        (gradient: torch.Tensor)
        (earlier: torch.Tensor)
        (pending: torch.Tensor[])
        : struct (bool * int * float * float) =
        use _ = torch.NewDisposeScope()
        let size = norm gradient

        let sumOf (withEarlier: bool) (first: int) =
            let sum =
                if withEarlier then
                    earlier.clone ()
                else
                    torch.zeros_like gradient

            for place in first .. pending.Length - 1 do
                sum.add_ pending[place] |> ignore

            sum

        let candidates =
            [ for withEarlier in (if isNull earlier then [ false ] else [ true; false ]) do
                  for first in 0 .. (if withEarlier then pending.Length else pending.Length - 1) do
                      let sum = sumOf withEarlier first
                      let cosine = dot gradient sum / (size * norm sum)
                      struct (withEarlier, first, (if Double.IsFinite cosine then cosine else 0.0)) ]

        let struct (withEarlier, first, cosine) =
            candidates |> List.maxBy (fun (struct (_, _, cosine)) -> cosine)

        if cosine < 0.5 then
            struct (not (isNull earlier), 0, 1.0, cosine)
        else
            let sum = sumOf withEarlier first
            let there = sum.ne (0.0.ToScalar())

            let number =
                (gradient.masked_select there / sum.masked_select there).median().item<float>()

            struct (withEarlier,
                    first,
                    (if number > 0.0 && Double.IsFinite number then
                         number
                     else
                         1.0),
                    cosine)
