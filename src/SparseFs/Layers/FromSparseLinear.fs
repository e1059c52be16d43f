namespace SparseFs

open System
open TorchSharp

/// <summary>SparseLinear's own calls, in the words of that PyTorch package and with its defaults; docs/from-sparselinear.md has
/// the rest.</summary>
[<AbstractClass; Sealed>]
type FromSparseLinear =

    /// <summary>SparseLinear's layer.</summary>
    /// <param name="inFeatures">Size of each input sample, 0 or more.</param>
    /// <param name="outFeatures">Size of each output sample, 0 or more.</param>
    /// <param name="hasBias">Whether the layer learns an additive bias; true by default.</param>
    /// <param name="sparsity">The part of the weights that do not exist, in [0, 1); 0.9 by default. Not used where
    /// connectivity says which exist.</param>
    /// <param name="connectivity">Which weights exist, shape [outFeatures, inFeatures]; drawn by default.</param>
    /// <param name="smallWorld">Whether connections get rarer with distance: Topology.smallWorld; false by default. Not used
    /// where connectivity is given.</param>
    /// <param name="dynamic">Whether the layer carries a policy, RigL's, for a Rewirer to follow; false by default.</param>
    /// <param name="deltaT">Optimizer steps from one update to the next, 1 or more; 6000 by default.</param>
    /// <param name="tEnd">The last optimizer step that may be an update; 150000 by default.</param>
    /// <param name="alpha">The part of the slots that the first update rewires, in [0, 1], falling by a cosine; 0.1 by
    /// default.</param>
    /// <param name="seed">What the pattern is drawn from; one number of torch's generator if not given. Not used where
    /// connectivity is given.</param>
    /// <param name="init">How the weights are drawn; Init.FanIn by default, where that package had Init.DenseFanIn.</param>
    /// <param name="device">Where the parameters live; torch's default device if not given.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if not given.</param>
    /// <exception cref="T:System.ArgumentException">A size is negative, the connectivity has another shape, the sparsity is
    /// outside [0, 1) or leaves no weight, nnz would exceed 2^31 − 1, a small world cannot be that sparse, dtype is not a real
    /// floating one, or a number of the schedule is outside its range, dynamic or not.</exception>
    /// <example><code>FromSparseLinear.SparseLinear(784, 100, dynamic = true, deltaT = 6000L)</code></example>
    static member SparseLinear
        (
            inFeatures: int,
            outFeatures: int,
            ?hasBias: bool,
            ?sparsity: float,
            ?connectivity: Connectivity,
            ?smallWorld: bool,
            ?dynamic: bool,
            ?deltaT: int64,
            ?tEnd: int64,
            ?alpha: float,
            ?seed: Seed,
            ?init: Init,
            ?device: torch.Device,
            ?dtype: torch.ScalarType
        ) : SparseLinear =
        let rigL =
            { Fraction = defaultArg alpha 0.1
              Decay = Decay.Cosine
              Start = 0L
              End = defaultArg tEnd 150_000L
              Every = defaultArg deltaT 6000L }
            |> Schedule.checkAs (function
                | "fraction" -> nameof alpha
                | "every" -> nameof deltaT
                | _ -> nameof tEnd)
            |> Policy.rigL

        let policy = if defaultArg dynamic false then Some rigL else None

        match connectivity with
        | Some c when c.Rows <> outFeatures || c.Cols <> inFeatures ->
            raise (
                ArgumentException(
                    $"expected shape [outFeatures, inFeatures] = [{outFeatures}, {inFeatures}], got [{c.Rows}, {c.Cols}]",
                    nameof connectivity
                )
            )
        | Some c ->
            new SparseLinear(c, ?hasBias = hasBias, ?init = init, ?device = device, ?dtype = dtype, ?policy = policy)
        | None ->
            let topology =
                if defaultArg smallWorld false then
                    Topology.smallWorld
                else
                    Topology.uniform

            new SparseLinear(
                inFeatures,
                outFeatures,
                ?sparsity = sparsity,
                topology = topology,
                ?seed = seed,
                ?hasBias = hasBias,
                ?init = init,
                ?device = device,
                ?dtype = dtype,
                ?policy = policy
            )

    /// <summary>SparseLinear's activation sparsity: k-winners with an exponential boost.</summary>
    /// <param name="numFeatures">The last dimension of the input, 1 or more.</param>
    /// <param name="alpha">The weight of a batch in the duty cycle, in (0, 1]; 0.1 by default.</param>
    /// <param name="beta">The strength of the boost, 0 or more; 1.5 by default.</param>
    /// <param name="actSparsity">The part of the units that do not win, in [0, 1); 0.65 by default.</param>
    /// <param name="device">Where the buffers live; torch's default device if not given.</param>
    /// <exception cref="T:System.ArgumentException">A number is out of its range.</exception>
    static member ActivationSparsity
        (numFeatures: int, ?alpha: float, ?beta: float, ?actSparsity: float, ?device: torch.Device)
        : KWinners =
        let strength, sparsity = defaultArg beta 1.5, defaultArg actSparsity 0.65
        KWinners.checkFeatures (nameof numFeatures) numFeatures
        Boost.checkStrength (nameof beta) strength
        Sparsity.check (nameof actSparsity) sparsity

        let options =
            { KWinnersOptions.ofSparsity sparsity with
                DutyCycle = DutyCycle.Alpha(defaultArg alpha 0.1)
                Boost = Boost.Exponential strength }

        new KWinners(numFeatures, options, ?device = device)
