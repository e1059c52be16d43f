namespace SparseFs.Kernels

#nowarn "9"

/// Where an optimizer's numbers of a weight lie, one a slot. What it does not keep is null.
[<Struct>]
type internal StepNumbers =
    {
        Weight: nativeptr<float32>
        /// Read only.
        Gradient: nativeptr<float32>
        /// The running mean of the gradient, or the buffer of momentum.
        Mean: nativeptr<float32>
        /// The running mean of its square.
        Square: nativeptr<float32>
        /// AMSGrad's largest square.
        Largest: nativeptr<float32>
        /// The mean by which RMSProp's square is centred.
        Centre: nativeptr<float32>
    }

/// What Adam and AdamW make of a gradient.
[<Struct>]
type internal AdamStep =
    {
        /// 1, or −1 where the loss is to rise.
        Sign: float32
        /// The part of the weight that is added to the gradient: Adam's decay.
        Decay: float32
        /// What the weight is multiplied by first: AdamW's decay.
        Kept: float32
        /// β1 and 1 − β1.
        Beta1: float32
        Rest1: float32
        /// β2 and 1 − β2.
        Beta2: float32
        Rest2: float32
        /// √(1 − β2^t).
        Correction: float32
        Epsilon: float32
        /// −learning rate / (1 − β1^t).
        Rate: float32
    }

/// What SGD makes of a gradient.
[<Struct>]
type internal SgdStep =
    {
        /// 1, or −1 where the loss is to rise.
        Sign: float32
        /// The part of the weight that is added to the gradient.
        Decay: float32
        Momentum: float32
        /// 1 − dampening; 1 at the first step, whose buffer is the gradient.
        Weight: float32
        IsNesterov: bool
        /// −learning rate.
        Rate: float32
    }

/// What RMSProp makes of a gradient.
[<Struct>]
type internal RmsPropStep =
    {
        /// 1, or −1 where the loss is to rise.
        Sign: float32
        /// The part of the weight that is added to the gradient.
        Decay: float32
        /// α and 1 − α.
        Alpha: float32
        Rest: float32
        Epsilon: float32
        Momentum: float32
        /// −learning rate.
        Rate: float32
    }
