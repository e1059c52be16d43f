namespace Digits

open System
open Spectre.Console
open TorchSharp.Modules

/// <summary>What the demo shows: how far it is, an epoch at a time, and what came of it.</summary>
[<RequireQualifiedAccess>]
module Report =

    let private percent (part: float) = $"%.2f{100.0 * part} %%"

    /// The middle one, or the mean of the middle two.
    let private median (values: float list) =
        let sorted = List.sort values
        let n = sorted.Length
        (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0

    let private line (epochs: int) (epoch: Epoch) =
        let one (name: string) (m: Measure) =
            $"{name} {percent m.Accuracy} in %.2f{m.Seconds} s"

        let sparse = one "sparse" epoch.Sparse
        let dense = one "dense" epoch.Dense
        $"epoch {epoch.Number} of {epochs}: {sparse}, {dense}"

    /// <summary>Runs a training with a progress bar on a terminal, and a line an epoch everywhere.</summary>
    /// <param name="epochs">How many epochs there will be.</param>
    /// <param name="batches">How many batches there will be, of both networks, in all epochs.</param>
    /// <param name="train">The training; calls its arguments after each batch and after each epoch.</param>
    let watching (epochs: int) (batches: float) (train: (unit -> unit) -> (Epoch -> unit) -> 'a) : 'a =
        if Console.IsOutputRedirected then
            train ignore (fun epoch -> printfn $"{line epochs epoch}")
        else
            AnsiConsole
                .Progress()
                .AutoClear(true)
                .Columns(TaskDescriptionColumn(), ProgressBarColumn(), PercentageColumn(), RemainingTimeColumn())
                .Start(fun context ->
                    let task = context.AddTask("training both networks", maxValue = batches)

                    train (fun () -> task.Increment 1.0) (fun epoch ->
                        AnsiConsole.MarkupLine(Markup.Escape(line epochs epoch))))

    /// <summary>The table of both networks, a line that says in words what they come to, and one of numbers.</summary>
    let closing (sparse: Sequential) (dense: Sequential) (rewiring: Rewiring option) (comparison: Comparison) epochs =
        let last: Epoch = List.last epochs
        let sparseSeconds = epochs |> List.map _.Sparse.Seconds |> median
        let denseSeconds = epochs |> List.map _.Dense.Seconds |> median

        let table = Table().Border(TableBorder.Rounded).AddColumn("network")

        for column in [ "test accuracy"; "stored weights"; "bytes"; "seconds an epoch" ] do
            table.AddColumn(column, (fun c -> c.RightAligned() |> ignore)) |> ignore

        let row (name: string) (network: Sequential) (accuracy: float) (seconds: float) =
            table.AddRow(
                name,
                percent accuracy,
                $"{Network.weights network:N0}",
                $"{Network.bytes network:N0}",
                $"%.2f{seconds}"
            )
            |> ignore

        row "sparse" sparse last.Sparse.Accuracy sparseSeconds
        row "dense" dense last.Dense.Accuracy denseSeconds
        AnsiConsole.Write table

        let cost network seconds =
            { Weights = Network.weights network
              Bytes = Network.bytes network
              SecondsAnEpoch = seconds }

        comparison
        |> Comparison.words (cost sparse sparseSeconds) (cost dense denseSeconds)
        |> Console.Out.WriteLine

        // Not through the console of the table, which breaks lines at the width of the terminal.
        Console.Out.WriteLine(
            $"demo: sparse accuracy {percent last.Sparse.Accuracy}, dense accuracy {percent last.Dense.Accuracy}, "
            + $"stored weights {Network.weights sparse} of {Network.weights dense}, "
            + $"seconds per epoch %.2f{sparseSeconds} and %.2f{denseSeconds}"
            + (match rewiring with
               | Some r -> $", churn {percent r.Churn} an update, R_s {percent r.Explored}"
               | None -> "")
            + (match Network.entropy sparse, Network.entropy dense with
               | Some ofSparse, Some ofDense -> $", entropy {percent ofSparse} and {percent ofDense} of the maximum"
               | _ -> "")
        )
