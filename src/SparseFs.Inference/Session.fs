namespace SparseFs.Inference

open System
open System.Threading
open SparseFs

/// <summary>A network that goes on from token to token: it keeps keys and values of attention, and states of recurrent layers.</summary>
/// <remarks>For one caller at a time; any number of sessions of one model may run beside each other. A step allocates nothing once as many tokens were
/// given at once.</remarks>
/// <example><code>
/// let characters = torch.nn.Sequential(torch.nn.Embedding(72L, 16L), torch.nn.Linear(16L, 72L))
/// Deploy.save "characters.safetensors" (torch.zeros ([| 1L; 4L |], dtype = torch.int64)) characters |> ignore
/// let session = (SparseModel.Load "characters.safetensors").CreateSession()
/// let scores: float32[] = Array.zeroCreate 72
/// session.Step(17L, Span scores) // of the character that comes behind the first
/// session.Step(4L, Span scores)
/// session.Tokens // = 2
/// </code></example>
[<Sealed>]
type Session internal (network: CompiledNetwork, samples: int, capacity: int) =
    let w = Workspace(network.Room, capacity)
    let input, output = network.Inputs[0], network.Outputs[0]
    let mutable busy = 0

    do
        w.Begin(samples, 1)
        w.Reset()

    let enter () =
        if Interlocked.Exchange(&busy, 1) = 1 then
            invalidOp "a session takes one step at a time: this one is in another call"

    let leave () = Volatile.Write(&busy, 0)

    let start (length: int) =
        let tokens = CallInputs.tokensOf input length samples

        if int64 w.Position + int64 tokens > int64 capacity then
            CallInputs.refuse
                "tokens"
                (invariant
                    $"expected at most {capacity} tokens of a session, got {tokens} behind {w.Position}: begin anew with Reset, or with a session of more where the network has them")

        w.Begin(samples, tokens)

    let finish (results: Span<float32>) =
        for step in network.Steps do
            step.Run w

        w.Buffer(network.Results[0]).AsSpan(0, results.Length).CopyTo results
        w.Advance()

    /// <summary>Sequences that it goes through beside each other.</summary>
    member _.Samples: int = samples

    /// <summary>The most tokens that it can see.</summary>
    member _.Capacity: int = capacity

    /// <summary>Tokens that it has seen.</summary>
    member _.Tokens: int = w.Position

    /// <summary>One token of one sequence.</summary>
    /// <param name="token">Its number.</param>
    /// <param name="results">The output's numbers, overwritten.</param>
    /// <exception cref="T:System.ArgumentException">The network has no such token, has seen all that it can, or a length is not as said.</exception>
    /// <exception cref="T:System.InvalidOperationException">The session is in another call.</exception>
    member s.Step(token: int64, results: Span<float32>) : unit =
        let mutable own = token
        s.Step(ReadOnlySpan<int64>(&own), results)

    /// <summary>Some tokens.</summary>
    /// <param name="tokens">[samples, tokens]</param>
    /// <param name="results">[samples, tokens, ...], or [samples, ...] where the output has no tokens; overwritten.</param>
    /// <exception cref="T:System.ArgumentException">The network has no such token, has seen all that it can, or a length is not as said.</exception>
    /// <exception cref="T:System.InvalidOperationException">The session is in another call.</exception>
    member _.Step(tokens: ReadOnlySpan<int64>, results: Span<float32>) : unit =
        enter ()

        try
            start tokens.Length
            CallInputs.checkResults output w results.Length
            CallInputs.tokens64 input tokens (w.Buffer network.Sources[0])
            finish results
        finally
            leave ()

    /// <summary>Some tokens that are vectors of numbers.</summary>
    /// <param name="tokens">[samples, tokens, ...]</param>
    /// <param name="results">[samples, tokens, ...], or [samples, ...] where the output has no tokens; overwritten.</param>
    /// <exception cref="T:System.ArgumentException">The network has seen all that it can, or a length is not as said.</exception>
    /// <exception cref="T:System.InvalidOperationException">The session is in another call.</exception>
    member _.Step(tokens: ReadOnlySpan<float32>, results: Span<float32>) : unit =
        enter ()

        try
            start tokens.Length
            CallInputs.checkResults output w results.Length
            CallInputs.floats input tokens (w.Buffer network.Sources[0])
            finish results
        finally
            leave ()

    /// <summary>Begins anew, as if no token had been seen.</summary>
    /// <exception cref="T:System.InvalidOperationException">The session is in another call.</exception>
    member _.Reset() : unit =
        enter ()

        try
            w.Reset()
        finally
            leave ()

    /// <summary>Where the session is: a copy, to come back to.</summary>
    /// <exception cref="T:System.InvalidOperationException">The session is in another call.</exception>
    member _.Capture() : SessionState =
        enter ()

        try
            SessionState(network, samples, capacity, w.States, w.Position)
        finally
            leave ()

    /// <summary>Goes back to where this or another session was.</summary>
    /// <param name="state">Of a session of the same model, of as many samples and the same capacity.</param>
    /// <exception cref="T:System.ArgumentException">The state is of another model or size; the session stays where it is.</exception>
    /// <exception cref="T:System.InvalidOperationException">The session is in another call.</exception>
    member _.Restore(state: SessionState) : unit =
        ArgumentNullException.ThrowIfNull(state, nameof state)

        if
            not (obj.ReferenceEquals(state.Owner, network))
            || state.Samples <> samples
            || state.Capacity <> capacity
        then
            CallInputs.refuse
                (nameof state)
                (invariant
                    $"expected a state of this model, of {samples} samples and {capacity} tokens, got one of {state.Samples} and {state.Capacity}")

        enter ()

        try
            w.Restore(state.States, state.Tokens)
        finally
            leave ()

    override _.ToString() =
        invariant $"Session(samples={samples}, tokens={w.Position} of {capacity})"
