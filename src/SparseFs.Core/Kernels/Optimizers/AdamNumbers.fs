namespace SparseFs.Kernels

#nowarn "9"

/// Where Adam's numbers of a weight lie, one a slot, and what the optimizer makes of its gradient.
[<Struct>]
type internal AdamNumbers =
    {
        Gradient: nativeptr<float32>
        /// Read only where Decay is not 0.
        Weight: nativeptr<float32>
        Mean: nativeptr<float32>
        Square: nativeptr<float32>
        /// AMSGrad's, or null.
        Largest: nativeptr<float32>
        /// 1, or −1 where the loss is to rise.
        Sign: float32
        /// The part of the weight that is added to the gradient.
        Decay: float32
    }

/// Adam's means, as torch computes them.
[<Struct>]
type internal AdamMeans =
    {
        /// β1 and 1 − β1.
        Beta1: float32
        Rest1: float32
        /// β2 and 1 − β2.
        Beta2: float32
        Rest2: float32
    }

/// What Adam does with its means, as torch computes it.
[<Struct>]
type internal AdamUpdate =
    {
        /// What the weight is multiplied by first; 1 but for AdamW's decay.
        Kept: float32
        /// What the root is divided by: √(1 − β2^t).
        Correction: float32
        Epsilon: float32
        /// −learning rate / (1 − β1^t).
        Rate: float32
    }
