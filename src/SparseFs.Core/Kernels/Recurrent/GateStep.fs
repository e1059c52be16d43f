namespace SparseFs.Kernels

#nowarn "9"

/// What a recurrent layer's units do.
type internal Cell =
    | Tanh = 0
    | Relu = 1
    | Lstm = 2
    | Gru = 3

[<RequireQualifiedAccess>]
module internal Cell =

    /// Rows of the weights for each unit.
    let gates (cell: Cell) : int =
        match cell with
        | Cell.Lstm -> 4
        | Cell.Gru -> 3
        | _ -> 1

    /// Numbers of each unit that a backward needs: the gates, and a GRU's product of which the reset gate takes a part.
    let saved (cell: Cell) : int =
        match cell with
        | Cell.Tanh
        | Cell.Relu -> 1
        | _ -> 4

/// <summary>One step of time of some units, all samples of a tile beside each other.</summary>
/// <remarks>W is the tile's samples, made up to whole vectors. In a block of several steps a step's rows lie Apart floats from each
/// other; elsewhere rows follow each other. Gate g of unit u is row g · All + u of what has all units, and row g · count + u − From of what
/// has the step's units alone.</remarks>
[<Struct>]
type internal GateStep =
    {
        Units: RowRange
        /// Units of the layer.
        All: int
        /// Vectors of the tile.
        Vectors: int
        /// What the inputs give, a block's; it becomes what a backward needs.
        Gates: nativeptr<float32>
        Apart: int64
        /// What the state before gives, [gates · count, W].
        Product: nativeptr<float32>
        /// An LSTM's cells before, a GRU's outputs before, [All, W].
        Before: nativeptr<float32>
        /// An LSTM's cells after, [All, W].
        Cells: nativeptr<float32>
        /// The units' outputs, [All, W].
        Hidden: nativeptr<float32>
        /// The same once more as the next step's inputs, a block's; null after the last step.
        Next: nativeptr<float32>
        NextApart: int64
    }

/// <summary>The derivative of a GateStep.</summary>
[<Struct>]
type internal GateBackwardStep =
    {
        Units: RowRange
        All: int
        Vectors: int
        /// What the step left, a block's.
        Gates: nativeptr<float32>
        Apart: int64
        /// The gradient of the outputs by way of the next step's product, [count, W].
        Product: nativeptr<float32>
        /// The gradient that comes to the outputs from outside, [count, W].
        Upstream: nativeptr<float32>
        /// The gradient of the outputs beside those; it becomes that of the outputs before, but for the product, [All, W].
        Carry: nativeptr<float32>
        /// The gradient of an LSTM's cells; it becomes that of the cells before, [All, W].
        CellCarry: nativeptr<float32>
        /// An LSTM's cells before, [All, W]; a GRU's outputs before, a block's.
        Before: nativeptr<float32>
        BeforeApart: int64
        /// An LSTM's cells after, [All, W].
        Cells: nativeptr<float32>
        /// Overwritten: the gradient of what the inputs gave, a block's, apart as Gates'.
        OfInputs: nativeptr<float32>
        /// Overwritten: the gradient of what the state before gave, [gates · All, W].
        OfState: nativeptr<float32>
        /// The same in a block, of a GRU, where it is another than that of the inputs; else null.
        OfStateBlock: nativeptr<float32>
    }
