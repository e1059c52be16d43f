namespace SparseFs

/// <summary>One thing that was noticed.</summary>
type Notice =
    {
        /// <summary>Its kind.</summary>
        Kind: NoticeKind
        /// <summary>The layer's name in its model; empty where it is no layer's.</summary>
        Layer: string
        /// <summary>Text that says what was seen, and what to do.</summary>
        Message: string
    }
