module SparseFs.Tests.Main

open System
open System.IO
open Expecto
open Expecto.Impl

let private counts (summary: TestRunSummary) =
    let skipped =
        match summary.ignored.Length with
        | 0 -> ""
        | n -> $", {n} skipped"

    $"{summary.passed.Length} passed, {summary.failed.Length + summary.errored.Length} failed{skipped}"

/// Expecto pads and colours what goes through Console.Out, and this line stands alone.
let private printClosing (line: string) =
    use output = new StreamWriter(Console.OpenStandardOutput())
    output.WriteLine $"{Environment.NewLine}{line}"

let private runTests (args: string[]) =
    let mutable closing = "0 passed, 0 failed"

    let plain =
        if Console.IsOutputRedirected then
            [ No_Spinner; Colours 0 ]
        else
            []

    let keep = SummaryHandler.SummaryHandler(fun summary -> closing <- counts summary)
    let code = runTestsInAssemblyWithCLIArgs (Append_Summary_Handler keep :: plain) args
    printClosing closing
    code

/// Tests that need a process of their own start this program anew, with a name of what it is to do.
[<EntryPoint>]
let main args =
    match args with
    | [| "--child-run"; file |] -> ResumeTests.childRun file
    | [| "--child-saves"; what; file |] -> CheckpointKillTests.child what file
    | [| "--write-fixtures"; folder |] ->
        Fixtures.writeAll folder
        0
    | [| "--stress"; scenario; times |] -> SparseFs.Stress.Running.here scenario (int times)
    | [| "--child-files"; folder |] -> WholeFileTests.child folder
    | [| "--child-file"; file |] -> WholeFileTests.childFile file
    | _ -> runTests args
