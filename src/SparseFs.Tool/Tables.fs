namespace SparseFs.Tool

open System
open System.Globalization
open System.IO
open SparseFs
open Spectre.Console

/// <summary>Tables on a text output, as wide as their cells: whoever pipes them gets whole lines.</summary>
module internal Tables =

    let private culture = CultureInfo.InvariantCulture

    let count (number: int64) : string = number.ToString("N0", culture)

    /// A part in percent.
    let percent (part: float) : string =
        (100.0 * part).ToString("0.##", culture) + " %"

    let shape (sizes: seq<int64>) : string = "[" + String.Join(", ", sizes) + "]"

    /// <summary>Writes a table.</summary>
    /// <param name="output">Where to.</param>
    /// <param name="columns">Titles; those that begin with a &gt; stand on the right, as numbers do.</param>
    /// <param name="rows">A text for each column.</param>
    /// <param name="totals">The same for a last row, or nothing.</param>
    let write (output: TextWriter) (columns: string list) (rows: string list list) (totals: string list) : unit =
        let table = Table().Border(TableBorder.Simple)

        for index, title in List.indexed columns do
            let column =
                if title.StartsWith '>' then
                    TableColumn(Text(title.Substring 1)).RightAligned()
                else
                    TableColumn(Text title)

            if not totals.IsEmpty then
                column.Footer <- Text totals[index]

            table.AddColumn column |> ignore

        for row in rows do
            let cells =
                [| for cell in row -> Text(Refusal.shown cell) :> Rendering.IRenderable |]

            table.AddRow cells |> ignore

        use text = new StringWriter(culture)

        let console =
            AnsiConsole.Create(
                AnsiConsoleSettings(
                    Ansi = AnsiSupport.No,
                    ColorSystem = ColorSystemSupport.NoColors,
                    Interactive = InteractionSupport.No,
                    Out = AnsiConsoleOutput text
                )
            )

        console.Profile.Width <- 10_000
        console.Write table

        for line in (string text).Split '\n' do
            if line.Trim() <> "" then
                output.WriteLine(line.TrimEnd())
