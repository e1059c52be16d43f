namespace DigitServer.Driver

open System
open System.Diagnostics
open System.IO
open System.Net.Http
open System.Threading
open System.Threading.Tasks

/// <summary>Many connections at once, for minutes, while the network is replaced again and again.</summary>
[<RequireQualifiedAccess>]
module Load =

    let private swaps = 20

    /// Resident memory at the end over that after the first minute.
    let private mostGrowth = 1.05

    /// What one connection saw.
    type private Seen =
        { Milliseconds: ResizeArray<float32>
          mutable OfFirst: int64
          mutable OfSecond: int64
          mutable Refused: int64
          mutable Wrong: string list }

    let private pictures = [| for digit in 0..9 -> Strokes.picture digit |]

    /// An answer without its time. Numbers are written so that each float32 has one text: equal texts are equal bits.
    let private withoutTime (answer: string) : string =
        let time = answer.IndexOf "\"milliseconds\""
        answer.Remove(time, answer.IndexOf(',', time) - time)

    let private replace (client: HttpClient) (folder: ModelFolder) (network: byte[]) : Task =
        task {
            folder.Replace network
            let! answer, text = Client.post client "admin/reload" (Client.bytes [||])

            if not answer.IsSuccessStatusCode then
                failwith $"expected a reload, got {int answer.StatusCode}: {text}"
        }

    /// What a network answers to each picture.
    let private answersOf (client: HttpClient) : Task<string[]> =
        task {
            let answers = ResizeArray<string>()

            for picture in pictures do
                let! _, text = Client.post client "predict" (Client.bytes picture)
                answers.Add(withoutTime text)

            return answers.ToArray()
        }

    let private connection
        (client: HttpClient)
        (first: string[])
        (second: string[])
        (start: int)
        (ended: CancellationToken)
        =
        task {
            let seen =
                { Milliseconds = ResizeArray<float32>()
                  OfFirst = 0L
                  OfSecond = 0L
                  Refused = 0L
                  Wrong = [] }

            let mutable i = start

            while not ended.IsCancellationRequested do
                i <- i + 1
                let digit = i % pictures.Length
                let sent = Stopwatch.GetTimestamp()
                let! answer, text = Client.post client "predict" (Client.bytes pictures[digit])
                let took = Stopwatch.GetElapsedTime(sent).TotalMilliseconds
                use _ = answer

                match int answer.StatusCode with
                | 200 ->
                    seen.Milliseconds.Add(float32 took)
                    let said = withoutTime text

                    if said = first[digit] then
                        seen.OfFirst <- seen.OfFirst + 1L
                    elif said = second[digit] then
                        seen.OfSecond <- seen.OfSecond + 1L
                    else
                        seen.Wrong <- text :: seen.Wrong
                | 503 -> seen.Refused <- seen.Refused + 1L
                | code -> seen.Wrong <- $"{code}: {text}" :: seen.Wrong

            return seen
        }

    /// The median of some seconds: what one collection leaves or takes is not growth.
    let private resident (client: HttpClient) : Task<float> =
        task {
            let found = ResizeArray<float>()

            for _ in 1..20 do
                let! bytes = Client.metric client "process_resident_memory_bytes"
                found.Add bytes
                do! Task.Delay 250

            return (Seq.sort found |> Seq.toArray)[found.Count / 2]
        }

    /// <summary>Runs the load and says what came.</summary>
    /// <param name="connections">Connections, each of which asks again as soon as it is answered.</param>
    /// <param name="time">How long; memory is first looked at after a minute, or after half of less than two.</param>
    let run (checks: Checks) (program: string) (model: string) (connections: int) (time: TimeSpan) : Task =
        task {
            use folder = new ModelFolder(model)
            let networks = [| File.ReadAllBytes model; Twin.ofModel (File.ReadAllBytes model) |]
            use served = new Served(program, folder.File, [ "--watch"; "0" ])
            use client = Client.create served.Address connections
            use steward = Client.create served.Address 1
            let! first = answersOf steward
            do! replace steward folder networks[1]
            let! second = answersOf steward
            let differ = Array.forall2 (<>) first second
            checks.That "the two networks answer differently to every picture" differ $"{first[0]}, {second[0]}"
            use ended = new CancellationTokenSource()
            let watch = Stopwatch.StartNew()

            let all =
                [| for i in 1..connections -> Task.Run<Seen>(fun () -> connection client first second i ended.Token) |]

            let swapping =
                task {
                    for swap in 1..swaps do
                        let wait = time * (float swap / float (swaps + 1)) - watch.Elapsed

                        if wait > TimeSpan.Zero then
                            do! Task.Delay wait

                        do! replace steward folder networks[(swap + 1) % 2]
                }

            do! Task.Delay(min (TimeSpan.FromMinutes 1.0) (time / 2.0))
            use gauge = Client.create served.Address 1
            let! early = resident gauge
            do! swapping
            // The last look ends with the load.
            let rest = time - watch.Elapsed - TimeSpan.FromSeconds 5.0

            if rest > TimeSpan.Zero then
                do! Task.Delay rest

            let! late = resident gauge
            ended.Cancel()
            let! seen = Task.WhenAll all
            let seconds = watch.Elapsed.TotalSeconds
            let times = seen |> Array.collect (fun s -> s.Milliseconds.ToArray())
            Array.sortInPlace times

            let quantile (part: float) =
                times[int (part * float (times.Length - 1))]

            let sum (of': Seen -> int64) = Array.sumBy of' seen
            let wrong = seen |> Array.collect (fun s -> Array.ofList s.Wrong)

            printfn
                $"  {connections} connections, {int seconds} s: {times.Length} answers, %.0f{float times.Length / seconds} a second"

            printfn
                $"  p50 %.2f{quantile 0.5} ms, p99 %.2f{quantile 0.99} ms, slowest %.1f{quantile 1.0} ms; 503: {sum _.Refused}"

            printfn $"  {swaps} swaps: {sum _.OfFirst} answers of one network, {sum _.OfSecond} of the other"
            let mb (bytes: float) = $"%.1f{bytes / 1e6} MB"

            printfn
                $"  resident memory: {mb early} after the first minute, {mb late} at the end, ratio %.3f{late / early}"

            checks.That
                "each answer is one network's or the other's, to the bit"
                (wrong.Length = 0 && sum _.OfFirst > 0L && sum _.OfSecond > 0L)
                $"{wrong.Length} others, such as {Array.tryHead wrong}"

            checks.That $"memory grows by at most {mostGrowth}" (late / early <= mostGrowth) $"{late / early}"
        }
