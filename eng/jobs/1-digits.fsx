/// A run of RigL in C#, saved, and resumed by a new process: to the bit the run that went through.
module Digits

#load "job.fsx"

open System.IO

let run () : string =
    let where = Job.folderOf "1 Digits" "1-digits" [ "Digits.cs" ]
    Job.copyDigits where

    Outside.write
        (Path.Combine(where, "Digits.csproj"))
        (Outside.project "Microsoft.NET.Sdk" [ "SparseFs.CSharp" ] true "" "*.cs")

    let built = Outside.build where "built"
    Job.expect "a build without warnings" (not (built.Contains "warning")) built

    let part (name: string) =
        let text, seconds =
            Job.timed (fun () -> Outside.run where "dotnet" [ "built/Digits.dll"; name ])

        printfn $"  {name}, %.0f{seconds} s:\n{Job.indented text}"
        text

    let through = part "through"
    part "first" |> ignore
    let rest = part "rest"

    let fingerprint = Job.found "a fingerprint" @"^state_dict ([0-9A-F]{64})"
    Job.expect "the state_dict of the run that went through" (fingerprint through = fingerprint rest) rest

    let file (name: string) =
        File.ReadAllBytes(Path.Combine(where, name))

    Job.expect "the same bytes in both files" (file "through.safetensors" = file "rest.safetensors") "others"

    let accuracy = float (Job.found "an accuracy" @"^accuracy ([\d.]+)" rest)
    let least = if Job.isWhole then 96.5 else 85.0
    Job.expect $"at least {least} %% of the test digits" (accuracy >= least) $"{accuracy} %%"

    $"a resumed run ends with the bytes of the one that went through, and reads {accuracy} %% of the test digits"
