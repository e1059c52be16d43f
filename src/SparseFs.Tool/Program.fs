namespace SparseFs.Tool

open System
open System.IO
open System.Net
open System.Reflection
open System.Text.RegularExpressions
open System.Threading
open Argu
open SparseFs

/// <summary>From a command line to an exit code: 0, 1 where something cannot be done, 2 where the arguments are wrong.</summary>
module internal Program =

    let private parser =
        ArgumentParser.Create<Command>(programName = "sparsefs", errorHandler = ExceptionExiter())

    /// Argu puts the argument's name before the message.
    let private demand (holds: 'a -> bool) (expected: string) (value: 'a) : 'a =
        if holds value then
            value
        else
            failwith $"expected {expected}, got {value}"

    let private threads = demand (fun n -> n >= 1 && n <= 1024) "1 to 1024"
    let private positive = demand (fun n -> n >= 1) "1 or more"

    /// Of who wrote a percentage, the fraction is told.
    let private part (given: float) : float =
        if given >= 0.0 && given < 1.0 then
            given
        else
            failwith (Sparsity.refusal given)

    let private oneOf (names: string list) =
        demand (fun name -> List.contains name names) ("one of " + String.concat ", " names)

    let private address (text: string) : IPAddress =
        match IPAddress.TryParse text with
        | true, NonNull address -> address
        | _ -> failwith $"expected an IP address, got {text}"

    let private info (output: TextWriter) (given: ParseResults<InfoArgument>) =
        let report = InfoReport.ofFile (given.GetResult InfoArgument.File)

        if given.Contains InfoArgument.Json then
            InfoJson.write output report
        else
            InfoText.write output report

    let private run (output: TextWriter) (given: ParseResults<RunArgument>) =
        let network, input, target = given.GetResult RunArgument.Files

        let batch =
            (given.TryPostProcessResult(RunArgument.Batch, (positive >> ValueSome))
             |> Option.defaultValue ValueNone)

        let threads' =
            given.TryPostProcessResult(RunArgument.Threads, threads)
            |> Option.defaultValue 1

        RunCommand.run output threads' batch network input target

    let private bench (output: TextWriter) (given: ParseResults<BenchArgument>) =
        let seconds = demand (fun s -> s >= 0.01 && s <= 3600.0) "0.01 to 3600"

        BenchCommand.run
            output
            (given.TryPostProcessResult(BenchArgument.Threads, threads)
             |> Option.defaultValue 1)
            (given.TryPostProcessResult(BenchArgument.Batch, positive)
             |> Option.defaultValue 1)
            (given.TryPostProcessResult(BenchArgument.Seconds, seconds)
             |> Option.defaultValue 2.0)
            (given.GetResult BenchArgument.File)

    let private convert (output: TextWriter) (given: ParseResults<ConvertArgument>) =
        let source, target = given.GetResult ConvertArgument.Files

        let isMlp =
            (given.TryPostProcessResult(ConvertArgument.Network, (oneOf [ "mlp"; "none" ]))
             |> Option.defaultValue "none")
                =
                "mlp"

        let activation =
            (given.TryPostProcessResult(ConvertArgument.Activation, (oneOf MlpDescription.activations))
             |> Option.defaultValue "relu")

        if given.Contains ConvertArgument.Activation && not isMlp then
            given.Raise "expected --network mlp beside --activation"

        let rule =
            { Sparsity = given.PostProcessResult(ConvertArgument.Sparsity, part)
              Include = given.GetResults ConvertArgument.Include
              Exclude = given.GetResults ConvertArgument.Exclude
              Smallest =
                (given.TryPostProcessResult(ConvertArgument.Smallest, (demand (fun n -> n >= 0L) "0 or more"))
                 |> Option.defaultValue 1000L)
              RowGroup =
                given.TryPostProcessResult(ConvertArgument.Row_Groups, (demand (fun n -> n >= 1 && n <= 64) "1 to 64"))
                |> Option.defaultValue 1 }

        ConvertCommand.run output rule (if isMlp then ValueSome activation else ValueNone) source target

    let private serve (output: TextWriter) (stopping: CancellationToken) (given: ParseResults<ServeArgument>) =
        ServeCommand.serve
            output
            stopping
            (given.TryPostProcessResult(ServeArgument.Threads, threads)
             |> Option.defaultValue 1)
            (given.TryPostProcessResult(ServeArgument.Address, address)
             |> Option.defaultValue IPAddress.Loopback)
            (given.TryPostProcessResult(ServeArgument.Port, (demand (fun p -> p >= 0 && p <= 65535) "0 to 65535"))
             |> Option.defaultValue 8080)
            (given.GetResult ServeArgument.File)

    /// What stands behind a plus is the commit.
    let private version () : string =
        match Assembly.GetExecutingAssembly().GetCustomAttribute<AssemblyInformationalVersionAttribute>() with
        | null -> "sparsefs"
        | attribute -> "sparsefs " + attribute.InformationalVersion.Split('+')[0]

    let private dispatch (output: TextWriter) (stopping: CancellationToken) (arguments: string[]) : unit =
        let given = parser.ParseCommandLine arguments

        match given.TryGetSubCommand() with
        | Some(Command.Info given) -> info output given
        | Some(Command.Run given) -> run output given
        | Some(Command.Bench given) -> bench output given
        | Some(Command.Convert given) -> convert output given
        | Some(Command.Serve given) -> serve output stopping given
        | Some Command.Version
        | None when given.Contains Command.Version -> output.WriteLine(version ())
        | _ -> given.Raise "expected a command: info, run, bench, convert or serve"

    /// The first line of what Argu says, without the word before it; the usage that follows is one --help away.
    let private reason (e: ArguParseException) : string =
        let line = e.Message.Split('\n')[0]

        let found =
            Regex.Match(line, "^(?:ERROR: |ERROR parsing '([^']*)': )?(.*)$", RegexOptions.Singleline)

        match found.Groups[1].Value, found.Groups[2].Value with
        | "", said -> (Refusal.shown said).Trim()
        | argument, said -> argument + ": " + (Refusal.shown said).Trim()

    /// <summary>Does what a command line asks for.</summary>
    /// <param name="output">Where results go.</param>
    /// <param name="errors">Where the one line goes that says what went wrong.</param>
    /// <param name="stopping">Ends a service.</param>
    /// <param name="arguments">Without the program's name.</param>
    let run' (output: TextWriter) (errors: TextWriter) (stopping: CancellationToken) (arguments: string[]) : int =
        try
            dispatch output stopping arguments
            0
        with
        | :? ArguParseException as e when e.ErrorCode = ErrorCode.HelpText ->
            output.WriteLine e.Message
            0
        | :? ArguParseException as e ->
            errors.WriteLine(invariant $"sparsefs: {reason e} (sparsefs --help)")
            2
        | e ->
            errors.WriteLine(invariant $"sparsefs: {Refusal.line e}")
            1
