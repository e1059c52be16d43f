namespace SparseFs.Torch

open System

/// <summary>Which passes a gradient is made of, and what it was multiplied with.</summary>
[<RequireQualifiedAccess>]
type internal PassFit =
    /// The gradient is the sum of passes, each times its number: one for all that are in it unless it was multiplied between
    /// them; 0 for those that are not.
    | Exact of weights: float[]
    /// It is no such sum: its elements were changed one by one. Passes that seem to be in it have 1.
    | Changed of weights: float[]

/// <summary>Finding the passes in a gradient.</summary>
/// <remarks>A backward pass adds its gradient to <c>.grad</c>, but a user may throw it away (zero_grad), ask for it without
/// adding it (autograd.grad), and multiply the sum by one number (norm clipping, unscaling, averaging). At the slots all of
/// that shows: the gradient there must be s · Σ d over the passes that stand, up to roundings.</remarks>
module internal PassFit =

    let private dot (a: float[]) (b: float[]) =
        let mutable sum = 0.0

        for i in 0 .. a.Length - 1 do
            sum <- sum + a[i] * b[i]

        sum

    let private norm (a: float[]) = sqrt (dot a a)

    let private sumOf (passes: float[][]) (weights: float[]) : float[] =
        Array.init passes[0].Length (fun slot ->
            let mutable sum = 0.0

            for i in 0 .. passes.Length - 1 do
                if weights[i] <> 0.0 then
                    sum <- sum + weights[i] * passes[i][slot]

            sum)

    /// Whether a multiple of a sum is the gradient: each of so many additions, and the multiplications, round by u.
    let private isNear
        (u: float)
        (additions: int)
        (sum: float[])
        (scale: float)
        (gradient: float[])
        (norms: float)
        : bool =
        let mutable distance = 0.0

        for i in 0 .. sum.Length - 1 do
            let d = scale * sum[i] - gradient[i]
            distance <- distance + d * d

        sqrt distance <= float (additions + 4) * u * norms

    let private isSum (u: float) (passes: float[][]) (gradient: float[]) (weights: float[]) : bool =
        let norms =
            Array.fold2 (fun sum weight pass -> sum + abs weight * norm pass) 0.0 weights passes

        isNear u passes.Length (sumOf passes weights) 1.0 gradient norms

    /// The number that brings a sum nearest to the gradient; exactly 1 where it is 1 up to roundings.
    let private scaleOf (u: float) (sum: float[]) (gradient: float[]) : float =
        let scale = dot sum gradient / dot sum sum
        if abs (scale - 1.0) <= 16.0 * u then 1.0 else scale

    /// Solves (A + tiny) x = b for a symmetric matrix, by Gauss with pivots.
    let private solve (matrix: float[][]) (right: float[]) : float[] =
        let n = right.Length
        let a = matrix |> Array.map Array.copy
        let b = Array.copy right
        let ridge = 1e-12 * (a |> Array.mapi (fun i row -> row[i]) |> Array.max)

        for i in 0 .. n - 1 do
            a[i][i] <- a[i][i] + ridge

        for k in 0 .. n - 1 do
            let pivot = Seq.maxBy (fun i -> abs (a[i].[k])) (seq { k .. n - 1 })
            let row, value = a[pivot], b[pivot]
            a[pivot] <- a[k]
            b[pivot] <- b[k]
            a[k] <- row
            b[k] <- value

            for i in k + 1 .. n - 1 do
                let factor = if a[k][k] = 0.0 then 0.0 else a[i][k] / a[k][k]

                for j in k .. n - 1 do
                    a[i][j] <- a[i][j] - factor * a[k][j]

                b[i] <- b[i] - factor * b[k]

        for k in n - 1 .. -1 .. 0 do
            for j in k + 1 .. n - 1 do
                b[k] <- b[k] - a[k][j] * b[j]

            b[k] <- if a[k][k] = 0.0 then 0.0 else b[k] / a[k][k]

        b

    /// As find, of finite passes and a finite gradient that is not 0.
    let private findFinite (u: float) (passes: float[][]) (gradient: float[]) : PassFit =
        let count = passes.Length

        // The fewest last passes: their sum, one more at a time.
        let sum: float[] = Array.zeroCreate gradient.Length
        let mutable norms = 0.0
        let mutable first = count
        let mutable weight = 0.0

        while weight = 0.0 && first > 0 do
            first <- first - 1
            let pass = passes[first]
            norms <- norms + norm pass

            for slot in 0 .. sum.Length - 1 do
                sum[slot] <- sum[slot] + pass[slot]

            if norm sum > 0.0 then
                let scale = scaleOf u sum gradient

                if isNear u count sum scale gradient (abs scale * norms) then
                    weight <- scale

        if weight <> 0.0 then
            PassFit.Exact(Array.init count (fun i -> if i >= first then weight else 0.0))
        else
            let products = passes |> Array.map (fun a -> passes |> Array.map (dot a))
            let found = solve products (passes |> Array.map (fun d -> dot d gradient))
            let largest = found |> Array.maxBy abs |> abs

            // Each pass has one number: that of the sum, or 0.
            let stand = found |> Array.map (fun a -> if abs a > 0.5 * largest then 1.0 else 0.0)

            let sum = sumOf passes stand
            let scale = if norm sum = 0.0 then 1.0 else scaleOf u sum gradient
            let weights = stand |> Array.map ((*) scale)

            if isSum u passes gradient weights then
                PassFit.Exact weights
            // Fewer slots than passes would be any sum of them.
            elif gradient.Length > count && isSum u passes gradient found then
                PassFit.Exact found
            else
                PassFit.Changed stand

    /// <summary>The passes in a gradient.</summary>
    /// <param name="u">The rounding of the gradient's dtype: 2^−24 for float32.</param>
    /// <param name="passes">Each pass's gradient at some slots, in the order of the passes; one or more.</param>
    /// <param name="gradient">What is in .grad at the same slots.</param>
    /// <returns>The fewest last passes that make the gradient up, if any do; else the passes that do together, wherever they
    /// are. None, as exact, where the gradient is 0. A pass that is not finite is in no finite gradient: it was thrown
    /// away, as loss scaling does.</returns>
    let find (u: float) (passes: float[][]) (gradient: float[]) : PassFit =
        let isFinite (numbers: float[]) = Double.IsFinite(norm numbers)

        if not (isFinite gradient) then
            PassFit.Changed(passes |> Array.map (fun _ -> 1.0)) // whoever reads the scores refuses them
        else
            let places =
                [| for i in 0 .. passes.Length - 1 do
                       if isFinite passes[i] then
                           i |]

            let finite = places |> Array.map (fun i -> passes[i])

            let spread (weights: float[]) =
                let all: float[] = Array.zeroCreate passes.Length
                Array.iter2 (fun i weight -> all[i] <- weight) places weights
                all

            if finite.Length = 0 then
                PassFit.Exact(spread [||])
            elif norm gradient = 0.0 then
                // A pass that says nothing at these slots may say something elsewhere.
                let isSilent = finite |> Array.forall (fun d -> norm d = 0.0)
                PassFit.Exact(spread (finite |> Array.map (fun _ -> if isSilent then 1.0 else 0.0)))
            else
                match findFinite u finite gradient with
                | PassFit.Exact weights -> PassFit.Exact(spread weights)
                | PassFit.Changed weights -> PassFit.Changed(spread weights)
