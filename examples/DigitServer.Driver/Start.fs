namespace DigitServer.Driver

open System
open System.IO
open System.Threading.Tasks

/// <summary>How soon a service answers.</summary>
[<RequireQualifiedAccess>]
module Start =

    let private times = 7

    /// <summary>Prints the median time from the start of the process to its first answer, and the program's size.</summary>
    let run (program: string) (model: string) : Task =
        task {
            let found = ResizeArray<float>()

            for _ in 1..times do
                use served = new Served(program, model, [])
                use client = Client.create served.Address 1
                let! _ = Client.predict client (Client.bytes (Strokes.picture 3))
                found.Add served.Elapsed.TotalMilliseconds

            let median = (Seq.sort found |> Seq.toArray)[times / 2]
            let bytes = FileInfo(program).Length

            printfn
                $"  start to first answer: %.0f{median} ms, the median of {times}; {Path.GetFileName program}: {bytes} bytes"
        }
