namespace SparseFs

open System
open SparseFs.Kernels
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules

/// <summary>Plain recurrent units whose matrices store, multiply and train only the weights that exist.</summary>
/// <remarks>
/// As torch.nn.RNN: h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or ReLU in place of tanh. Input [steps, batch, input_size], with the batch first where batchFirst says so, or [steps, input_size]; output
/// [steps, batch, directions · hidden_size]; state [layers · directions, batch, hidden_size].
/// Elman 1990.
/// </remarks>
/// <example><code>
/// let rnn = new SparseRNN(64, 128, sparsity = 0.9, nonlinearity = RecurrentNonlinearity.ReLU)
/// let struct (y, h) = rnn.call (torch.randn (35L, 20L, 64L))
/// y.shape // = [|35L; 20L; 128L|]
/// </code></example>
[<Sealed>]
type SparseRNN internal (settings: RecurrentSettings, matrices: RecurrentMatrices list) =
    inherit SparseHiddenStack(settings, matrices)

    /// <summary>A module over patterns that are drawn: uniformly random connections, or those of a topology.</summary>
    /// <param name="inputSize">Features of each step of an input, 1 or more.</param>
    /// <param name="hiddenSize">Units of each layer and direction, 1 or more.</param>
    /// <param name="numLayers">Layers; 1 by default.</param>
    /// <param name="hasBias">Whether both matrices have a bias; true by default.</param>
    /// <param name="batchFirst">Whether sequences are [batch, steps, features]; false by default.</param>
    /// <param name="dropout">The part of the outputs that is dropped between two layers, in training; 0 by default.</param>
    /// <param name="bidirectional">Whether each layer also goes through the sequences from their ends; false by default.</param>
    /// <param name="sparsity">The part of the weights that do not exist, in [0, 1); 0.9 by default.</param>
    /// <param name="recurrentSparsity">That of the matrices that take the hidden state; as sparsity by default.</param>
    /// <param name="seed">What the patterns are drawn from, each from a child of it; numbers of torch's generator if not given.</param>
    /// <param name="init">How the weights are drawn; Init.FanIn by default, within ± 1/√hidden_size · √(inputs / fan-in): torch's rule, with
    /// the slots that there are.</param>
    /// <param name="device">Where the parameters live; torch's default device if not given.</param>
    /// <param name="dtype">A real floating dtype; torch's default dtype if not given.</param>
    /// <param name="topology">Draws a pattern from rows, columns, nnz and a seed; Topology.uniform by default.</param>
    /// <param name="recurrentTopology">That of the matrices that take the hidden state; as topology by default.</param>
    /// <param name="policy">How a Rewirer that follows its layers rewires the matrices; not at all by default.</param>
    /// <param name="nonlinearity">What the units do with their sum; Tanh by default.</param>
    /// <exception cref="T:System.ArgumentException">A size is below 1, a part is outside its range, dropout is asked for with one layer,
    /// or the topology refuses.</exception>
    new
        (
            inputSize: int,
            hiddenSize: int,
            ?numLayers: int,
            ?nonlinearity: RecurrentNonlinearity,
            ?hasBias: bool,
            ?batchFirst: bool,
            ?dropout: float,
            ?bidirectional: bool,
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
            RecurrentSettings.make
                "SparseRNN"
                (if defaultArg nonlinearity RecurrentNonlinearity.Tanh = RecurrentNonlinearity.ReLU then
                     Cell.Relu
                 else
                     Cell.Tanh)
                inputSize
                hiddenSize
                numLayers
                hasBias
                batchFirst
                dropout
                bidirectional
                None

        let start =
            RecurrentStart.Of(
                LayerSettings.Of(hasBias, init, device, dtype, policy),
                sparsity,
                recurrentSparsity,
                topology,
                recurrentTopology,
                seed
            )

        new SparseRNN(settings, RecurrentMatrices.draw settings start)

    /// <summary>The sparse module that keeps the largest magnitudes of each matrix of a dense one; a tie keeps the lower cell.</summary>
    /// <remarks>Sizes, layers, directions, biases, the nonlinearity and the batch's place are read from the module and proved by a call with a small input
    /// in evaluation mode. dtype, device, requires_grad and the training flag are kept, and the dense module stays as it is.</remarks>
    /// <param name="dense">Any torch.nn.RNN of a real floating dtype.</param>
    /// <param name="sparsity">The part of the weights that is dropped, in [0, 1).</param>
    /// <param name="recurrentSparsity">That of the matrices that take the hidden state; likewise in [0, 1).</param>
    /// <param name="dropout">Between layers, which TorchSharp's module does not tell.</param>
    /// <exception cref="T:System.ArgumentException">A sparsity is outside [0, 1) or leaves no weight, or the module computes something
    /// else than its type says.</exception>
    static member ofDense(dense: RNN, sparsity: float, recurrentSparsity: float, dropout: float) : SparseRNN =
        let struct (settings, matrices) =
            RecurrentConversion.ofDense
                (RecurrentConversion.ofRnn dense)
                [ Cell.Tanh; Cell.Relu ]
                sparsity
                recurrentSparsity
                (Some dropout)

        let made = new SparseRNN(settings, matrices)
        made.train dense.training
        made

    /// <summary>The sparse module that keeps the largest magnitudes of each matrix of a dense one; a tie keeps the lower cell. There is no dropout between layers.</summary>
    /// <remarks>Sizes, layers, directions, biases, the nonlinearity and the batch's place are read from the module and proved by a call with a small input
    /// in evaluation mode. dtype, device, requires_grad and the training flag are kept, and the dense module stays as it is.</remarks>
    /// <param name="dense">Any torch.nn.RNN of a real floating dtype.</param>
    /// <param name="sparsity">The part of the weights that is dropped, in [0, 1).</param>
    /// <exception cref="T:System.ArgumentException">A sparsity is outside [0, 1) or leaves no weight, or the module computes something
    /// else than its type says.</exception>
    /// <example><code>
    /// let dense = torch.nn.RNN(64L, 128L, numLayers = 2L)
    /// let pruned = SparseRNN.ofDense (dense, 0.9)
    /// pruned.Matrix("hh_l0").Connectivity.Nnz // = 1638
    /// </code></example>
    static member ofDense(dense: RNN, sparsity: float) : SparseRNN =
        SparseRNN.ofDense (dense, sparsity, sparsity, 0.0)

    /// <summary>torch's module of the same function, with zeros where no weight exists.</summary>
    /// <example><code>
    /// let sparse = new SparseRNN(64, 128, sparsity = 0.9)
    /// let dense = sparse.toDense ()
    /// </code></example>
    member this.toDense() : RNN =
        let s = this.Settings

        let dense =
            torch.nn.RNN(
                int64 s.InputSize,
                int64 s.HiddenSize,
                int64 s.Layers,
                nonLinearity =
                    (if s.Cell = Cell.Relu then
                         torch.nn.NonLinearities.ReLU
                     else
                         torch.nn.NonLinearities.Tanh),
                bias = s.HasBias,
                batchFirst = s.IsBatchFirst,
                dropout = s.Dropout,
                bidirectional = s.IsBidirectional,
                device = (this.Matrix "ih_l0").weight.device,
                dtype = (this.Matrix "ih_l0").weight.dtype
            )

        RecurrentConversion.intoDense dense this.Matrices this.training
        dense
