namespace SparseFs

/// <summary>Optimizer state of grown slots.</summary>
/// <remarks>Optimizers count steps by the weight, not by the slot. Moments of 0 under the count of a long run make the first
/// updates of a grown slot too long: 2.9 learning rates under Adam, 14 under NAdam, 0.1 under Adamax. <c>Fresh</c> and
/// <c>Seeded</c> count the steps of grown slots by themselves, which <c>Rewirer.Step</c> does and <c>Rewirer.Follow</c>
/// cannot.</remarks>
type Moments =
    /// State of a weight that the optimizer has never seen, under the run's count of steps: 0, but for Rprop's step and Adagrad's
    /// initial sum.
    | Zero = 0
    /// Mean over the row's slots that stay.
    | RowMean = 1
    /// State of a weight in a fresh optimizer: the updates that follow are those that it would make.
    | Fresh = 2
    /// State after one step with the gradient that the cell has at the update, whatever rule grew it: the corrected means
    /// of the gradient and of its square are exactly the gradient and its square.
    | Seeded = 3
