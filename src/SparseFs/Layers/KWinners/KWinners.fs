namespace SparseFs

open SparseFs.Torch
open TorchSharp

/// <summary>Activation sparsity: of each sample's units exactly k pass, and the others become 0.</summary>
/// <remarks>
/// <para>Input [*, features], output the same. Boosted scores choose, so that all units get to win; unboosted values pass.
/// Ties go to the lower index. Winners may be negative; the layer is in place of an activation. The pure modules
/// <c>KWinners</c>, <c>Boost</c> and <c>DutyCycle</c> are its specification; state is as <c>KWinnersBase</c> says.</para>
/// <para>NaN counts as the largest number unless CheckInput refuses it. Ahmad and Scheinkman 2019, arXiv:1903.11257;
/// a period of 1000, a decay of 0.9 and an inference factor of 1.5 are Numenta's.</para>
/// </remarks>
type KWinners
    /// <summary>A layer of so many units.</summary>
    /// <param name="features">n, the last dimension of the input; 1 or more.</param>
    /// <param name="options">How it chooses; KWinnersOptions.defaults if not given.</param>
    /// <param name="device">Where the buffers live; torch's default device if not given.</param>
    /// <example><code>new KWinners(2000, KWinnersOptions.ofSparsity 0.65)</code> lets 700 units of each sample pass.</example>
    /// <exception cref="T:System.ArgumentException">A number is out of its range.</exception>
    (features: int, ?options: KWinnersOptions, ?device: torch.Device) =
    inherit
        KWinnersBase(
            "KWinners",
            (KWinners.checkFeatures (nameof features) features
             features),
            options,
            device
        )

    let ownK = WinnerCount.among features base.Options.Winners

    let ownKAtInference =
        KWinners.atInference features base.Options.InferenceFactor ownK

    /// <summary>n, the units.</summary>
    member _.Features: int = features

    /// <summary>The winners of a sample in training mode.</summary>
    /// <example><code>(new KWinners(2000)).K // = 700</code></example>
    member _.K: int = ownK

    /// <summary>The winners of a sample in evaluation mode.</summary>
    /// <example><code>
    /// let options = { KWinnersOptions.ofK 100 with InferenceFactor = 1.5 } // more winners where nothing is learnt
    /// (new KWinners(1500, options)).KAtInference // = 150
    /// </code></example>
    member _.KAtInference: int = ownKAtInference

    /// <summary>The entropy of the duty cycle where all units win alike, in bits.</summary>
    /// <example><code>
    /// let winners = new KWinners(784, KWinnersOptions.ofSparsity 0.5)
    /// winners.call x |> ignore
    /// printfn $"{winners.Entropy()} of at most {winners.MaxEntropy()} bits"
    /// </code></example>
    member _.MaxEntropy() : float = DutyCycle.maxEntropy features ownK

    member internal this.ForwardWith(backend: Backend, x: torch.Tensor) : torch.Tensor =
        this.Reading(fun buffers -> this.Select(buffers, (fun _ -> backend), x))

    member private this.Select
        (buffers: KWinnersBuffers, backendOf: torch.Tensor -> Backend, x: torch.Tensor)
        : torch.Tensor =
        this.CheckInput(buffers, x)
        let samples = TensorView.checkSamples "x" x this features "features"
        DeferredDispose.Release()
        BackwardFailure.Raise()
        use _ = torch.NewDisposeScope()
        let struct (form, terms) = this.Terms(buffers, float ownK / float features)
        let k = if this.training then ownK else ownKAtInference
        let counts = this.training && samples > 0

        let selecting =
            TopKMask(
                { K = k
                  Form = form
                  Terms = terms
                  Counts = counts },
                this.Options.StraightThrough,
                backendOf x
            )

        let y = KWinnersOps.onSamples selecting samples features x

        match selecting.Wins with
        | null -> () // nobody counts
        | wins -> this.Note(buffers, samples, 1, wins)

        y.MoveToOuterDisposeScope()

    /// <summary>The winners of each sample, and 0 elsewhere.</summary>
    /// <param name="x">Shape [*, features], of a real floating dtype, on the layer's device.</param>
    /// <returns>As x.</returns>
    /// <exception cref="T:System.ArgumentException">The shape, the dtype or the device is not as said, or x is not finite
    /// and the layer checks that.</exception>
    override this.forward(x: torch.Tensor) : torch.Tensor =
        this.Reading(fun buffers -> this.Select(buffers, Backends.ofTensor, x))

    override this.ToString() =
        $"KWinners(features={features}, k={ownK}, {this.Describe()})"
