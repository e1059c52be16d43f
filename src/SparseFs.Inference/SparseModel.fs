namespace SparseFs.Inference

open System
open System.Collections.Generic
open System.Text
open System.Threading
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
    let input, output = network.Input, network.Output
    let inputs, outputs = int input.Size, int output.Size
    let isNormalized = input.Mean <> 0.0 || input.Deviation <> 1.0

    // As many as calls can be computed at once, and some that wait.
    let kept: (Workspace | null)[] = Array.zeroCreate (2 * Environment.ProcessorCount)

    let rent () : Workspace =
        let mutable found: Workspace | null = null
        let mutable i = 0

        while isNull found && i < kept.Length do
            found <- Interlocked.Exchange(&kept[i], null)
            i <- i + 1

        match found with
        | null -> Workspace network.Buffers
        | found -> found

    let giveBack (w: Workspace) =
        let mutable isKept = false
        let mutable i = 0

        while not isKept && i < kept.Length do
            isKept <- isNull (Interlocked.CompareExchange(&kept[i], w, null))
            i <- i + 1

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
            SparseModel(Compiler(file, network, kernels).Run(), file.Bytes)

    /// <summary>What it takes.</summary>
    member _.Input: ModelPort = ModelPort input

    /// <summary>What it gives.</summary>
    member _.Output: ModelPort = ModelPort output

    /// <summary>Computes the outputs of some samples.</summary>
    /// <param name="samples">[samples, ...] row by row: as many as are there.</param>
    /// <param name="results">[samples, ...], overwritten.</param>
    /// <exception cref="T:System.ArgumentException">A length is not as said: nothing is written then.</exception>
    member _.Run(samples: ReadOnlySpan<float32>, results: Span<float32>) : unit =
        let n = samples.Length / inputs

        if n * inputs <> samples.Length then
            raise (
                ArgumentException(
                    invariant $"expected samples of {inputs} numbers, got {samples.Length}, which is no multiple of it",
                    nameof samples
                )
            )

        if int64 results.Length <> int64 n * int64 outputs then
            raise (
                ArgumentException(
                    invariant $"expected room for {n} · {outputs} numbers, got {results.Length}",
                    nameof results
                )
            )

        if n > 0 then
            let w = rent ()

            // A call that fails leaves its numbers to the collector.
            w.Reserve n
            let own = w.Buffer(0).AsSpan(0, samples.Length)
            samples.CopyTo own

            if isNormalized then
                Elements.scale (float32 (1.0 / input.Deviation)) (float32 (-input.Mean / input.Deviation)) own

            for step in network.Steps do
                step.Run(w, n)

            w.Buffer(network.Result).AsSpan(0, results.Length).CopyTo results
            giveBack w

    /// <summary>As Run, from and to memory.</summary>
    /// <param name="samples">[samples, ...] row by row: as many as are there.</param>
    /// <param name="results">[samples, ...], overwritten.</param>
    /// <exception cref="T:System.ArgumentException">A length is not as said: nothing is written then.</exception>
    member m.Run(samples: ReadOnlyMemory<float32>, results: Memory<float32>) : unit = m.Run(samples.Span, results.Span)

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
        invariant $"SparseModel({ModelPort input}; {ModelPort output}; {network.Layers.Length} layers)"
