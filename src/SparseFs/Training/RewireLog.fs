namespace SparseFs

open System
open System.Globalization
open System.IO
open System.Text
open System.Text.Json

/// How an event becomes a line, and what stands above the first.
[<RequireQualifiedAccess>]
type private LogForm =
    | Csv
    | JsonLines

/// <summary>A file of a rewirer's events, a line each, as comma-separated values or as JSON Lines.</summary>
/// <remarks>Each event is on disk when <c>Add</c> returns. A file that is there is continued. Any number of threads may
/// add. Columns, or properties: step, layer, outcome (done or refused), reason, nnz, dropped, grown, regrown, churn, explored, dead_rows,
/// dead_cols and seconds; what an outcome does not have is empty, or absent.</remarks>
/// <example><code>
/// use log = RewireLog.Csv "rewiring.csv"
/// let optimizer = torch.optim.SGD(model.parameters (), 0.1)
/// use rewirer = new Rewirer(model, optimizer, Policy.set (Schedule.constant 0.3 100L 60_000L))
/// rewirer.Events.Add log.Add
/// </code></example>
[<Sealed>]
type RewireLog private (path: string, form: LogForm) =

    static let columns =
        [ "step"
          "layer"
          "outcome"
          "reason"
          "nnz"
          "dropped"
          "grown"
          "regrown"
          "churn"
          "explored"
          "dead_rows"
          "dead_cols"
          "seconds" ]

    static let header = String.Join(",", columns)

    /// RFC 4180: a text with a comma, a quotation mark or a line break stands in quotation marks.
    static let quoted (text: string) =
        if text.IndexOfAny [| ','; '"'; '\n'; '\r' |] >= 0 then
            "\"" + text.Replace("\"", "\"\"") + "\""
        else
            text

    static let csv (e: RewireEvent) : string =
        let text (n: float) =
            n.ToString("R", CultureInfo.InvariantCulture)

        let outcome =
            match e.Outcome with
            | RewireOutcome.Done c ->
                [ "done"
                  ""
                  string c.Nnz
                  string c.Dropped
                  string c.Grown
                  string c.Regrown
                  text c.Churn
                  text c.Explored
                  string c.DeadRows
                  string c.DeadCols ]
            | RewireOutcome.Refused reason -> [ "refused"; quoted reason; ""; ""; ""; ""; ""; ""; ""; "" ]

        String.Join(",", [ string e.Step; quoted e.Layer ] @ outcome @ [ text e.Seconds ])

    static let json (e: RewireEvent) : string =
        use buffer = new MemoryStream()

        (use writer = new Utf8JsonWriter(buffer)
         writer.WriteStartObject()
         writer.WriteNumber("step", e.Step)
         writer.WriteString("layer", e.Layer)

         match e.Outcome with
         | RewireOutcome.Done c ->
             writer.WriteString("outcome", "done")
             writer.WriteNumber("nnz", c.Nnz)
             writer.WriteNumber("dropped", c.Dropped)
             writer.WriteNumber("grown", c.Grown)
             writer.WriteNumber("regrown", c.Regrown)
             writer.WriteNumber("churn", c.Churn)
             writer.WriteNumber("explored", c.Explored)
             writer.WriteNumber("dead_rows", c.DeadRows)
             writer.WriteNumber("dead_cols", c.DeadCols)
         | RewireOutcome.Refused reason ->
             writer.WriteString("outcome", "refused")
             writer.WriteString("reason", reason)

         writer.WriteNumber("seconds", e.Seconds)
         writer.WriteEndObject())

        Encoding.UTF8.GetString(buffer.ToArray())

    /// A program that was ended while it wrote leaves a line without its end.
    static let isWithinLine (path: string) : bool =
        File.Exists path
        && (use file = File.OpenRead path

            file.Length > 0L
            && (file.Seek(-1L, SeekOrigin.End) |> ignore
                file.ReadByte() <> int '\n'))

    static let openAt (path: string) : StreamWriter =
        match Path.GetDirectoryName(Path.GetFullPath path) with
        | null -> ()
        | folder ->
            if not (Directory.Exists folder) then
                raise (
                    DirectoryNotFoundException
                        $"path: expected a folder that exists, got '{folder}'; create it before the log is opened"
                )

        let isWithinLine = isWithinLine path
        let stream = new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.Read)

        let writer =
            new StreamWriter(stream, UTF8Encoding false, AutoFlush = true, NewLine = "\n")

        if isWithinLine then
            writer.WriteLine()

        writer

    /// The first line of a file that is there, or none.
    static let firstLine (path: string) : string option =
        if File.Exists path then
            File.ReadLines path |> Seq.tryHead
        else
            None

    let writer =
        match form, firstLine path with
        | LogForm.Csv, Some line when line <> header ->
            raise (
                ArgumentException(
                    $"expected a new file, or one whose first line is '{header}', got '{path}', which begins with '{line}'",
                    nameof path
                )
            )
        | LogForm.Csv, None ->
            let writer = openAt path
            writer.WriteLine header
            writer
        | _ -> openAt path

    let gate = obj ()

    /// <summary>Opens a file of comma-separated values (RFC 4180) whose first line names the columns.</summary>
    /// <param name="path">A new file, or one that such a log has written.</param>
    /// <exception cref="T:System.ArgumentException">The file is there and begins with another line.</exception>
    /// <exception cref="T:System.IO.IOException">The folder does not exist, or the file cannot be written.</exception>
    static member Csv(path: string) : RewireLog =
        ArgumentException.ThrowIfNullOrEmpty(path, nameof path)
        new RewireLog(path, LogForm.Csv)

    /// <summary>Opens a file with a JSON object in each line.</summary>
    /// <param name="path">A new file, or one that is to be continued.</param>
    /// <exception cref="T:System.IO.IOException">The folder does not exist, or the file cannot be written.</exception>
    static member JsonLines(path: string) : RewireLog =
        ArgumentException.ThrowIfNullOrEmpty(path, nameof path)
        new RewireLog(path, LogForm.JsonLines)

    /// <summary>Writes an event.</summary>
    /// <param name="e">What a rewirer's <c>Events</c> gives.</param>
    /// <exception cref="T:System.ObjectDisposedException">The log is closed.</exception>
    /// <exception cref="T:System.IO.IOException">The file cannot be written.</exception>
    member _.Add(e: RewireEvent) : unit =
        let line =
            match form with
            | LogForm.Csv -> csv e
            | LogForm.JsonLines -> json e

        lock gate (fun () -> writer.WriteLine line)

    /// <summary>Closes the file.</summary>
    member _.Dispose() : unit = lock gate writer.Dispose

    override _.ToString() = $"RewireLog({path})"

    interface IDisposable with
        member l.Dispose() = l.Dispose()
