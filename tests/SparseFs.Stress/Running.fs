/// A scenario in this process or in one of its own.
module SparseFs.Stress.Running

open System
open System.Diagnostics
open System.IO
open System.Reflection
open TorchSharp

/// A scenario ends in so many seconds for each of its times, or is ended.
[<Literal>]
let private Seconds = 100.0

/// How a scenario went in a process of its own.
type Outcome =
    {
        /// 0 where nothing went wrong; of a crash more than 128, or on Windows less than 0.
        Code: int
        /// How many calls there were, how many of them refused and how many went wrong.
        Counts: string
        /// The first failures, one a line; of a crash, what ran when it came.
        Failures: string
    }

/// Runs a scenario here and prints failures and, in the last line, counts; 0 where nothing went wrong.
let here (name: string) (times: int) : int =
    match Scenarios.tryFind name with
    | None ->
        eprintfn $"there is no scenario '{name}'; the scenarios are:"

        for known, _ in Scenarios.all do
            eprintfn $"  {known}"

        2
    | Some run ->
        // libtorch's threads spin: with several callers on few cores they would only wait for each other.
        torch.set_num_threads 1
        Threads.secondsAtMost <- Seconds * float times
        let failures = run times

        for failure, count in failures |> List.countBy id |> List.truncate 5 do
            printfn $"    {count} times {failure}"

        let counts = Threads.counts ()
        printfn $"{counts.Calls} calls, {counts.Refusals} refused, {failures.Length} wrong"
        if failures.IsEmpty then 0 else 1

let private present (what: string) (value: 'T | null) : 'T =
    match value with
    | null -> failwith $"expected {what}, got none"
    | value -> value

let private crash (errors: string) : string =
    let lines = errors.TrimEnd().Split '\n'

    let where =
        lines
        |> Array.tryFindBack _.StartsWith('@')
        |> Option.defaultValue "@ its start"

    let said = lines |> Array.filter (fun line -> not (line.StartsWith '@'))
    let first = said |> Array.tryHead |> Option.defaultValue ""
    $"    crashed during {where.Substring 2} {first}"

/// <summary>Runs a scenario in another process, so that a crash of native code is a failure like others.</summary>
/// <param name="arguments">What this program takes before the scenario's name.</param>
let there (arguments: string list) (name: string) (times: int) : Outcome =
    let host = present "the path of this process" Environment.ProcessPath

    let start =
        ProcessStartInfo(host, RedirectStandardOutput = true, RedirectStandardError = true)

    if Path.GetFileNameWithoutExtension host = "dotnet" then
        start.ArgumentList.Add((present "a program" (Assembly.GetEntryAssembly())).Location)

    for argument in arguments @ [ name; string times ] do
        start.ArgumentList.Add argument

    use running = present "another process" (Process.Start start)
    let output = running.StandardOutput.ReadToEndAsync()
    let errors = running.StandardError.ReadToEndAsync()

    if not (running.WaitForExit(TimeSpan.FromSeconds(2.0 * Seconds * float times))) then
        running.Kill true

    running.WaitForExit()
    let lines = output.Result.TrimEnd().Split '\n'

    if running.ExitCode < 0 || running.ExitCode > 1 then
        { Code = running.ExitCode
          Counts = ""
          Failures = crash errors.Result }
    else
        { Code = running.ExitCode
          Counts = Array.last lines
          Failures = String.Join('\n', lines[.. lines.Length - 2]) }
