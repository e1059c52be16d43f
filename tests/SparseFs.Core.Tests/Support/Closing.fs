/// Running the tests of a program, with a last line that says how they ended.
module SparseFs.Tests.Closing

open System
open System.IO
open Expecto
open Expecto.Impl

/// Where the counts go too, a line a program: for whoever runs several.
let private countsFile = "SPARSEFS_TEST_COUNTS"

let private counts (summary: TestRunSummary) =
    struct (summary.passed.Length, summary.failed.Length + summary.errored.Length, summary.ignored.Length)

let private text (struct (passed, failed, skipped)) =
    if skipped = 0 then
        $"{passed} passed, {failed} failed"
    else
        $"{passed} passed, {failed} failed, {skipped} skipped"

/// Expecto pads and colours what goes through Console.Out, and this line stands alone.
let private print (line: string) =
    use output = new StreamWriter(Console.OpenStandardOutput())
    output.WriteLine $"{Environment.NewLine}{line}"

/// Runs the tests of the program that calls it.
let run (tests: Test) (args: string[]) : int =
    let mutable found = struct (0, 0, 0)

    let plain =
        if Console.IsOutputRedirected then
            [ No_Spinner; Colours 0 ]
        else
            []

    let keep = SummaryHandler.SummaryHandler(fun summary -> found <- counts summary)
    let code = runTestsWithCLIArgs (Append_Summary_Handler keep :: plain) args tests
    print (text found)

    match Environment.GetEnvironmentVariable countsFile with
    | null
    | "" -> ()
    | file ->
        let struct (passed, failed, skipped) = found
        File.AppendAllLines(file, [ $"{passed} {failed} {skipped}" ])

    code
