namespace DigitServer.Driver

open System
open System.Net.Http
open System.Text.Json
open System.Threading.Tasks

/// <summary>What the service says to requests, right and wrong ones.</summary>
[<RequireQualifiedAccess>]
module HttpChecks =

    let private digits = [ for digit in 0..9 -> Strokes.picture digit ]

    let private floats (picture: byte[]) : float32[] =
        picture |> Array.map (fun ink -> float32 ink / 255f)

    let private raw (pixels: float32[]) : byte[] =
        pixels |> Array.collect (fun p -> BitConverter.GetBytes p)

    /// The ways to send a picture are answered alike, by probabilities.
    let private answers (checks: Checks) (client: HttpClient) =
        task {
            for digit, picture in List.indexed digits do
                let! ofBytes = Client.predict client (Client.bytes picture)
                let! ofFloats = Client.predict client (Client.bytes (raw (floats picture)))
                let! ofJson = Client.predict client (Client.json (floats picture))

                if digit = 3 then
                    checks.That
                        "bytes, float32 and JSON of one picture are answered to the bit alike"
                        (ofBytes = ofFloats && ofBytes = ofJson)
                        $"{ofBytes}, {ofFloats}, {ofJson}"

                    checks.That
                        "ten probabilities, whose sum is 1, and the label is of the largest"
                        (ofBytes.Probabilities.Length = 10
                         && abs (Array.sum ofBytes.Probabilities - 1f) < 1e-4f
                         && ofBytes.Label =
                             string (Array.IndexOf(ofBytes.Probabilities, Array.max ofBytes.Probabilities)))
                        $"{ofBytes}"
        }

    /// What a problem (RFC 9457) says; nothing of a text that is none.
    let private detailOf (text: string) : string =
        try
            use problem = JsonDocument.Parse text

            match problem.RootElement.TryGetProperty "detail" with
            | true, detail -> string (detail.GetString())
            | _ -> ""
        with :? JsonException ->
            ""

    /// Each is refused with its status, and with a word on what was expected.
    let private refusals (checks: Checks) (client: HttpClient) : Task<int> =
        task {
            let blank: float32[] = Array.zeroCreate 784

            let with1 (value: float32) =
                Client.bytes (raw (Array.updateAt 5 value blank))

            let wrong =
                [ "783 bytes", 400, Client.bytes (Array.zeroCreate 783)
                  "no bytes", 400, Client.bytes [||]
                  "783 numbers", 400, Client.json (Array.zeroCreate 783)
                  "a number that is none", 400, with1 Single.NaN
                  "an infinite number", 400, with1 Single.PositiveInfinity
                  "a number above 1", 400, with1 2f
                  "a number below 0", 400, with1 -0.1f
                  "1e39 in JSON",
                  400,
                  Client.text "application/json" $"""{{"pixels":[1e39{String.replicate 783 ",0"}]}}"""
                  "NaN in JSON",
                  400,
                  Client.text "application/json" $"""{{"pixels":[NaN{String.replicate 783 ",0"}]}}"""
                  "no JSON", 400, Client.text "application/json" "pixels"
                  "null", 400, Client.text "application/json" "null"
                  "pixels that are null", 400, Client.text "application/json" """{"pixels":null}"""
                  "JSON without pixels", 400, Client.text "application/json" "{}"
                  "JSON with more than pixels", 400, Client.text "application/json" """{"pixels":[],"size":28}"""
                  "text", 415, Client.text "text/plain" "3" ]

            for name, status, content in wrong do
                let! answer, text = Client.post client "predict" content
                let detail = detailOf text

                checks.That
                    $"{name}: {status}, in words"
                    (int answer.StatusCode = status
                     && string answer.Content.Headers.ContentType = "application/problem+json"
                     && detail.StartsWith "expected ")
                    $"{int answer.StatusCode}: {text}"

            return wrong |> List.filter (fun (_, status, _) -> status = 400) |> List.length
        }

    /// Too much is refused, whether its length is said before or not.
    let private bounds (checks: Checks) (address: Uri) =
        task {
            for name, send in
                [ "a body of 70,000 bytes",
                  fun (slow: Slow) ->
                      slow.Send
                          "POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/octet-stream\r\nContent-Length: 70000\r\n\r\n"
                  "a body in chunks, without a length",
                  fun slow ->
                      slow.Send
                          "POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n11170\r\n"

                      slow.Send(Array.zeroCreate<byte> 70_000)
                      slow.Send "\r\n0\r\n\r\n" ] do
                use slow = new Slow(address)
                send slow
                let! said = slow.ToTheEnd(TimeSpan.FromSeconds 10.0)
                let said = defaultArg said "nothing"
                checks.That $"{name}: 413" (said.StartsWith "HTTP/1.1 413" && said.Contains "at most 65536 bytes") said
        }

    /// A client that does not go on is let go.
    let private patience (checks: Checks) (client: HttpClient) (address: Uri) =
        task {
            let started =
                "POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/octet-stream\r\nContent-Length: 784\r\n\r\nabc"

            let leaving = new Slow(address)
            leaving.Send started
            (leaving :> IDisposable).Dispose()
            use ofBody = new Slow(address)
            use ofHeaders = new Slow(address)

            ofBody.Send started
            ofHeaders.Send "GET / HTTP/1.1\r\nHo"
            let! body = ofBody.ToTheEnd(TimeSpan.FromSeconds 20.0)
            let! headers = ofHeaders.ToTheEnd(TimeSpan.FromSeconds 20.0)
            let said = defaultArg body "nothing"
            checks.That "a body that stops coming: 408" (said.StartsWith "HTTP/1.1 408") said
            checks.That "headers that stop coming: the connection is closed" headers.IsSome "it stayed open"

            let! faults =
                Client.metric client """digits_requests_total{route="/predict",code="500"}"""

            checks.That "a client that leaves is no fault of the service" (faults = 0.0) $"{faults} faults"
        }

    let private pages (checks: Checks) (client: HttpClient) =
        task {
            let! page = client.GetAsync ""
            let! text = page.Content.ReadAsStringAsync()

            checks.That
                "the page is one file that asks nobody else"
                (string page.Content.Headers.ContentType = "text/html; charset=utf-8"
                 && page.Headers.Contains "Content-Security-Policy"
                 && not (text.Contains "//" && text.Contains "http"))
                $"{page}"

            let! health = client.GetStringAsync "healthz"
            checks.That "GET /healthz: ok" (health.StartsWith """{"status":"ok",""") health
            let! card = client.GetStringAsync "model"
            use json = JsonDocument.Parse card

            let size (name: string) =
                json.RootElement.GetProperty(name).GetInt64()

            checks.That
                "GET /model: the sparse weights are smaller than the dense ones"
                (size "sparseBytes" > 0L && size "sparseBytes" < size "denseBytes")
                card

            let! get = client.GetAsync "predict"
            let! nothing = client.GetAsync "nothing"

            checks.That
                "another method: 405; another path: 404"
                (int get.StatusCode = 405 && int nothing.StatusCode = 404)
                $"{get}, {nothing}"
        }

    let private measures (checks: Checks) (client: HttpClient) (bad: int) =
        task {
            let! refused = Client.metric client """digits_refusals_total{reason="bad_pixels"}"""
            let! large = Client.metric client """digits_refusals_total{reason="too_large"}"""

            let! answered =
                Client.metric client """digits_requests_total{route="/predict",code="200"}"""

            let! ran = Client.metric client "digits_model_seconds_count"
            let! below = Client.metric client """digits_model_seconds_bucket{le="+Inf"}"""
            let! waiting = Client.metric client "digits_queue_length"
            let! resident = Client.metric client "process_resident_memory_bytes"

            checks.That
                "GET /metrics counts what was asked"
                (refused = float bad
                 && large = 2.0
                 && answered = 30.0
                 && ran = 30.0
                 && below = 30.0)
                $"{refused} bad of {bad}, {large} too large of 2, {answered} answered, {ran} and {below} run of 30"

            checks.That
                "GET /metrics has the queue and the memory"
                (waiting = 0.0 && resident > 1e6 && resident < 1e9)
                $"{waiting} wait, {resident} bytes"
        }

    /// With one worker and room for one, many at once are answered or told when to come again.
    let private crowd (checks: Checks) (program: string) (model: string) =
        task {
            use served = new Served(program, model, [ "--workers"; "1"; "--queue"; "1" ])
            use client = Client.create served.Address 64
            let mutable answered, told, other, rounds = 0, 0, 0, 0

            while told = 0 && rounds < 50 do
                rounds <- rounds + 1

                let! all =
                    [ for i in 0..255 -> Client.post client "predict" (Client.bytes digits[i % 10]) ]
                    |> Task.WhenAll

                for answer, text in all do
                    match int answer.StatusCode with
                    | 200 -> answered <- answered + 1
                    | 503 when string answer.Headers.RetryAfter = "1" && text.Contains "try again" -> told <- told + 1
                    | _ -> other <- other + 1

            checks.That
                "a full queue: 503 with Retry-After, and everything else is answered"
                (told > 0 && answered > 0 && other = 0)
                $"{answered} answered, {told} told to come again, {other} others"

            let! counted = Client.metric client """digits_refusals_total{reason="queue_full"}"""
            let! waiting = Client.metric client "digits_queue_length"

            checks.That
                "they are counted, and the queue is empty again"
                (int counted = told && waiting = 0.0)
                $"{counted} of {told}, {waiting} wait"
        }

    /// Told to end, it finishes what it began.
    let private ending (checks: Checks) (program: string) (model: string) =
        task {
            use served = new Served(program, model, [])
            use slow = new Slow(served.Address)
            let picture = digits[7]

            slow.Send
                "POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/octet-stream\r\nContent-Length: 784\r\n\r\n"

            slow.Send(Array.truncate 400 picture)
            do! Task.Delay 500
            served.Terminate()
            do! Task.Delay 500
            slow.Send(Array.skip 400 picture)
            let! said = slow.ToTheEnd(TimeSpan.FromSeconds 10.0)
            let said = defaultArg said "nothing"
            checks.That "told to end, it answers what it was asked before" (said.StartsWith "HTTP/1.1 200") said
            let! code = served.Ended(TimeSpan.FromSeconds 15.0)
            checks.That "and ends with exit code 0" (code = Some 0) $"{code}"
        }

    /// <summary>All of them, each on a service of its own where it needs one.</summary>
    let run (checks: Checks) (program: string) (model: string) : Task =
        task {
            use served = new Served(program, model, [])
            use client = Client.create served.Address 4
            do! pages checks client
            do! answers checks client
            let! bad = refusals checks client
            do! bounds checks served.Address
            do! measures checks client bad
            do! patience checks client served.Address
            do! crowd checks program model

            if not (OperatingSystem.IsWindows()) then
                do! ending checks program model
        }
