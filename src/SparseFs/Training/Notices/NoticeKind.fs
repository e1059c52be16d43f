namespace SparseFs

/// <summary>Kinds of notices: what a rewirer, or a layer, has seen of the loop around it.</summary>
type NoticeKind =
    /// The gradient is not a multiple of what the backward passes gave: clipped by value, noise, or set by hand. Growth looks
    /// at the passes as they were.
    | ChangedGradient = 0
    /// No parameter of the optimizer has a gradient: was backward forgotten?
    | NoGradient = 1
    /// optimizer.step() and Rewirer.Step() were both called for one batch.
    | SteppedTwice = 2
    /// The layer trains on and on, and neither Step nor Follow of its rewirer is called.
    | NotStepped = 3
    /// The layer carries a policy, and no rewirer follows it.
    | NotFollowed = 4
    /// A run was resumed from a file that has no name for a rule of the user's own: whether the rule given is the one that
    /// the run was saved with cannot be known.
    | UnnamedRule = 5
