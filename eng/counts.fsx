// The counts of several programs of tests, which each writes into a file, in one last line.

open System
open System.IO

/// <summary>Runs programs one after the other and prints what they came to.</summary>
/// <param name="programs">Each returns its exit code.</param>
/// <returns>The first exit code that is not 0, or 0.</returns>
let inOneLine (programs: (unit -> int) list) : int =
    let counts = Path.GetTempFileName()

    try
        Environment.SetEnvironmentVariable("SPARSEFS_TEST_COUNTS", counts)
        let codes = programs |> List.map (fun run -> run ())
        let lines = File.ReadAllLines counts

        let sums =
            lines
            |> Array.map (fun line -> line.Split ' ' |> Array.map int)
            |> Array.fold (Array.map2 (+)) [| 0; 0; 0 |]

        if lines.Length < programs.Length then
            eprintfn $"\n{programs.Length - lines.Length} of {programs.Length} programs ended before they had counted"

        printfn "\nall programs:"

        if sums[2] > 0 then
            printfn $"{sums[2]} skipped"

        printfn $"{sums[0]} passed, {sums[1]} failed"
        codes |> List.tryFind ((<>) 0) |> Option.defaultValue 0
    finally
        File.Delete counts
