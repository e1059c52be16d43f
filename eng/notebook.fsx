/// A notebook without its page: .NET Interactive takes cells as a notebook's page sends them, and tells what it shows.
module Notebook

#load "outside.fsx"

open System
open System.Diagnostics
open System.Text.Json
open System.Text.Json.Nodes

/// The last version of the tool that has been tried.
let private version = "1.0.712001"

let private install () : string =
    let where = Outside.subfolder "Notebook"

    Outside.run
        where
        "dotnet"
        [ "tool"
          "install"
          "Microsoft.dotnet-interactive"
          "--version"
          version
          "--tool-path"
          "tools" ]
    |> ignore

    where

let private submit (code: string) (language: string) (token: string) : string =
    let command = JsonObject()
    command["code"] <- JsonValue.Create code
    command["targetKernelName"] <- JsonValue.Create language
    let envelope = JsonObject()
    envelope["commandType"] <- JsonValue.Create "SubmitCode"
    envelope["command"] <- command
    envelope["token"] <- JsonValue.Create token
    envelope.ToJsonString()

/// What an event shows: its texts by their kinds, and errors.
let private shown (event: JsonElement) : string list =
    let text (e: JsonElement) (name: string) =
        match e.TryGetProperty name with
        | true, value when value.ValueKind = JsonValueKind.String -> [ string (value.GetString()) ]
        | _ -> []

    let values =
        match event.TryGetProperty "formattedValues" with
        | true, values ->
            [ for value in values.EnumerateArray() do
                  yield! text value "value" ]
        | _ -> []

    values @ text event "message"

/// <summary>Runs cells one after the other in a new kernel.</summary>
/// <returns>What each cell showed, its outputs joined.</returns>
let run (language: string) (cells: string list) : string list =
    let where = install ()

    let start =
        ProcessStartInfo(
            System.IO.Path.Combine(where, "tools", "dotnet-interactive"),
            [ "stdio"; "--default-kernel"; language ],
            WorkingDirectory = where,
            RedirectStandardInput = true,
            RedirectStandardOutput = true
        )

    start.Environment["NUGET_PACKAGES"] <- Outside.cache
    start.Environment["DOTNET_INTERACTIVE_CLI_TELEMETRY_OPTOUT"] <- "1"
    use kernel = Process.Start start

    try
        [ for i, code in List.indexed cells do
              let token = $"cell {i}"
              kernel.StandardInput.WriteLine(submit code language token)
              kernel.StandardInput.Flush()
              let mutable isRunning = true

              String.Join(
                  "\n",
                  [ while isRunning do
                        match kernel.StandardOutput.ReadLine() with
                        | null -> Outside.fail $"the notebook ended while it ran\n{code}"
                        | line when line.StartsWith '{' ->
                            use said = JsonDocument.Parse line
                            let root = said.RootElement
                            yield! shown (root.GetProperty "event")

                            match root.GetProperty("eventType").GetString() with
                            | "CommandSucceeded"
                            | "CommandFailed" ->
                                let command = root.GetProperty "command"

                                if command.GetProperty("token").GetString() = token then
                                    isRunning <- false
                            | _ -> ()
                        | _ -> () ]
              ) ]
    finally
        kernel.Kill(entireProcessTree = true)
