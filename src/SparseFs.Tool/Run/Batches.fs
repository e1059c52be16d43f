namespace SparseFs.Tool

open System
open SparseFs
open SparseFs.Inference

/// <summary>Many samples in calls of bounded size.</summary>
module internal Batches =

    /// Numbers of the inputs, and of the outputs, of a call.
    [<Literal>]
    let private Most = 1_048_576

    /// Samples of a call: as many as fit, at most 1,024, and one where not even that fits.
    let size (model: SparseModel) : int =
        Most / max model.Input.Size model.Output.Size |> min 1024 |> max 1

    /// <summary>The outputs of samples, row by row.</summary>
    /// <param name="batch">Samples of a call, 1 or more.</param>
    /// <param name="model">What computes.</param>
    /// <param name="samples">[n, inputs] row by row.</param>
    /// <exception cref="T:SparseFs.Tool.Refusal">The outputs are more than an array holds.</exception>
    let run (batch: int) (model: SparseModel) (samples: float32[]) : float32[] =
        let inputs, outputs = model.Input.Size, model.Output.Size
        let n = samples.Length / inputs
        let most = Array.MaxLength / 4 / outputs

        if n > most then
            Refusal.because (
                invariant $"expected at most {most} samples, whose outputs a file takes, got {n}: divide them"
            )

        let results: float32[] = Array.zeroCreate (n * outputs)

        for first in 0..batch .. n - 1 do
            let count = min batch (n - first)

            model.Run(
                ReadOnlySpan(samples, first * inputs, count * inputs),
                Span(results, first * outputs, count * outputs)
            )

        results
