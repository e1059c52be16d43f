namespace SparseFs

open System
open SparseFs.Torch
open TorchSharp

/// <summary>A linear layer that stores, multiplies and trains only the weights that exist: y = x · Wᵀ + bias.</summary>
/// <remarks>
/// Input [*, in_features], output [*, out_features], as torch.nn.Linear. Parameters: <c>weight</c> [nnz] in slot order
/// and <c>bias</c> [out_features]. state_dict holds them and the pattern as <c>row_ptr</c> and <c>col_idx</c> (int32).
/// A pattern that is loaded is validated before it is used: at once by this layer's own load and load_state_dict, and at
/// the layer's next use when a parent module loads it. A wrong one raises ArgumentException with the key's name and
/// leaves pattern, weight and bias as they were when state_dict was read.
/// </remarks>
[<Sealed>]
type SparseLinear internal (channels: LayerChannels, start: LayerStart) =
    inherit SparseLayer(LayerDescription.ofLinear channels start.Connectivity, start)

    let rows, cols = start.Connectivity.Rows, start.Connectivity.Cols

    internal new(start: LayerStart) = new SparseLinear(LayerChannels.Linear, start)

    /// <summary>A layer over a pattern that is given.</summary>
    /// <param name="connectivity">Which weights exist; shape [out_features, in_features].</param>
    /// <param name="hasBias">Whether the layer learns an additive bias; true by default.</param>
    /// <param name="init">How the weights are drawn; Init.FanIn by default.</param>
    /// <param name="device">Where the parameters live; torch's default device if not given.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if not given.</param>
    /// <param name="policy">How a Rewirer that follows its layers rewires this one; not at all by default.</param>
    /// <exception cref="T:System.ArgumentException">connectivity is null, dtype is not a real floating one, or a part of the
    /// policy is outside its range.</exception>
    /// <example><code>new SparseLinear(Topology.constantFanIn 300 784 20 (Seed.ofInt 1))</code></example>
    new
        (
            connectivity: Connectivity,
            ?hasBias: bool,
            ?init: Init,
            ?device: torch.Device,
            ?dtype: torch.ScalarType,
            ?policy: Policy
        ) =
        let settings = LayerSettings.Of(hasBias, init, device, dtype, policy)
        new SparseLinear(LayerStart.ofPattern settings LayerChannels.Linear connectivity)

    /// <summary>A layer over a pattern that is drawn: uniformly random connections, or those of a topology.</summary>
    /// <param name="inFeatures">Size of each input sample, 0 or more.</param>
    /// <param name="outFeatures">Size of each output sample, 0 or more.</param>
    /// <param name="sparsity">The part of the weights that do not exist, in [0, 1); 0.9 by default.</param>
    /// <param name="seed">What the pattern is drawn from; one number of torch's generator if not given.</param>
    /// <param name="hasBias">Whether the layer learns an additive bias; true by default.</param>
    /// <param name="init">How the weights are drawn; Init.FanIn by default.</param>
    /// <param name="device">Where the parameters live; torch's default device if not given.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if not given.</param>
    /// <param name="topology">Draws the pattern from rows, columns, nnz and a seed, and gives back one of that shape and
    /// nnz; Topology.uniform by default.</param>
    /// <param name="policy">How a Rewirer that follows its layers rewires this one; not at all by default.</param>
    /// <exception cref="T:System.ArgumentException">A size is negative, the sparsity is outside [0, 1) or leaves no weight, nnz would exceed
    /// 2^31 − 1, the topology refuses them or gives another pattern, or dtype or policy are not as said above.</exception>
    /// <example><code>new SparseLinear(784, 300, sparsity = 0.95, topology = Topology.smallWorld)</code></example>
    new
        (
            inFeatures: int,
            outFeatures: int,
            ?sparsity: float,
            ?seed: Seed,
            ?hasBias: bool,
            ?init: Init,
            ?device: torch.Device,
            ?dtype: torch.ScalarType,
            ?topology: int -> int -> int -> Seed -> Connectivity,
            ?policy: Policy
        ) =
        new SparseLinear(
            LayerStart.ofTopology
                (LayerSettings.Of(hasBias, init, device, dtype, policy))
                LayerChannels.Linear
                inFeatures
                outFeatures
                (defaultArg sparsity 0.9)
                (defaultArg topology Topology.uniform)
                seed
        )

    /// <summary>Size of each input sample.</summary>
    member _.in_features: int64 = int64 cols

    /// <summary>Size of each output sample.</summary>
    member _.out_features: int64 = int64 rows

    /// <summary>What the layer will use for an input of so many samples: Sparse, Dense or SparseActivations.</summary>
    /// <param name="samples">N, the product of an input's leading dimensions; 0 or more.</param>
    /// <exception cref="T:System.ArgumentException">samples is negative, or a pattern was loaded that is not one.</exception>
    /// <example><code>
    /// let hardlySparse = new SparseLinear(784, 300, sparsity = 0.4)
    /// hardlySparse.Arithmetic &lt;- Arithmetic.Faster
    /// hardlySparse.ArithmeticFor 32 // = Dense
    /// </code></example>
    member this.ArithmeticFor(samples: int) : Arithmetic =
        if samples < 0 then
            raise (ArgumentException($"expected 0 or more, got {samples}", nameof samples))

        match this.Arithmetic with
        | Arithmetic.Faster -> Arithmetic.faster this.Connectivity.Sparsity samples
        | known -> known

    /// <summary>x · Wᵀ + bias.</summary>
    /// <param name="x">Shape [*, in_features], of the dtype and on the device of the weight.</param>
    /// <returns>Shape [*, out_features].</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype or a device is not as said, or a pattern was loaded
    /// that is not one.</exception>
    /// <exception cref="T:System.ObjectDisposedException">The layer has been disposed of.</exception>
    override this.forward(x: torch.Tensor) : torch.Tensor =
        this.Call(fun name operator numbers -> SparseOps.ofLayer name operator numbers x)
