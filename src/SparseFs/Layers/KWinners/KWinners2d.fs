namespace SparseFs

open System
open SparseFs.Torch
open TorchSharp

/// <summary>K-winners of images [N, C, H, W], with one duty cycle a channel.</summary>
/// <remarks>As <c>KWinners</c>, in one of two ways. Over the image: k of its C · H · W elements win, and a channel's duty
/// cycle is the part of its H · W places where it wins. Local: k of the C channels win at each place.</remarks>
type KWinners2d
    /// <summary>A layer of so many channels.</summary>
    /// <param name="channels">C, 1 or more.</param>
    /// <param name="options">How it chooses among the elements of an image (local: among the channels of a place);
    /// KWinnersOptions.defaults if not given.</param>
    /// <param name="local">Whether winners are chosen among the channels at each place; false by default.</param>
    /// <param name="device">Where the buffers live; torch's default device if not given.</param>
    /// <exception cref="T:System.ArgumentException">A number is out of its range.</exception>
    /// <example><code>
    /// // Of each image of 64 channels, a tenth of all elements passes.
    /// let winners = new KWinners2d(64, KWinnersOptions.ofSparsity 0.9)
    /// winners.call(torch.randn (8L, 64L, 5L, 5L)).ne(0.0.ToScalar()).sum().item&lt;int64>() // = 1280L
    /// </code></example>
    (channels: int, ?options: KWinnersOptions, ?local: bool, ?device: torch.Device) =
    inherit
        KWinnersBase(
            "KWinners2d",
            (KWinners.checkFeatures (nameof channels) channels
             channels),
            options,
            device
        )

    let isLocal = defaultArg local false

    do
        if isLocal then
            WinnerCount.among channels base.Options.Winners |> ignore

    /// <summary>C, the channels.</summary>
    member _.Channels: int = channels

    /// <summary>Whether winners are chosen among the channels at each place.</summary>
    member _.IsLocal: bool = isLocal

    /// <summary>The winners of an image of this size, or of a place if the layer is local, in training mode.</summary>
    /// <param name="height">H, 1 or more.</param>
    /// <param name="width">W, 1 or more.</param>
    /// <exception cref="T:System.ArgumentException">C · H · W exceeds 2^31 − 65, or k exceeds it.</exception>
    /// <example><code>
    /// let atEachPlace = new KWinners2d(64, KWinnersOptions.ofK 8, local = true)
    /// atEachPlace.KOf(12, 12) // = 8
    /// </code></example>
    member this.KOf(height: int, width: int) : int =
        WinnerCount.among (this.Candidates(height, width)) this.Options.Winners

    /// <summary>The entropy of the duty cycle where all channels win alike, in bits.</summary>
    /// <param name="height">H, 1 or more.</param>
    /// <param name="width">W, 1 or more.</param>
    /// <remarks>As Entropy, it counts each channel once, not each of its places.</remarks>
    /// <example><code>
    /// let winners = new KWinners2d(64, KWinnersOptions.ofSparsity 0.5)
    /// winners.MaxEntropy(12, 12) // = 64.0
    /// </code></example>
    member this.MaxEntropy(height: int, width: int) : float =
        let n = this.Candidates(height, width)

        DutyCycle.maxEntropy n (WinnerCount.among n this.Options.Winners) / float n
        * float channels

    /// Among how many the winners are chosen.
    member private _.Candidates(height: int, width: int) : int =
        let all = int64 channels * int64 height * int64 width

        if height < 1 || width < 1 || all > int64 (Int32.MaxValue - 64) then
            raise (ArgumentException($"expected at most {Int32.MaxValue - 64} elements an image, got {all}", "x"))

        if isLocal then channels else int all

    member private _.CheckShape(x: torch.Tensor) =
        let shape = x.shape

        if shape.Length <> 4 || shape[1] <> int64 channels then
            raise (ArgumentException($"expected shape [N, {channels}, H, W], got {Shape.text shape}", "x"))

        if shape[0] * shape[2] * shape[3] > int64 Int32.MaxValue then
            raise (
                ArgumentException(
                    $"expected at most {Int32.MaxValue} places, got {shape[0] * shape[2] * shape[3]}",
                    "x"
                )
            )

    member internal this.ForwardWith(backend: Backend, x: torch.Tensor) : torch.Tensor =
        this.Reading(fun buffers -> this.Select(buffers, (fun _ -> backend), x))

    member private this.Select
        (buffers: KWinnersBuffers, backendOf: torch.Tensor -> Backend, x: torch.Tensor)
        : torch.Tensor =
        this.CheckInput(buffers, x)
        this.CheckShape x
        let n, height, width = x.shape[0], x.shape[2], x.shape[3]
        let places = height * width
        DeferredDispose.Release()
        BackwardFailure.Raise()

        if places = 0L then
            x.alias ()
        else
            use _ = torch.NewDisposeScope()
            let candidates = this.Candidates(int height, int width)
            let trained = WinnerCount.among candidates this.Options.Winners
            let struct (form, terms) = this.Terms(buffers, float trained / float candidates)

            let k =
                if this.training then
                    trained
                else
                    KWinners.atInference candidates this.Options.InferenceFactor trained

            let counts = this.training && n > 0L

            let terms: torch.Tensor | null =
                match terms with
                | null -> null
                | terms when isLocal -> terms
                | terms -> terms.repeat_interleave places

            let selecting =
                TopKMask(
                    { K = k
                      Form = form
                      Terms = terms
                      Counts = counts },
                    this.Options.StraightThrough,
                    backendOf x
                )

            let y =
                if isLocal then
                    let byPlace = x.permute (0L, 2L, 3L, 1L)
                    let rows = byPlace.reshape (n * places, int64 channels)
                    (KWinnersOps.onRows selecting rows).view(byPlace.shape).permute(0L, 3L, 1L, 2L).contiguous()
                else
                    (KWinnersOps.onRows selecting (x.reshape (n, int64 candidates))).view x.shape

            match selecting.Wins with
            | null -> () // nobody counts
            | ofElements ->
                let wins =
                    if isLocal then
                        ofElements
                    else
                        ofElements.view(int64 channels, places).sum(1L)

                this.Note(buffers, int n, int places, wins)

            y.MoveToOuterDisposeScope()

    /// <summary>The winners of each image, or of each place, and 0 elsewhere.</summary>
    /// <param name="x">Shape [N, C, H, W], of a real floating dtype, on the layer's device.</param>
    /// <returns>As x, contiguous.</returns>
    /// <exception cref="T:System.ArgumentException">The shape, the dtype or the device is not as said, k exceeds what an
    /// image has, or x is not finite and the layer checks that.</exception>
    override this.forward(x: torch.Tensor) : torch.Tensor =
        this.Reading(fun buffers -> this.Select(buffers, Backends.ofTensor, x))

    override this.ToString() =
        let k =
            match this.Options.Winners with
            | WinnerCount.Exactly k -> $"k={k}, "
            | WinnerCount.Sparsity _ -> ""

        let isLocal = if isLocal then "True" else "False"
        $"KWinners2d(channels={channels}, local={isLocal}, {k}{this.Describe()})"
