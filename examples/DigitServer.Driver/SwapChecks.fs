namespace DigitServer.Driver

open System
open System.IO
open System.Threading.Tasks

/// <summary>Another network in the place of the one that answers.</summary>
[<RequireQualifiedAccess>]
module SwapChecks =

    /// <summary>All of them.</summary>
    let run (checks: Checks) (program: string) (model: string) : Task =
        task {
            use folder = new ModelFolder(model)
            let first = File.ReadAllBytes model
            let second = Twin.ofModel first
            use served = new Served(program, folder.File, [ "--watch"; "1" ])
            use client = Client.create served.Address 4

            let ask () =
                Client.predict client (Client.bytes (Strokes.picture 5))

            let reload () =
                Client.post client "admin/reload" (Client.bytes [||])

            let! before = ask ()
            folder.Replace second
            let! answer, _ = reload ()
            let! after = ask ()

            checks.That
                "a reload: another network answers, in its name"
                (int answer.StatusCode = 200
                 && after.Hash <> before.Hash
                 && after.Probabilities <> before.Probabilities)
                $"{int answer.StatusCode}, {before}, {after}"

            folder.Replace(Array.truncate (first.Length / 2) first)
            let! answer, text = reload ()
            let! still = ask ()

            checks.That
                "half a file: 422, and the network before goes on"
                (int answer.StatusCode = 422 && still = after)
                $"{int answer.StatusCode} {text}, {still}"

            use foreign =
                new Net.Http.HttpRequestMessage(Net.Http.HttpMethod.Post, "admin/reload")

            foreign.Headers.Add("Sec-Fetch-Site", "cross-site")
            let! answer = client.SendAsync foreign
            checks.That "a reload that another site's page asks for: 403" (int answer.StatusCode = 403) $"{answer}"

            folder.Replace first
            let watch = Diagnostics.Stopwatch.StartNew()
            let mutable now = still

            while now.Hash <> before.Hash && watch.Elapsed < TimeSpan.FromSeconds 10.0 do
                do! Task.Delay 200
                let! answer = ask ()
                now <- answer

            checks.That "a file that is renamed into place is seen, and answers as before" (now = before) $"{now}"
            let! loaded = Client.metric client """digits_reloads_total{result="loaded"}"""
            let! refused = Client.metric client """digits_reloads_total{result="refused"}"""

            checks.That
                "GET /metrics counts reloads"
                (loaded >= 2.0 && refused >= 1.0)
                $"{loaded} loaded, {refused} refused"
        }
