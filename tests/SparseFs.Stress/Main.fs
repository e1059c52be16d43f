/// Calls on many threads, each scenario in a process of its own: SparseFs.Stress [all | NAME | CALL+CALL] [TIMES]
///
/// Before a layer's calls used one version each, 30 or 31 of the 33 scenarios failed at these counts, about half of them by
/// a crash; the others are changes beside changes.
module SparseFs.Stress.Main

open System
open System.Diagnostics

let private all (times: int) : int =
    let mutable failed = 0

    for name, _ in Scenarios.all do
        let watch = Stopwatch.StartNew()
        let outcome = Running.there [] name times

        let verdict =
            if outcome.Code = 0 then
                "passed"
            else
                $"FAILED ({outcome.Code})"

        printfn $"{verdict, -12} {name}: {outcome.Counts} ({watch.Elapsed.TotalSeconds:f1} s)"

        if outcome.Code <> 0 then
            printfn $"{outcome.Failures}"
            failed <- failed + 1

    printfn $"\n{Scenarios.all.Length - failed} passed, {failed} failed"
    if failed = 0 then 0 else 1

[<EntryPoint>]
let main args =
    let times (text: string) =
        match Int32.TryParse text with
        | true, times when times >= 1 -> times
        | _ ->
            eprintfn $"expected how many times the usual counts, 1 or more, got '{text}'"
            exit 2

    match args with
    | [||]
    | [| "all" |] -> all 1
    | [| "all"; factor |] -> all (times factor)
    | [| name |] -> Running.here name 1
    | [| name; factor |] -> Running.here name (times factor)
    | _ ->
        eprintfn "expected: SparseFs.Stress [all | NAME | CALL+CALL] [TIMES]"
        2
