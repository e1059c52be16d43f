/// A scenario in this process or in one of its own.
module SparseFs.Stress.Running

open System
open System.Diagnostics
open System.IO
open System.Reflection
open TorchSharp

/// Runs a scenario here; 0 where nothing went wrong. The first failures are printed.
let here (name: string) (times: int) : int =
    match Scenarios.all |> List.tryFind (fun (known, _) -> known = name) with
    | None ->
        eprintfn $"there is no scenario '{name}'; the scenarios are:"

        for known, _ in Scenarios.all do
            eprintfn $"  {known}"

        2
    | Some(_, run) ->
        // libtorch's threads spin: with several callers on few cores they would only wait for each other.
        torch.set_num_threads 1
        let failures = run times

        for failure, count in failures |> List.countBy id |> List.truncate 5 do
            printfn $"    {count} times {failure}"

        if failures.IsEmpty then 0 else 1

/// <summary>Runs a scenario in another process, so that a crash of native code is a failure like others.</summary>
/// <param name="arguments">What this program takes before the scenario's name.</param>
/// <returns>The exit code, and what it printed; of a crash, what ran when it came.</returns>
let there (arguments: string list) (name: string) (times: int) : int * string =
    let host = Environment.ProcessPath

    let start =
        ProcessStartInfo(host, RedirectStandardOutput = true, RedirectStandardError = true)

    if Path.GetFileNameWithoutExtension host = "dotnet" then
        start.ArgumentList.Add(Assembly.GetEntryAssembly().Location)

    for argument in arguments @ [ name; string times ] do
        start.ArgumentList.Add argument

    use running = Process.Start start
    let output = running.StandardOutput.ReadToEndAsync()
    let errors = running.StandardError.ReadToEndAsync()

    if not (running.WaitForExit(TimeSpan.FromMinutes(3.0 * float times))) then
        running.Kill true

    running.WaitForExit()

    let where =
        if running.ExitCode > 1 then
            "    during " + Array.last (errors.Result.TrimEnd().Split '\n')
        else
            ""

    running.ExitCode, (output.Result + where).TrimEnd()
