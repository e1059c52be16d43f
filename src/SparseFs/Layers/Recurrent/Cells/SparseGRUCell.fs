namespace SparseFs

open SparseFs.Kernels
open SparseFs.Torch
open TorchSharp

/// <summary>One step of gated recurrent units whose matrices store, multiply and train only the weights that exist.</summary>
/// <remarks>As torch.nn.GRUCell: input [batch, input_size] or [input_size], state [batch, hidden_size] or [hidden_size]. A SparseGRU goes
/// through whole sequences, and is faster where they are known.</remarks>
/// <example><code>
/// let cell = new SparseGRUCell(64, 128, sparsity = 0.9)
/// let h = cell.call (torch.randn (20L, 64L))
/// (cell.call (torch.randn (20L, 64L), h)).shape // = [|20L; 128L|]
/// </code></example>
[<Sealed>]
type SparseGRUCell internal (settings: RecurrentSettings, matrices: RecurrentMatrices list) =
    inherit SparseRecurrentCell<torch.Tensor | null, torch.Tensor>(settings, matrices)

    /// <summary>A cell over patterns that are drawn: uniformly random connections, or those of a topology.</summary>
    /// <param name="inputSize">Features of an input, 1 or more.</param>
    /// <param name="hiddenSize">Units, 1 or more.</param>
    /// <param name="hasBias">Whether both matrices have a bias; true by default.</param>
    /// <param name="sparsity">The part of the weights that do not exist, in [0, 1); 0.9 by default.</param>
    /// <param name="recurrentSparsity">That of the matrix that takes the hidden state; as sparsity by default.</param>
    /// <param name="seed">What the patterns are drawn from, each from a child of it; numbers of torch's generator if not given.</param>
    /// <param name="init">How the weights are drawn; Init.FanIn by default, within ± 1/√hidden_size · √(inputs / fan-in): torch's rule, with
    /// the slots that there are.</param>
    /// <param name="device">Where the parameters live; torch's default device if not given.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if not given.</param>
    /// <param name="topology">Draws a pattern from rows, columns, nnz and a seed; Topology.uniform by default.</param>
    /// <param name="recurrentTopology">That of the matrix that takes the hidden state; as topology by default.</param>
    /// <param name="policy">How a Rewirer that follows its layers rewires the matrices; not at all by default.</param>
    /// <exception cref="T:System.ArgumentException">A size is below 1, a part is outside its range, or the topology refuses.</exception>
    new
        (
            inputSize: int,
            hiddenSize: int,
            ?hasBias: bool,
            ?sparsity: float,
            ?recurrentSparsity: float,
            ?seed: Seed,
            ?init: Init,
            ?device: torch.Device,
            ?dtype: torch.ScalarType,
            ?topology: int -> int -> int -> Seed -> Connectivity,
            ?recurrentTopology: int -> int -> int -> Seed -> Connectivity,
            ?policy: Policy
        ) =
        let settings =
            RecurrentSettings.make "SparseGRUCell" Cell.Gru inputSize hiddenSize None hasBias None None None None

        let start =
            RecurrentStart.Of(
                LayerSettings.Of(hasBias, init, device, dtype, policy),
                sparsity,
                recurrentSparsity,
                topology,
                recurrentTopology,
                seed
            )

        new SparseGRUCell(settings, [ RecurrentMatrices.drawCell settings start ])

    /// <summary>Takes a step.</summary>
    /// <param name="x">As said above.</param>
    /// <param name="state">The hidden state before it; null for zeros.</param>
    /// <returns>The hidden state after it.</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype or a device is not as said.</exception>
    override this.forward(x: torch.Tensor, state: torch.Tensor | null) =
        let struct (h, _) = this.Step(x, state, null)
        h

    /// <summary>Takes a step from zeros.</summary>
    /// <param name="x">As said above.</param>
    /// <returns>The hidden state after it.</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype or a device is not as said.</exception>
    member this.call(x: torch.Tensor) : torch.Tensor = this.call (x, null)
