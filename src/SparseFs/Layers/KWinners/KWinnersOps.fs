namespace SparseFs

open System
open SparseFs.Torch
open SparseFs.Kernels
open TorchSharp

/// <summary>K-winners as differentiable functions, without state.</summary>
/// <remarks>
/// Exactly k elements of each sample stay, ties going to the lower index. float32 and half precision on the CPU run on the
/// library's kernels, with torch.get_num_threads() threads and results that do not depend on their number; float64 and
/// other devices on torch's stable sort. The gradient goes to the winners alone, also where a winner's value is 0;
/// gradients of any order are right. NaN counts as the largest number, so that it wins and shows; where more than k are
/// NaN, the lower indices win.
/// </remarks>
[<RequireQualifiedAccess>]
module KWinnersOps =

    /// Chooses in each row of x [N, n].
    let internal onRows (selecting: TopKMask) (x: torch.Tensor) : torch.Tensor = MaskFunction.Apply(selecting, x)

    /// Chooses in each sample of x [*, n], of which there are so many. Views cost an autograd node each: most inputs need none.
    let internal onSamples (selecting: TopKMask) (samples: int) (features: int) (x: torch.Tensor) : torch.Tensor =
        if x.dim () = 2L then
            onRows selecting x
        else
            (onRows selecting (x.reshape (int64 samples, int64 features))).view x.shape

    let internal checkSamples (x: torch.Tensor) : struct (int * int) =
        TensorView.checkFloating "x" x
        let shape = x.shape
        let last = if shape.Length = 0 then 0L else shape[shape.Length - 1]

        if last < 1L || last > int64 (Int32.MaxValue - 64) then
            raise (ArgumentException("expected shape [*, features] with 1 feature or more", "x"))

        struct (TensorView.checkSamples "x" x null (int last) "features", int last)

    let private winnersBy (backendOf: torch.Tensor -> Backend) (k: int) (x: torch.Tensor) : torch.Tensor =
        let struct (samples, features) = checkSamples x
        KWinners.checkK features k
        DeferredDispose.Release()
        BackwardFailure.Raise()
        use _ = torch.NewDisposeScope()

        let top =
            { K = k
              Form = Scores.Inputs
              Terms = null
              Counts = false }

        let selecting = TopKMask(top, false, backendOf x)
        (onSamples selecting samples features x).MoveToOuterDisposeScope()

    let internal winnersWith (backend: Backend) = winnersBy (fun _ -> backend)

    /// <summary>The k largest elements of each sample, and 0 elsewhere.</summary>
    /// <param name="k">How many stay, 1..features.</param>
    /// <param name="x">Shape [*, features], of a real floating dtype.</param>
    /// <returns>As x. Applying it twice is applying it once, if no winner is negative.</returns>
    /// <exception cref="T:System.ArgumentException">k is outside 1..features, or x is null, has no features, or is of
    /// another dtype.</exception>
    /// <example><code>
    /// let y = KWinnersOps.winners 2 (torch.tensor [| 0.5f; -1.0f; 2.0f; 0.25f |])
    /// y.data&lt;float32>().ToArray() // = [|0.5f; 0.0f; 2.0f; 0.0f|]
    /// </code></example>
    [<CompiledName "Winners">]
    let winners (k: int) (x: torch.Tensor) : torch.Tensor = winnersBy Backends.ofTensor k x
