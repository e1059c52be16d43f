/// A researcher's own topology, drop rule and grow rule: examples/own-rules.fsx as it stands, on the packages alone.
module Research

#load "job.fsx"

open System.IO
open System.Text.RegularExpressions

let run () : string =
    let where = Outside.subfolder "3 Research"
    let examples = Path.Combine(Outside.root, "examples")

    let digits =
        Directory.CreateDirectory(Path.Combine(where, "Digits", "data")).FullName

    File.Copy(Path.Combine(examples, "Digits", "Idx.fs"), Path.Combine(where, "Digits", "Idx.fs"))

    for file in Directory.GetFiles(Path.Combine(examples, "Digits", "data"), "*.gz") do
        Job.copyInto digits file

    let source =
        Regex.Replace(File.ReadAllText(Path.Combine(examples, "own-rules.fsx")), "^#r .*$", "", RegexOptions.Multiline)

    let text = Outside.script where "own-rules.fsx" source
    printfn $"{Job.indented text}"

    let means =
        [ for row in Regex.Matches(text, @"^.{22}(?: +[\d.]+){3} +([\d.]+)   \d+", RegexOptions.Multiline) ->
              float row.Groups[1].Value ]

    Job.expect "a row for each of five networks" (means.Length = 5) text
    Job.expect "85 % of the test digits or more in each" (List.min means >= 85.0) text
    let least, most = List.min means, List.max means
    $"five networks over three seeds, {least} to {most} %% in the mean"
