namespace DigitServer.Driver

open System
open System.Net.Http
open System.Net.Http.Headers
open System.Text
open System.Text.Json
open System.Threading.Tasks

/// <summary>An answer of POST /predict.</summary>
type Answer =
    { Label: string
      Probabilities: float32[]
      Hash: string }

/// <summary>Requests to a service.</summary>
[<RequireQualifiedAccess>]
module Client =

    /// A client with as many connections as are asked for.
    let create (address: Uri) (connections: int) : HttpClient =
        new HttpClient(
            new SocketsHttpHandler(MaxConnectionsPerServer = connections, UseProxy = false),
            BaseAddress = address,
            Timeout = TimeSpan.FromSeconds 30.0
        )

    let bytes (body: byte[]) : HttpContent =
        let content = new ByteArrayContent(body)
        content.Headers.ContentType <- MediaTypeHeaderValue "application/octet-stream"
        content

    let text (mediaType: string) (body: string) : HttpContent =
        new StringContent(body, Encoding.UTF8, mediaType)

    /// A picture as {"pixels": [...]}: each number is read as the same float32.
    let json (pixels: float32 seq) : HttpContent =
        let numbers =
            pixels
            |> Seq.map _.ToString("R", Globalization.CultureInfo.InvariantCulture)
            |> String.concat ","

        text "application/json" $"""{{"pixels":[{numbers}]}}"""

    let answerOf (text: string) : Answer =
        use json = JsonDocument.Parse text
        let root = json.RootElement

        { Label = string (root.GetProperty("label").GetString())
          Probabilities = [| for p in root.GetProperty("probabilities").EnumerateArray() -> p.GetSingle() |]
          Hash = string (root.GetProperty("model").GetProperty("hash").GetString()) }

    /// Status, headers and text of an answer.
    let post (client: HttpClient) (path: string) (content: HttpContent) : Task<HttpResponseMessage * string> =
        task {
            use content = content
            let! answer = client.PostAsync(path, content)
            let! text = answer.Content.ReadAsStringAsync()
            return answer, text
        }

    /// The answer to a picture that must be answered.
    let predict (client: HttpClient) (content: HttpContent) : Task<Answer> =
        task {
            let! answer, text = post client "predict" content

            if not answer.IsSuccessStatusCode then
                failwith $"expected an answer, got {int answer.StatusCode}: {text}"

            return answerOf text
        }

    /// A line of GET /metrics: its value; 0 where there is none yet.
    let metric (client: HttpClient) (name: string) : Task<float> =
        task {
            let! text = client.GetStringAsync "metrics"

            return
                text.Split '\n'
                |> Array.tryFind (fun line -> line.StartsWith(name + " "))
                |> Option.map (fun line ->
                    Double.Parse(line[name.Length + 1 ..], Globalization.CultureInfo.InvariantCulture))
                |> Option.defaultValue 0.0
        }
