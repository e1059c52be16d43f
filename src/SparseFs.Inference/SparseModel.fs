namespace SparseFs.Inference

open System
open System.Collections.Generic
open System.Runtime.InteropServices
open System.Text
open SparseFs
open SparseFs.Kernels

/// <summary>A trained network that runs on the CPU, without libtorch.</summary>
/// <remarks>
/// Read from a file that SparseFs.Deploy has written: a checkpoint with a description of the network (docs/format.md). Nothing of a file is
/// believed: sizes, tensors and patterns are checked before anything is computed. A model is immutable, and any number of threads may call it; each
/// call has numbers of its own, which are kept for later ones, so that calls of no more samples than earlier ones allocate nothing on one thread.
/// </remarks>
/// <example><code>
/// Deploy.save "digits.safetensors" x model |> ignore // in the program that trains, with SparseFs.Deploy
/// let deployed = SparseModel.Load "digits.safetensors"
/// let picture, scores = Array.create deployed.Input.Size 0.5f, Array.create deployed.Output.Size 0f
/// deployed.Run(ReadOnlySpan picture, Span scores)
/// </code></example>
[<Sealed>]
type SparseModel private (network: CompiledNetwork, bytes: int64) =
    let input, output = network.Inputs[0], network.Outputs[0]

    let inputs, outputs =
        Array.map ModelPort network.Inputs, Array.map ModelPort network.Outputs

    let pool = WorkspacePool network.Room

    /// <summary>Reads a model; its calls compute on one thread.</summary>
    /// <param name="path">A safetensors file, or the index of several.</param>
    /// <exception cref="T:SparseFs.CheckpointException">The file cannot be read, is not sound, or has no description of a network that this version
    /// knows.</exception>
    static member Load(path: string) : SparseModel = SparseModel.Load(path, 1)

    /// <summary>Reads a model.</summary>
    /// <param name="path">A safetensors file, or the index of several.</param>
    /// <param name="threads">The most threads that a call computes on, 1 or more.</param>
    /// <exception cref="T:SparseFs.CheckpointException">The file cannot be read, is not sound, or has no description of a network that this version
    /// knows.</exception>
    /// <exception cref="T:System.ArgumentException">path is null, or threads is below 1.</exception>
    static member Load(path: string, threads: int) : SparseModel =
        ArgumentNullException.ThrowIfNull(path, nameof path)
        let kernels = CpuKernels(threads, ParallelFor.Workers)
        use file = new ModelFile(path)

        match file.TryText NetworkDescription.Key with
        | ValueNone ->
            file.Refuse(
                CheckpointProblem.Mismatch,
                NetworkDescription.Key,
                "the file has weights and no description of the network: write it with Deploy.save of SparseFs.Deploy (C#: model.Deploy)"
            )
        | ValueSome text ->
            let network = NetworkText.read path text
            SparseModel(Compiler.run file network kernels, file.Bytes)

    /// <summary>What it takes; the first one, where it takes several.</summary>
    member _.Input: ModelPort = inputs[0]

    /// <summary>What it gives; the first one, where it gives several.</summary>
    member _.Output: ModelPort = outputs[0]

    /// <summary>All that it takes.</summary>
    member _.Inputs: IReadOnlyList<ModelPort> = Array.AsReadOnly inputs

    /// <summary>All that it gives.</summary>
    member _.Outputs: IReadOnlyList<ModelPort> = Array.AsReadOnly outputs

    /// Numbers that a call of one sample, of one token, takes room for.
    member internal _.PlannedNumbers: int64 = network.Room.Buffers |> Array.sumBy _.Numbers

    /// Room for a call, with nothing seen before.
    member private _.Start(samples: int, tokens: int) : Workspace =
        if network.MostTokens > 0 && tokens > network.MostTokens then
            CallInputs.refuse
                "tokens"
                (invariant $"expected at most {network.MostTokens} tokens of a sample, got {tokens}")

        let w = pool.Rent()
        w.Begin(samples, tokens)
        w.Reset()
        w

    member private _.CheckSingle() : unit =
        if network.Inputs.Length > 1 || network.Outputs.Length > 1 then
            let got =
                invariant $"{network.Inputs.Length} inputs and {network.Outputs.Length} outputs"

            raise (InvalidOperationException("the model has " + got + ": call Run with a dictionary of its inputs"))

    /// What a call that has its inputs computes; one that fails leaves its room to the collector.
    member private _.Finish(w: Workspace, results: Span<float32>) : unit =
        for step in network.Steps do
            step.Run w

        w.Buffer(network.Results[0]).AsSpan(0, results.Length).CopyTo results
        pool.GiveBack w

    /// As many samples as numbers make, or one sequence.
    member private _.SamplesOf(name: string, length: int) : int =
        if input.Shape.HasTokens then
            if length = 0 then 0 else 1
        else
            let samples = length / int input.Size

            if samples * int input.Size <> length then
                CallInputs.refuse
                    name
                    (invariant $"expected samples of {input.Size} numbers, got {length}, which is no multiple of it")

            samples

    /// <summary>Computes the outputs of some samples.</summary>
    /// <param name="samples">[samples, ...] row by row, as many as are there; [tokens, ...] of one sample, where there is a dimension of tokens.</param>
    /// <param name="results">[samples, ...], overwritten.</param>
    /// <exception cref="T:System.ArgumentException">A length is not as said: nothing is written then.</exception>
    member m.Run(samples: ReadOnlySpan<float32>, results: Span<float32>) : unit =
        m.Run(samples, m.SamplesOf(nameof samples, samples.Length), results)

    /// <summary>Computes the outputs of some samples, of as many tokens each as the numbers make.</summary>
    /// <param name="values">[samples, ...], or [samples, tokens, ...], row by row.</param>
    /// <param name="samples">How many, 0 or more.</param>
    /// <param name="results">[samples, ...], or [samples, tokens, ...], overwritten.</param>
    /// <exception cref="T:System.ArgumentException">A length is not as said: nothing is written then.</exception>
    member m.Run(values: ReadOnlySpan<float32>, samples: int, results: Span<float32>) : unit =
        m.CheckSingle()

        if samples < 1 then
            CallInputs.checkNone samples values.Length results.Length
        else
            let w = m.Start(samples, CallInputs.tokensOf input values.Length samples)
            CallInputs.checkResults output w results.Length
            CallInputs.floats input values (w.Buffer network.Sources[0])
            m.Finish(w, results)

    /// <summary>Computes the outputs of some tokens.</summary>
    /// <param name="tokens">Of one sample; of as many samples as are there, where the input has no dimension of any size.</param>
    /// <param name="results">[tokens, ...], or as the output is; overwritten.</param>
    /// <exception cref="T:System.ArgumentException">A length is not as said, or there is no such token: nothing is written then.</exception>
    member m.Run(tokens: ReadOnlySpan<int64>, results: Span<float32>) : unit =
        m.Run(tokens, m.SamplesOf(nameof tokens, tokens.Length), results)

    /// <summary>Computes the outputs of some samples of tokens.</summary>
    /// <param name="tokens">[samples, tokens]</param>
    /// <param name="samples">How many, 0 or more.</param>
    /// <param name="results">[samples, tokens, ...], or as the output is; overwritten.</param>
    /// <exception cref="T:System.ArgumentException">A length is not as said, or there is no such token: nothing is written then.</exception>
    member m.Run(tokens: ReadOnlySpan<int64>, samples: int, results: Span<float32>) : unit =
        m.CheckSingle()

        if samples < 1 then
            CallInputs.checkNone samples tokens.Length results.Length
        else
            let w = m.Start(samples, CallInputs.tokensOf input tokens.Length samples)
            CallInputs.checkResults output w results.Length
            CallInputs.tokens64 input tokens (w.Buffer network.Sources[0])
            m.Finish(w, results)

    /// <summary>As Run with tokens of 64 bits.</summary>
    /// <param name="tokens">[samples, tokens]</param>
    /// <param name="samples">How many, 0 or more.</param>
    /// <param name="results">[samples, tokens, ...], or as the output is; overwritten.</param>
    /// <exception cref="T:System.ArgumentException">A length is not as said, or there is no such token: nothing is written then.</exception>
    member m.Run(tokens: ReadOnlySpan<int>, samples: int, results: Span<float32>) : unit =
        m.CheckSingle()

        if samples < 1 then
            CallInputs.checkNone samples tokens.Length results.Length
        else
            let w = m.Start(samples, CallInputs.tokensOf input tokens.Length samples)
            CallInputs.checkResults output w results.Length
            CallInputs.tokens32 input tokens (w.Buffer network.Sources[0])
            m.Finish(w, results)

    /// <summary>As Run, from and to memory.</summary>
    /// <param name="samples">[samples, ...] row by row: as many as are there.</param>
    /// <param name="results">[samples, ...], overwritten.</param>
    /// <exception cref="T:System.ArgumentException">A length is not as said: nothing is written then.</exception>
    member m.Run(samples: ReadOnlyMemory<float32>, results: Memory<float32>) : unit = m.Run(samples.Span, results.Span)

    /// <summary>Computes all outputs of all inputs, by their names.</summary>
    /// <param name="inputs">Each input, with the batch first; all of one batch, and of as many tokens.</param>
    /// <returns>Each output.</returns>
    /// <exception cref="T:System.ArgumentException">An input is missing, is none of the model's, or has another shape.</exception>
    /// <example><code>
    /// Deploy.save "named.safetensors" x model |> ignore
    /// let deployed = SparseModel.Load "named.safetensors"
    /// let sample = ModelTensor.Of(Array.create deployed.Input.Size 0.5f, [| 1; deployed.Input.Size |])
    /// let results = deployed.Run(readOnlyDict [ (deployed.Input.Name, sample) ])
    /// </code></example>
    member m.Run(inputs: IReadOnlyDictionary<string, ModelTensor>) : IReadOnlyDictionary<string, ModelTensor> =
        ArgumentNullException.ThrowIfNull(inputs, nameof inputs)
        let struct (samples, tokens) = NamedInputs.check network.Inputs inputs
        let results = Dictionary<string, ModelTensor>()

        if samples = 0 then
            for port in network.Outputs do
                results[port.Name] <- ModelTensor.Of(Array.empty<float32>, NamedInputs.shapeOf port 0 tokens)
        else
            let w = m.Start(samples, tokens)

            for i in 0 .. network.Inputs.Length - 1 do
                let port, given, buffer =
                    network.Inputs[i], inputs[network.Inputs[i].Name], w.Buffer network.Sources[i]

                if given.IsTokens then
                    CallInputs.tokens64 port (ReadOnlySpan given.Tokens) buffer
                else
                    CallInputs.floats port (ReadOnlySpan given.Values) buffer

            for step in network.Steps do
                step.Run w

            for i in 0 .. network.Outputs.Length - 1 do
                let port = network.Outputs[i]
                let count = w.Rows port.Shape.HasTokens * int port.Size
                let values = w.Buffer(network.Results[i]).AsSpan(0, count).ToArray()
                results[port.Name] <- ModelTensor.Of(values, NamedInputs.shapeOf port samples tokens)

            pool.GiveBack w

        results

    /// <summary>A session, which goes on from token to token.</summary>
    /// <param name="samples">Sequences beside each other, 1 or more.</param>
    /// <param name="capacity">The most tokens that it can see; as many as the network can, if 0.</param>
    /// <exception cref="T:System.InvalidOperationException">The network cannot go on: the message says why.</exception>
    /// <exception cref="T:System.ArgumentException">A number is not as said, or the network can see fewer tokens.</exception>
    member m.CreateSession
        ([<Optional; DefaultParameterValue(1)>] samples: int, [<Optional; DefaultParameterValue(0)>] capacity: int)
        : Session =
        m.CheckSingle()

        if not input.Shape.HasTokens then
            raise (InvalidOperationException(invariant $"the input {inputs[0]} has no tokens to go on from: call Run"))

        if network.WhyNoSession <> "" then
            raise (InvalidOperationException("the network cannot go on from token to token: " + network.WhyNoSession))

        if samples < 1 then
            CallInputs.refuse (nameof samples) (invariant $"expected 1 or more, got {samples}")

        let keepsTokens = network.Room.States |> Array.exists _.HasTokens

        let most =
            if network.MostTokens > 0 then network.MostTokens
            elif keepsTokens then 1 <<< 20
            else Int32.MaxValue

        if capacity < 0 || capacity > most then
            CallInputs.refuse (nameof capacity) (invariant $"expected 0 to {most} tokens, got {capacity}")

        let otherwise =
            if network.MostTokens > 0 || not keepsTokens then
                most
            else
                1_024

        Session(network, samples, (if capacity = 0 then otherwise else capacity))

    /// <summary>Its products with a weight matrix, in the order in which they are computed.</summary>
    member _.Layers: IReadOnlyList<ModelLayer> = Array.map ModelLayer network.Layers

    /// <summary>Its layers and their bytes, as a table for people.</summary>
    member m.Info: string =
        let text = StringBuilder()
        text.Append("layer  weights  of  dense bytes  bytes\n") |> ignore

        for l in m.Layers do
            text.Append(invariant $"{l.Name}  {l.Nnz}  {l.Outputs} x {l.Inputs}  {l.DenseBytes}  {l.StoredBytes}\n")
            |> ignore

        text.Append(invariant $"the file  {bytes}").ToString()

    override _.ToString() =
        invariant $"SparseModel({inputs[0]}; {outputs[0]}; {network.Layers.Length} layers)"
