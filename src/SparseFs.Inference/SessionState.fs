namespace SparseFs.Inference

open SparseFs

/// <summary>Where a session was: a copy of all that goes from one token to the next.</summary>
[<Sealed>]
type SessionState internal (owner: obj, samples: int, capacity: int, states: float32[][], tokens: int) =
    member internal _.Owner: obj = owner
    member internal _.Samples: int = samples
    member internal _.Capacity: int = capacity
    member internal _.States: float32[][] = states

    /// <summary>Tokens that the session had seen.</summary>
    member _.Tokens: int = tokens

    override _.ToString() =
        invariant $"SessionState(samples={samples}, tokens={tokens} of {capacity})"
