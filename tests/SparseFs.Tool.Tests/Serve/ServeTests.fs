/// serve answers what the library computes, and refuses the rest by a reason.
module SparseFs.Tests.ServeTests

open System
open System.IO
open System.Net
open System.Net.Http
open System.Text
open System.Text.Json
open System.Text.RegularExpressions
open System.Threading
open System.Threading.Tasks
open Expecto
open SparseFs.Inference
open SparseFs.Tool

/// Serves a file at a free port while work goes on, and holds it to an exit code of 0.
let private serving (network: string) (work: HttpClient -> unit) : unit =
    use stopping = new CancellationTokenSource()
    use written = new StringWriter()
    use errors = new StringWriter()
    let output = TextWriter.Synchronized written

    let running =
        Task.Run(fun () -> Program.run' output errors stopping.Token [| "serve"; network; "--port"; "0" |])

    let address () =
        Regex.Match(lock output (fun () -> string written), @"http://127\.0\.0\.1:[0-9]+")

    let until = DateTime.UtcNow.AddSeconds 60.0

    while not (address ()).Success && not running.IsCompleted && DateTime.UtcNow < until do
        Thread.Sleep 10

    Expect.isTrue (address ()).Success $"an address, got {written} {errors}"

    try
        use client = new HttpClient(BaseAddress = Uri((address ()).Value))
        work client
    finally
        stopping.Cancel()

    Expect.equal (running.GetAwaiter().GetResult()) 0 $"the exit code, {errors}"

let private answer (reply: HttpResponseMessage) : Task<struct (int * JsonElement)> =
    task {
        let! text = reply.Content.ReadAsStringAsync()
        return struct (int reply.StatusCode, JsonDocument.Parse(text).RootElement)
    }

let private postAsync (client: HttpClient) (body: string) : Task<struct (int * JsonElement)> =
    task {
        use content = new StringContent(body, Encoding.UTF8, "application/json")
        use request = new HttpRequestMessage(HttpMethod.Post, "/run", Content = content)
        // What is too long is refused before it is sent.
        request.Headers.ExpectContinue <- Nullable(body.Length > ServeCommand.MaxBody)
        use! reply = client.SendAsync request
        return! answer reply
    }

let private post (client: HttpClient) (body: string) : struct (int * JsonElement) =
    (postAsync client body).GetAwaiter().GetResult()

let private get (client: HttpClient) (path: string) : struct (int * JsonElement) =
    use reply = client.GetAsync(path).GetAwaiter().GetResult()
    (answer reply).GetAwaiter().GetResult()

let private error (e: JsonElement) : string =
    present "an error" (e.GetProperty("error").GetString())

let private outputs (e: JsonElement) : float32[][] =
    [| for row in e.GetProperty("outputs").GetProperty("output").EnumerateArray() ->
           [| for number in row.EnumerateArray() -> number.GetSingle() |] |]

[<Tests>]
let serveTests =
    testSequenced
    <| testList
        "sparsefs serve"
        [ test "the signature is at /, and outputs are the library's to the bit, also of many requests at once" {
              inFolder (fun folder ->
                  writeNetwork folder 3 [ 5; 30; 4 ]
                  let path = Path.Combine(folder, "network")
                  let model = SparseModel.Load path

                  serving path (fun client ->
                      let struct (status, signature) = get client "/"
                      Expect.equal status 200 "status"

                      Expect.equal
                          (signature.GetRawText())
                          """{"inputs":[{"name":"input","dtype":"float32","shape":["batch",5]}],"outputs":[{"name":"output","dtype":"float32","shape":["batch",4]}]}"""
                          "the signature"

                      let request (n: int) =
                          task {
                              let samples = drawn (Random n) (5 * n)
                              let wanted: float32[] = Array.zeroCreate (4 * n)
                              model.Run(ReadOnlySpan samples, Span wanted)

                              let rows =
                                  [ for row in Array.chunkBySize 5 samples -> "[" + String.Join(",", row) + "]" ]

                              let! struct (status, answer) =
                                  postAsync client ("""{"inputs":{"input":[""" + String.Join(",", rows) + "]}}")

                              Expect.equal status 200 $"{n} samples"
                              Expect.equal (outputs answer) (Array.chunkBySize 4 wanted) $"{n} samples"
                          }

                      for n in [ 0; 1; 2; 700 ] do
                          (request n).GetAwaiter().GetResult()

                      Task.WhenAll([| for n in 1..50 -> request n :> Task |]).GetAwaiter().GetResult()))
          }

          test "what is wrong is answered by its status and a reason, and the service goes on" {
              inFolder (fun folder ->
                  writeNetwork folder 3 [ 3; 2 ]

                  serving (Path.Combine(folder, "network")) (fun client ->
                      for body, expected in
                          [ "x", "expected JSON"
                            """{"input":[[1,2]]}""", "got one of 2"
                            """{"input":[[1,2,3],[4]]}""", "got one of 1" ] do
                          let struct (status, said) = post client body
                          Expect.equal status 400 body
                          Expect.stringContains (error said) expected body

                      let struct (status, said) = get client "/elsewhere"

                      Expect.equal
                          (struct (status, error said))
                          (struct (404, "expected / or /run, got /elsewhere"))
                          "404"

                      let struct (status, said) = get client "/run"
                      Expect.equal (struct (status, error said)) (struct (405, "expected POST, got GET")) "405"
                      use content = new StringContent ""
                      use reply = client.PostAsync("/", content).GetAwaiter().GetResult()
                      Expect.equal (int reply.StatusCode) 405 "POST /"
                      Expect.equal (String.Join(",", reply.Content.Headers.Allow)) "GET" "what is allowed"

                      let long = """{"input":[[""" + String(' ', ServeCommand.MaxBody) + "1,2,3]]}"
                      let struct (status, said) = post client long

                      Expect.equal
                          (struct (status, error said))
                          (struct (413, "expected a request of at most 16777216 bytes"))
                          "413"

                      let struct (status, _) = post client """{"input":[[1,2,3]]}"""
                      Expect.equal status 200 "it goes on"))
          }

          test "outputs that JSON does not have are told, not sent" {
              inFolder (fun folder ->
                  let huge = Array.create 6 3e38f
                  writeFile folder "dense" [] [ floats "0.weight" [ 2; 3 ] huge ]

                  succeeds
                      folder
                      [ "convert"
                        "@dense"
                        "@network"
                        "--sparsity"
                        "0"
                        "--smallest"
                        "0"
                        "--network"
                        "mlp" ]
                  |> ignore

                  serving (Path.Combine(folder, "network")) (fun client ->
                      let struct (status, said) = post client """{"input":[[0,0,0],[1,1,1]]}"""
                      Expect.equal status 422 "status"
                      Expect.stringContains (error said) "for sample 1, which JSON does not have" "the reason"))
          }

          test "a small request for more numbers than an answer has is refused" {
              inFolder (fun folder ->
                  writeFile folder "dense" [] [ floats "0.weight" [ 5000; 1 ] (drawn (Random 1) 5000) ]

                  succeeds folder [ "convert"; "@dense"; "@network"; "--sparsity"; "0.5"; "--network"; "mlp" ]
                  |> ignore

                  serving (Path.Combine(folder, "network")) (fun client ->
                      let body = """{"input":[""" + String.Join(",", Array.create 1000 "[1]") + "]}"
                      let struct (status, said) = post client body
                      Expect.equal status 400 "status"

                      Expect.stringContains
                          (error said)
                          "expected at most 838 samples in a request, got 1000"
                          "the reason"))
          }

          test "a port that is taken, and an address that is none of this machine, are said in one line" {
              inFolder (fun folder ->
                  writeNetwork folder 3 [ 3; 2 ]
                  use taken = new Sockets.TcpListener(IPAddress.Loopback, 0)
                  taken.Start()
                  let port = (present "an endpoint" taken.LocalEndpoint :?> IPEndPoint).Port
                  let line = fails 1 folder [ "serve"; "@network"; "--port"; string port ]
                  Expect.stringContains line (string port) "the port"

                  Expect.stringContains
                      (fails 2 folder [ "serve"; "@network"; "--address"; "here" ])
                      "--address: expected an IP address, got here"
                      "the address"

                  Expect.stringContains
                      (fails 1 folder [ "serve"; "@dense"; "--port"; "0" ])
                      "no description"
                      "no network")
          } ]
