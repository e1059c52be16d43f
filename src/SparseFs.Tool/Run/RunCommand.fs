namespace SparseFs.Tool

open System
open System.Diagnostics
open System.IO
open SparseFs
open SparseFs.Inference

/// <summary>A network's outputs for the samples of a .npy file.</summary>
module internal RunCommand =

    /// <exception cref="T:SparseFs.Tool.Refusal">A file would be written over one that is read.</exception>
    let checkTarget (target: string) (sources: string list) : unit =
        for source in sources do
            if Path.GetFullPath source = Path.GetFullPath target then
                Refusal.because (invariant $"expected another file to write than '{source}', which is read")

    /// <summary>Runs it.</summary>
    /// <param name="output">Where it tells what it did.</param>
    /// <param name="threads">Those of a call.</param>
    /// <param name="batch">Samples of a call, or as many as Batches.size says.</param>
    /// <param name="network">The network's file.</param>
    /// <param name="input">The file of the samples.</param>
    /// <param name="target">The file that is written.</param>
    let run
        (output: TextWriter)
        (threads: int)
        (batch: int voption)
        (network: string)
        (input: string)
        (target: string)
        : unit =
        checkTarget target [ network; input ]
        let model = SampleNetwork.load network threads
        let array = Npy.read input

        let struct (samples, convertedFrom) =
            NpyFloats.samples input model.Input.Shape array

        if convertedFrom <> "" then
            output.WriteLine(invariant $"{Refusal.shown input}: converted from {convertedFrom} to float32")

        let watch = Stopwatch.StartNew()

        let results =
            Batches.run (batch |> ValueOption.defaultValue (Batches.size model)) model samples

        let seconds = watch.Elapsed.TotalSeconds

        let shape =
            Array.append [| samples.Length / model.Input.Size |] (Array.ofSeq model.Output.Shape)

        Npy.write target (NpyArray(shape, results))
        let time = seconds.ToString("0.000", Globalization.CultureInfo.InvariantCulture)

        output.WriteLine(
            invariant
                $"{Refusal.shown target}: float32 {Shape.text shape}, {Tables.count (int64 shape[0])} samples in {time} s"
        )
