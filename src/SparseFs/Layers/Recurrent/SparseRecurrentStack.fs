namespace SparseFs

open System
open SparseFs.Torch
open TorchSharp

/// <summary>A recurrent module of one layer or more, in one direction or both, that goes through whole sequences.</summary>
/// <typeparam name="'State">What a call may begin with.</typeparam>
/// <typeparam name="'Result">What a call gives.</typeparam>
[<AbstractClass>]
type SparseRecurrentStack<'State, 'Result> internal (settings: RecurrentSettings, matrices: RecurrentMatrices list) =
    inherit SparseRecurrent<'State, 'Result>(settings, matrices)

    /// <summary>Layers, each of which takes the outputs of the one before it.</summary>
    member _.num_layers: int64 = int64 settings.Layers

    /// <summary>Whether sequences are [batch, steps, features] rather than [steps, batch, features].</summary>
    member _.batch_first: bool = settings.IsBatchFirst

    /// <summary>The part of the outputs that is dropped between two layers, in training.</summary>
    member _.dropout: float = settings.Dropout

    /// <summary>Whether each layer also goes through the sequences from their ends.</summary>
    member _.bidirectional: bool = settings.IsBidirectional

    /// A call with packed sequences: its outputs packed as its inputs were.
    member internal this.RunPacked
        (packed: torch.nn.utils.rnn.PackedSequence, h: torch.Tensor | null, c: torch.Tensor | null)
        : struct (torch.nn.utils.rnn.PackedSequence * torch.Tensor * (torch.Tensor | null)) =
        ArgumentNullException.ThrowIfNull(packed, nameof packed)
        use _ = torch.NewDisposeScope()

        let struct (x, lengths) =
            torch.nn.utils.rnn.pad_packed_sequence (packed, settings.IsBatchFirst)

        let struct (outputs, hidden, cells) =
            this.Run(x, h, c, lengths.data<int64>().ToArray())

        let result =
            torch.nn.utils.rnn.pack_padded_sequence (outputs, lengths, settings.IsBatchFirst, false)

        let cells: torch.Tensor | null =
            match cells with
            | null -> null
            | cells -> cells.MoveToOuterDisposeScope()

        struct (result.MoveToOuterDisposeScope(), hidden.MoveToOuterDisposeScope(), cells)
