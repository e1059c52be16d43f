/// A script in F# Interactive that trains, draws what came of the pattern, and logs each update.
module Script

#load "job.fsx"

open System.IO
open System.Linq
open System.Text.RegularExpressions
open System.Xml.Linq

let run () : string =
    let where = Job.folderOf "2 Script" "2-script" [ "digits.fsx" ]
    Job.copyDigits where

    let text, seconds = Job.timed (fun () -> Job.runScript where "train.fsx")
    printfn $"  train.fsx, %.0f{seconds} s:\n{Job.indented text}"

    let accuracy = float (Job.found "an accuracy" @"^epoch 2: ([\d.]+) %" text)
    let least = if Job.isWhole then 94.0 else 80.0
    Job.expect $"at least {least} %% of the test digits" (accuracy >= least) $"{accuracy} %%"

    let margin = int (Job.found "connections" @"first row of pixels: (\d+)" text)
    let middle = int (Job.found "connections" @"the middle one: (\d+)" text)
    Job.expect "connections where the ink is" (middle > 3 * margin) text

    let braille = Regex.Matches(text, @"[\u2801-\u28FF]").Count
    Job.expect "pictures in Braille" (braille > 100) text

    let svg = XDocument.Load(Path.Combine(where, "hidden.svg"))
    let squares = svg.Descendants().Count(fun e -> e.Name.LocalName = "rect" || e.Name.LocalName = "path")
    Job.expect "an SVG with squares" (squares > 0) $"{svg}"

    let log = File.ReadAllLines(Path.Combine(where, "rewiring.csv"))
    let updates = log.Count(fun line -> line.Contains ",done,")
    Job.expect "a line of the log for each update" (updates > 20 && updates = log.Length - 1) (String.concat "\n" log)

    printfn $"  rewiring.csv:\n{Job.indented (String.concat "\n" (log[..2]))}"

    $"a script reads {accuracy} %% of the test digits, draws its pattern in Braille and SVG, and logs {updates} updates"
