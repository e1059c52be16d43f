/// Five jobs of users, each from the packed packages in an empty folder: dotnet fsi eng/jobs.fsx [--job 1..5], as
/// dotnet fsi build.fsx jobs runs it. One package cache, fresh at the start, serves all of a run.

#load "jobs/job.fsx"
#load "jobs/1-digits.fsx"
#load "jobs/2-script.fsx"
#load "jobs/3-research.fsx"
#load "jobs/4-service.fsx"
#load "jobs/5-messages.fsx"

open System
open System.Diagnostics

let jobs: (string * (unit -> string)) list =
    [ ("digits in C#, saved and resumed", Digits.run)
      ("a script that trains, draws and logs", Script.run)
      ("rules and a topology of one's own", Research.run)
      ("a service on a machine without .NET", Service.run)
      ("twenty programs mended by their messages", Messages.run) ]

let wanted =
    match List.tail (List.ofArray fsi.CommandLineArgs) with
    | [] -> [ 1 .. jobs.Length ]
    | [ "--job"; number ] when List.contains number [ for i in 1 .. jobs.Length -> string i ] -> [ int number ]
    | _ ->
        eprintfn $"dotnet fsi build.fsx jobs [--job 1..{jobs.Length}]"

        for i, (what, _) in List.indexed jobs do
            eprintfn $"  {i + 1}  {what}"

        exit 2

let all = Stopwatch.StartNew()

for number in wanted do
    let what, run = jobs[number - 1]
    printfn $"job {number}: {what}"
    let proven, seconds = Job.timed run
    printfn $"job {number} done in %.0f{seconds} s: {proven}\n"

Outside.clean ()

let numbers = String.Join(", ", wanted)
printfn $"jobs {numbers} of {jobs.Length} done from the packages in %.0f{all.Elapsed.TotalSeconds} s"
