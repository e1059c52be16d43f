namespace SparseFs

/// <summary>How a model is written as ONNX.</summary>
type OnnxOptions =
    {
        /// <summary>Whether weights of sparse layers are written as sparse initializers, which takes 8 bytes a slot for the
        /// cell and the bytes of the number; else as dense ones, with their zeros.</summary>
        SparseWeights: bool
        /// <summary>The shape of an input without the batch, which is any; empty for what the model's first layer takes.</summary>
        InputShape: int[]
    }
