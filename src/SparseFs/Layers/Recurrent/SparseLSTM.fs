namespace SparseFs

open System

open SparseFs.Kernels
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules

/// <summary>A long short-term memory whose matrices store, multiply and train only the weights that exist.</summary>
/// <remarks>
/// As torch.nn.LSTM: input [steps, batch, input_size], with the batch first where batchFirst says so, or [steps, input_size]; output
/// [steps, batch, directions · hidden_size], or proj_size in place of hidden_size; states [layers · directions, batch, *]. The gates i, f, g and
/// o stand below each other in each matrix. Hochreiter and Schmidhuber 1997; projections: Sak et al. 2014, section 2, arXiv 1402.1128.
/// </remarks>
/// <example><code>
/// let lstm = new SparseLSTM(64, 128, numLayers = 2, sparsity = 0.9, seed = Seed.ofInt 1)
/// let struct (y, h, c) = lstm.call (torch.randn (35L, 20L, 64L))
/// y.shape // = [|35L; 20L; 128L|]
/// </code></example>
[<Sealed>]
type SparseLSTM internal (settings: RecurrentSettings, matrices: RecurrentMatrices list) =
    inherit
        SparseRecurrentStack<
            Nullable<struct ((torch.Tensor | null) * (torch.Tensor | null))>,
            struct (torch.Tensor * torch.Tensor * torch.Tensor)
         >(settings, matrices)

    static let whole (y: 'y) (h: torch.Tensor) (c: torch.Tensor | null) : struct ('y * torch.Tensor * torch.Tensor) =
        let struct (h, c) = LstmStates.pair h c
        struct (y, h, c)

    /// <summary>A module over patterns that are drawn: uniformly random connections, or those of a topology.</summary>
    /// <param name="inputSize">Features of each step of an input, 1 or more.</param>
    /// <param name="hiddenSize">Units of each layer and direction, 1 or more.</param>
    /// <param name="numLayers">Layers; 1 by default.</param>
    /// <param name="hasBias">Whether both matrices have a bias; true by default.</param>
    /// <param name="batchFirst">Whether sequences are [batch, steps, features]; false by default.</param>
    /// <param name="dropout">The part of the outputs that is dropped between two layers, in training; 0 by default.</param>
    /// <param name="bidirectional">Whether each layer also goes through the sequences from their ends; false by default.</param>
    /// <param name="projSize">Outputs of a layer and direction, made of its units' by a matrix hr_l0; 0, for none, by default.</param>
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
    /// <exception cref="T:System.ArgumentException">A size is below 1, a part is outside its range, dropout is asked for with one layer,
    /// projSize is not below hiddenSize, or the topology refuses.</exception>
    new
        (
            inputSize: int,
            hiddenSize: int,
            ?numLayers: int,
            ?hasBias: bool,
            ?batchFirst: bool,
            ?dropout: float,
            ?bidirectional: bool,
            ?projSize: int,
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
                "SparseLSTM"
                Cell.Lstm
                inputSize
                hiddenSize
                numLayers
                hasBias
                batchFirst
                dropout
                bidirectional
                projSize

        let start =
            RecurrentStart.Of(
                LayerSettings.Of(hasBias, init, device, dtype, policy),
                sparsity,
                recurrentSparsity,
                topology,
                recurrentTopology,
                seed
            )

        new SparseLSTM(settings, RecurrentMatrices.draw settings start)

    /// <summary>Outputs of a layer and direction where they are projected; 0 where they are not.</summary>
    member this.proj_size: int64 = int64 this.Settings.ProjSize

    /// <summary>Goes through the sequences.</summary>
    /// <param name="x">Sequences, as said above.</param>
    /// <param name="state">Hidden state and cells before the first step; zeros if not given.</param>
    /// <returns>The last layer's outputs of all steps, and hidden states and cells after the last one.</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype or a device is not as said.</exception>
    override this.forward(x: torch.Tensor, state: Nullable<struct ((torch.Tensor | null) * (torch.Tensor | null))>) =
        let struct (h, c) = LstmStates.split state
        let struct (y, h, c) = this.Run(x, h, c, null)
        whole y h c

    /// <summary>Goes through the sequences, from zeros.</summary>
    /// <param name="x">Sequences, as said above.</param>
    /// <returns>The last layer's outputs of all steps, and hidden states and cells after the last one.</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype or a device is not as said.</exception>
    member this.call(x: torch.Tensor) : struct (torch.Tensor * torch.Tensor * torch.Tensor) = this.call (x, Nullable())

    /// <summary>Goes through the sequences.</summary>
    /// <param name="x">Sequences, as said above.</param>
    /// <param name="state">Hidden state and cells before the first step.</param>
    /// <returns>The last layer's outputs of all steps, and hidden states and cells after the last one.</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype or a device is not as said.</exception>
    member this.call
        (x: torch.Tensor, state: struct (torch.Tensor * torch.Tensor))
        : struct (torch.Tensor * torch.Tensor * torch.Tensor) =
        this.call (x, LstmStates.given state)

    member private this.OfLengths
        (x: torch.Tensor, lengths: int64[], h, c)
        : struct (torch.Tensor * torch.Tensor * torch.Tensor) =
        ArgumentNullException.ThrowIfNull(lengths, nameof lengths)
        let struct (y, h, c) = this.Run(x, h, c, lengths)
        whole y h c

    /// <summary>Goes through sequences of different lengths, from zeros.</summary>
    /// <remarks>What stands behind a sequence's end is not read, and its outputs there are 0; last states are those at each one's own end, and
    /// the backward direction begins there. Hooks do not see this call.</remarks>
    /// <param name="x">Sequences, as said above, made up to one number of steps.</param>
    /// <param name="lengths">Steps of each sample, from 1 to those of x.</param>
    /// <returns>As of any call.</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype, a device or a length is not as said.</exception>
    member this.call(x: torch.Tensor, lengths: int64[]) : struct (torch.Tensor * torch.Tensor * torch.Tensor) =
        this.OfLengths(x, lengths, null, null)

    /// <summary>Goes through sequences of different lengths.</summary>
    /// <remarks>What stands behind a sequence's end is not read, and its outputs there are 0; last states are those at each one's own end, and
    /// the backward direction begins there. Hooks do not see this call.</remarks>
    /// <param name="x">Sequences, as said above, made up to one number of steps.</param>
    /// <param name="lengths">Steps of each sample, from 1 to those of x.</param>
    /// <param name="state">Hidden state and cells before the first step.</param>
    /// <returns>As of any call.</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype, a device or a length is not as said.</exception>
    member this.call
        (x: torch.Tensor, lengths: int64[], state: struct (torch.Tensor * torch.Tensor))
        : struct (torch.Tensor * torch.Tensor * torch.Tensor) =
        let struct (h, c) = LstmStates.split (LstmStates.given state)
        this.OfLengths(x, lengths, h, c)

    member private this.OfPacked
        (packed: torch.nn.utils.rnn.PackedSequence, h, c)
        : struct (torch.nn.utils.rnn.PackedSequence * torch.Tensor * torch.Tensor) =
        let struct (y, h, c) = this.RunPacked(packed, h, c)
        whole y h c

    /// <summary>Goes through packed sequences, as torch.nn.utils.rnn makes them, from zeros.</summary>
    /// <param name="packed">Sequences of different lengths.</param>
    /// <returns>The last layer's outputs, packed, and states at each sequence's end, in the order of the samples before they were packed.</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype or a device is not as said.</exception>
    member this.call
        (packed: torch.nn.utils.rnn.PackedSequence)
        : struct (torch.nn.utils.rnn.PackedSequence * torch.Tensor * torch.Tensor) =
        this.OfPacked(packed, null, null)

    /// <summary>Goes through packed sequences, as torch.nn.utils.rnn makes them.</summary>
    /// <param name="packed">Sequences of different lengths.</param>
    /// <param name="state">Hidden state and cells before the first step.</param>
    /// <returns>The last layer's outputs, packed, and states at each sequence's end, in the order of the samples before they were packed.</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype or a device is not as said.</exception>
    member this.call
        (packed: torch.nn.utils.rnn.PackedSequence, state: struct (torch.Tensor * torch.Tensor))
        : struct (torch.nn.utils.rnn.PackedSequence * torch.Tensor * torch.Tensor) =
        let struct (h, c) = LstmStates.split (LstmStates.given state)
        this.OfPacked(packed, h, c)

    /// <summary>The sparse module that keeps the largest magnitudes of each matrix of a dense one; a tie keeps the lower cell.</summary>
    /// <remarks>Sizes, layers, directions, biases and the batch's place are read from the module and proved by a call with a small input
    /// in evaluation mode. dtype, device, requires_grad and the training flag are kept, and the dense module stays as it is.</remarks>
    /// <param name="dense">Any torch.nn.LSTM of a real floating dtype.</param>
    /// <param name="sparsity">The part of the weights that is dropped, in [0, 1).</param>
    /// <param name="recurrentSparsity">That of the matrices that take the hidden state; likewise in [0, 1).</param>
    /// <param name="dropout">Between layers, which TorchSharp's module does not tell.</param>
    /// <exception cref="T:System.ArgumentException">A sparsity is outside [0, 1) or leaves no weight, or the module computes something
    /// else than its type says.</exception>
    static member ofDense(dense: LSTM, sparsity: float, recurrentSparsity: float, dropout: float) : SparseLSTM =
        let struct (settings, matrices) =
            RecurrentConversion.ofDense
                (RecurrentConversion.ofLstm dense)
                [ Cell.Lstm ]
                sparsity
                recurrentSparsity
                (Some dropout)

        let made = new SparseLSTM(settings, matrices)
        made.train dense.training
        made

    /// <summary>The sparse module that keeps the largest magnitudes of each matrix of a dense one; a tie keeps the lower cell. There is no dropout between layers.</summary>
    /// <remarks>Sizes, layers, directions, biases and the batch's place are read from the module and proved by a call with a small input
    /// in evaluation mode. dtype, device, requires_grad and the training flag are kept, and the dense module stays as it is.</remarks>
    /// <param name="dense">Any torch.nn.LSTM of a real floating dtype.</param>
    /// <param name="sparsity">The part of the weights that is dropped, in [0, 1).</param>
    /// <exception cref="T:System.ArgumentException">A sparsity is outside [0, 1) or leaves no weight, or the module computes something
    /// else than its type says.</exception>
    /// <example><code>
    /// let dense = torch.nn.LSTM(64L, 128L, numLayers = 2L)
    /// let pruned = SparseLSTM.ofDense (dense, 0.9)
    /// pruned.Matrix("hh_l0").Connectivity.Nnz // = 6554
    /// </code></example>
    static member ofDense(dense: LSTM, sparsity: float) : SparseLSTM =
        SparseLSTM.ofDense (dense, sparsity, sparsity, 0.0)

    /// <summary>torch's module of the same function, with zeros where no weight exists.</summary>
    /// <exception cref="T:System.NotSupportedException">The outputs are projected: TorchSharp's LSTM has no proj_size.</exception>
    /// <example><code>
    /// let sparse = new SparseLSTM(64, 128, sparsity = 0.9)
    /// let dense = sparse.toDense ()
    /// </code></example>
    member this.toDense() : LSTM =
        let s = this.Settings

        if s.ProjSize > 0 then
            raise (
                NotSupportedException
                    $"expected an LSTM without a projection, got proj_size={s.ProjSize}: TorchSharp's LSTM has none"
            )

        let dense =
            torch.nn.LSTM(
                int64 s.InputSize,
                int64 s.HiddenSize,
                int64 s.Layers,
                bias = s.HasBias,
                batchFirst = s.IsBatchFirst,
                dropout = s.Dropout,
                bidirectional = s.IsBidirectional,
                device = (this.Matrix "ih_l0").weight.device,
                dtype = (this.Matrix "ih_l0").weight.dtype
            )

        RecurrentConversion.intoDense dense this.Matrices this.training
        dense
