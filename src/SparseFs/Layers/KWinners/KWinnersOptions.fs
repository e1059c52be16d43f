namespace SparseFs

/// <summary>How a K-winners layer chooses, learns of past wins, and passes gradients.</summary>
/// <remarks>The names in brackets are nupic.torch's. Numenta's own numbers are a period of 1000, a decay of 0.9 and an
/// inference factor of 1.5.</remarks>
/// <example><code>{ KWinnersOptions.defaults with Winners = WinnerCount.Exactly 50; Boost = Boost.None }</code></example>
[<NoComparison>]
type KWinnersOptions =
    {
        /// <summary>How many units of a sample win in training mode (percent_on).</summary>
        Winners: WinnerCount
        /// <summary>How the duty cycle forgets (duty_cycle_period).</summary>
        DutyCycle: DutyCycle
        /// <summary>How past wins weigh on the scores (boost_strength).</summary>
        Boost: Boost
        /// <summary>What EndEpoch multiplies the strength of the boost with, in [0, 1] (boost_strength_factor).</summary>
        BoostDecay: float
        /// <summary>How many times k win in evaluation mode, above 0 (k_inference_factor).</summary>
        InferenceFactor: float
        /// <summary>Whether the gradient goes to all units, not to winners only.</summary>
        StraightThrough: bool
        /// <summary>Whether NaN and infinity are refused, at the cost of a pass over the input; else NaN counts as the largest
        /// number.</summary>
        CheckInput: bool
    }

    /// One line: what is as in KWinnersOptions.defaults is left out, but winners, duty cycle and boost.
    override o.ToString() =
        String.concat
            ", "
            [ invariant $"winners {o.Winners}, duty cycle {o.DutyCycle}, boost {o.Boost}"
              if o.BoostDecay <> 1.0 then
                  invariant $"boost decay {o.BoostDecay}"
              if o.InferenceFactor <> 1.0 then
                  invariant $"inference factor {o.InferenceFactor}"
              if o.StraightThrough then
                  "straight through"
              if o.CheckInput then
                  "input checked" ]

/// <summary>Options of K-winners layers to begin with.</summary>
[<RequireQualifiedAccess>]
module KWinnersOptions =

    /// <summary>SparseLinear's: a sparsity of 0.65, an alpha of 0.1 and an exponential boost of 1.5; no decay, as many winners
    /// in evaluation, gradients to winners only, inputs not checked.</summary>
    /// <example><code>
    /// let options = { KWinnersOptions.defaults with Boost = Boost.Additive 1.5; DutyCycle = DutyCycle.Period 1000 }
    /// let winners = new KWinners(2000, options)
    /// </code></example>
    [<CompiledName "Defaults">]
    let defaults: KWinnersOptions =
        { Winners = WinnerCount.Sparsity 0.65
          DutyCycle = DutyCycle.Alpha 0.1
          Boost = Boost.Exponential 1.5
          BoostDecay = 1.0
          InferenceFactor = 1.0
          StraightThrough = false
          CheckInput = false }

    /// <summary>The defaults with another sparsity.</summary>
    /// <param name="sparsity">The part of the units that do not win, in [0, 1).</param>
    /// <example><code>
    /// let winners = new KWinners(2000, KWinnersOptions.ofSparsity 0.9)
    /// winners.K // = 200
    /// </code></example>
    [<CompiledName "OfSparsity">]
    let ofSparsity (sparsity: float) : KWinnersOptions =
        { defaults with
            Winners = WinnerCount.Sparsity sparsity }

    /// <summary>The defaults with a number of winners.</summary>
    /// <param name="k">The winners of a sample, 1 or more.</param>
    /// <example><code>
    /// let model =
    ///     torch.nn.Sequential(
    ///         new SparseLinear(784, 1500),
    ///         new KWinners(1500, KWinnersOptions.ofK 150),
    ///         torch.nn.Linear(1500L, 10L)
    ///     )
    /// </code></example>
    [<CompiledName "OfK">]
    let ofK (k: int) : KWinnersOptions =
        { defaults with
            Winners = WinnerCount.Exactly k }

    /// <summary>The options themselves, if each number is in its range.</summary>
    /// <param name="options">What a layer is to be made with; the layers check it.</param>
    /// <exception cref="T:System.ArgumentException">options or a part of it is null, or a number is out of its
    /// range.</exception>
    /// <example><code>
    /// let options = KWinnersOptions.check { KWinnersOptions.ofK 150 with InferenceFactor = 1.5 }
    /// (new KWinners(1500, options)).KAtInference // = 225
    /// </code></example>
    [<CompiledName "Check">]
    let check (options: KWinnersOptions) : KWinnersOptions =
        if isNull (box options) then
            nullArg (nameof options)

        WinnerCount.check options.Winners |> ignore
        DutyCycle.check options.DutyCycle |> ignore
        Boost.check options.Boost |> ignore
        Boost.checkDecay "boostDecay" options.BoostDecay
        KWinners.checkFactor "inferenceFactor" options.InferenceFactor
        options
