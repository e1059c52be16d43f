/// A script of F# Interactive: it loads digits, trains, logs what was rewired and draws the topology that came of it.
module Script

#load "job.fsx"

open System.IO

let run () : string =
    let where = Job.folderOf "2 Script" "2-script" []
    Job.copyDigits where
    let text = Job.runScript where "train.fsx"
    printfn $"{Job.indented text}"

    let accuracy = float (Job.found "an accuracy" @"^epoch 4: ([\d.]+) %" text)
    Job.expect "85 % of the test digits or more" (accuracy >= 85.0) text
    Job.expect "a picture of the topology" (text |> Seq.exists (fun c -> c > '\u2800' && c <= '\u28ff')) text

    let svg = File.ReadAllText(Path.Combine(where, "hidden.svg"))
    Job.expect "an SVG of the topology" (svg.StartsWith "<svg ") svg

    let updates = File.ReadAllLines(Path.Combine(where, "rewiring.csv")).Length - 1
    Job.expect "a line of the log for each layer of ten updates" (updates = 20) $"{updates} lines"
    $"{accuracy} %% of the test digits read, {updates} updates logged, the topology drawn"
