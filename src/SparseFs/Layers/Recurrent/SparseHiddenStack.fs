namespace SparseFs

open System
open SparseFs.Torch
open TorchSharp

/// <summary>A stack of recurrent layers whose state is the hidden state alone.</summary>
[<AbstractClass>]
type SparseHiddenStack internal (settings: RecurrentSettings, matrices: RecurrentMatrices list) =
    inherit SparseRecurrentStack<torch.Tensor | null, struct (torch.Tensor * torch.Tensor)>(settings, matrices)

    member private this.Of
        (x: torch.Tensor, state: torch.Tensor | null, lengths: int64[] | null)
        : struct (torch.Tensor * torch.Tensor) =
        let struct (y, h, _) = this.Run(x, state, null, lengths)
        struct (y, h)

    /// <summary>Goes through the sequences.</summary>
    /// <param name="x">Sequences, [steps, batch, input_size], with the batch first where the module says so, or [steps, input_size].</param>
    /// <param name="state">The hidden state before the first step; null for zeros.</param>
    /// <returns>The last layer's outputs of all steps, and hidden states after the last one.</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype or a device is not as said.</exception>
    override this.forward(x: torch.Tensor, state: torch.Tensor | null) = this.Of(x, state, null)

    /// <summary>Goes through the sequences, from zeros.</summary>
    /// <param name="x">Sequences, [steps, batch, input_size], with the batch first where the module says so, or [steps, input_size].</param>
    /// <returns>The last layer's outputs of all steps, and hidden states after the last one.</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype or a device is not as said.</exception>
    member this.call(x: torch.Tensor) : struct (torch.Tensor * torch.Tensor) = this.call (x, null)

    /// <summary>Goes through sequences of different lengths, from zeros.</summary>
    /// <remarks>What stands behind a sequence's end is not read, and its outputs there are 0; last states are those at each one's own end, and
    /// the backward direction begins there. Hooks do not see this call.</remarks>
    /// <param name="x">Sequences, [steps, batch, input_size], with the batch first where the module says so, or [steps, input_size], made up to one number of steps.</param>
    /// <param name="lengths">Steps of each sample, from 1 to those of x.</param>
    /// <returns>As of any call.</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype, a device or a length is not as said.</exception>
    member this.call(x: torch.Tensor, lengths: int64[]) : struct (torch.Tensor * torch.Tensor) =
        ArgumentNullException.ThrowIfNull(lengths, nameof lengths)
        this.Of(x, null, lengths)

    /// <summary>Goes through sequences of different lengths.</summary>
    /// <remarks>What stands behind a sequence's end is not read, and its outputs there are 0; last states are those at each one's own end, and
    /// the backward direction begins there. Hooks do not see this call.</remarks>
    /// <param name="x">Sequences, [steps, batch, input_size], with the batch first where the module says so, or [steps, input_size], made up to one number of steps.</param>
    /// <param name="lengths">Steps of each sample, from 1 to those of x.</param>
    /// <param name="state">The hidden state before the first step.</param>
    /// <returns>As of any call.</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype, a device or a length is not as said.</exception>
    member this.call(x: torch.Tensor, lengths: int64[], state: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
        ArgumentNullException.ThrowIfNull(lengths, nameof lengths)
        this.Of(x, state, lengths)

    member private this.OfPacked
        (packed: torch.nn.utils.rnn.PackedSequence, state: torch.Tensor | null)
        : struct (torch.nn.utils.rnn.PackedSequence * torch.Tensor) =
        let struct (y, h, _) = this.RunPacked(packed, state, null)
        struct (y, h)

    /// <summary>Goes through packed sequences, as torch.nn.utils.rnn makes them, from zeros.</summary>
    /// <param name="packed">Sequences of different lengths.</param>
    /// <returns>The last layer's outputs, packed, and states at each sequence's end, in the order of the samples before they were packed.</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype or a device is not as said.</exception>
    member this.call
        (packed: torch.nn.utils.rnn.PackedSequence)
        : struct (torch.nn.utils.rnn.PackedSequence * torch.Tensor) =
        this.OfPacked(packed, null)

    /// <summary>Goes through packed sequences, as torch.nn.utils.rnn makes them.</summary>
    /// <param name="packed">Sequences of different lengths.</param>
    /// <param name="state">The hidden state before the first step.</param>
    /// <returns>The last layer's outputs, packed, and states at each sequence's end, in the order of the samples before they were packed.</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype or a device is not as said.</exception>
    member this.call
        (packed: torch.nn.utils.rnn.PackedSequence, state: torch.Tensor)
        : struct (torch.nn.utils.rnn.PackedSequence * torch.Tensor) =
        this.OfPacked(packed, state)
