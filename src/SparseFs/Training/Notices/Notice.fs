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

    override n.ToString() =
        if n.Layer = "" then
            $"{n.Kind}: {n.Message}"
        else
            $"{n.Kind}, {n.Layer}: {n.Message}"
