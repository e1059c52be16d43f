namespace SparseFs.Torch

/// <summary>One of TorchSharp's optimizers with a step of ours: files call it as they call TorchSharp's.</summary>
type internal IFusedOptimizer =
    /// Brings the gradients down to the greatest norm, where there is one: a second time changes nothing.
    abstract ClipGradients: unit -> unit
    /// The step for which gradients were clipped did not come: the next one clips again.
    abstract ForgetClip: unit -> unit
