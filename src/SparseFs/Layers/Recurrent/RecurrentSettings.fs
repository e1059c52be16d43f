namespace SparseFs.Torch

open System
open SparseFs
open SparseFs.Kernels

/// <summary>What a recurrent module is, beside its patterns and numbers.</summary>
[<NoComparison>]
type internal RecurrentSettings =
    {
        Kind: string
        Cell: Cell
        InputSize: int
        HiddenSize: int
        Layers: int
        HasBias: bool
        IsBatchFirst: bool
        Dropout: float
        IsBidirectional: bool
        /// Outputs of an LSTM's units where they are projected; 0 where they are not.
        ProjSize: int
    }

    member s.Directions: int = if s.IsBidirectional then 2 else 1

    /// Features of one direction's outputs, and of its hidden state.
    member s.OutputSize: int = if s.ProjSize > 0 then s.ProjSize else s.HiddenSize

    /// Features that a layer gets.
    member s.InputSizeOf(layer: int) : int =
        if layer = 0 then
            s.InputSize
        else
            s.Directions * s.OutputSize

[<RequireQualifiedAccess>]
module internal RecurrentSettings =

    let private refuse (name: string) (expected: string) (got: obj) =
        raise (ArgumentException(invariant $"expected {expected}, got {got}", name))

    /// <exception cref="T:System.ArgumentException">A size is below 1, or the dropout is outside [0, 1].</exception>
    let make
        (kind: string)
        (cell: Cell)
        (inputSize: int)
        (hiddenSize: int)
        (numLayers: int option)
        (hasBias: bool option)
        (batchFirst: bool option)
        (dropout: float option)
        (bidirectional: bool option)
        (projSize: int option)
        : RecurrentSettings =
        let layers, dropout, projSize =
            defaultArg numLayers 1, defaultArg dropout 0.0, defaultArg projSize 0

        for name, size in
            [ nameof inputSize, inputSize
              nameof hiddenSize, hiddenSize
              nameof numLayers, layers ] do
            if size < 1 then
                refuse name "1 or more" size

        if hiddenSize > Int32.MaxValue / Cell.gates cell then
            refuse (nameof hiddenSize) $"at most {Int32.MaxValue / Cell.gates cell}" hiddenSize

        if not (dropout >= 0.0 && dropout <= 1.0) then
            refuse (nameof dropout) "a part in [0, 1]" dropout

        if dropout > 0.0 && layers = 1 then
            refuse (nameof dropout) "0 with one layer, for dropout stands between layers" dropout

        if projSize < 0 || projSize >= hiddenSize then
            refuse (nameof projSize) $"0 for none, or a size below that of the hidden state, {hiddenSize}" projSize

        { Kind = kind
          Cell = cell
          InputSize = inputSize
          HiddenSize = hiddenSize
          Layers = layers
          HasBias = defaultArg hasBias true
          IsBatchFirst = defaultArg batchFirst false
          Dropout = dropout
          IsBidirectional = defaultArg bidirectional false
          ProjSize = projSize }

    /// As PyTorch writes the module: what has its usual value is not said.
    let text (s: RecurrentSettings) : string list =
        [ string s.InputSize
          string s.HiddenSize
          if s.ProjSize > 0 then
              $"proj_size={s.ProjSize}"
          if s.Layers > 1 then
              $"num_layers={s.Layers}"
          if not s.HasBias then
              "bias=False"
          if s.IsBatchFirst then
              "batch_first=True"
          if s.Dropout > 0.0 then
              invariant $"dropout={s.Dropout}"
          if s.IsBidirectional then
              "bidirectional=True" ]
