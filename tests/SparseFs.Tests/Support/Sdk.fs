/// Commands of the .NET SDK: tests that were published for another system run where there is none.
module SparseFs.Tests.Sdk

open System
open System.Diagnostics
open Expecto

/// What a command ended with, what it wrote, and what it wrote of errors; skips the test where there is no SDK.
let run (arguments: string list) : int * string * string =
    let start =
        ProcessStartInfo(
            "dotnet",
            arguments,
            WorkingDirectory = __SOURCE_DIRECTORY__, // below the global.json that says which SDK
            RedirectStandardOutput = true,
            RedirectStandardError = true
        )

    start.Environment["DOTNET_NOLOGO"] <- "1"
    start.Environment["DOTNET_CLI_TELEMETRY_OPTOUT"] <- "1"
    use running = new Process(StartInfo = start)

    try
        running.Start() |> ignore
    with :? ComponentModel.Win32Exception as e ->
        skiptest $"the .NET SDK is needed: {e.Message}"

    let errors = running.StandardError.ReadToEndAsync()
    let output = running.StandardOutput.ReadToEnd()
    running.WaitForExit()
    running.ExitCode, output, errors.Result
