/// A trained model in a web service, published with its runtime, on a machine without .NET.
module Service

#load "job.fsx"

open System
open System.Diagnostics
open System.IO
open System.Net
open System.Net.Http
open System.Net.Http.Json
open System.Net.Sockets
open System.Threading
open System.Threading.Tasks

let private freePort () : int =
    use listener = new TcpListener(IPAddress.Loopback, 0)
    listener.Start()
    (listener.LocalEndpoint :?> IPEndPoint).Port

let private megabytes (files: seq<string>) : float =
    float (files |> Seq.sumBy (fun file -> FileInfo(file).Length)) / 1e6

let run () : string =
    let trainer = Job.folderOf "4 Trainer" "4-service/trainer" [ "4-service/Model.cs" ]

    Outside.write
        (Path.Combine(trainer, "Trainer.csproj"))
        (Outside.project "Microsoft.NET.Sdk" [ "SparseFs.CSharp" ] true "" "*.cs")

    Outside.build trainer "built" |> ignore

    let answer =
        (Outside.run trainer "dotnet" [ "built/Trainer.dll" ]).Split(',')
        |> Array.map float32

    let where = Job.folderOf "4 Service" "4-service/service" [ "4-service/Model.cs" ]

    Outside.write
        (Path.Combine(where, "Service.csproj"))
        (Outside.project
            "Microsoft.NET.Sdk.Web"
            [ "SparseFs.CSharp" ]
            true
            "<RuntimeIdentifier>linux-x64</RuntimeIdentifier><SelfContained>true</SelfContained>"
            "*.cs")

    Outside.run where "dotnet" [ "publish"; "-c"; "Release"; "-v"; "quiet"; "-nologo"; "-o"; "published" ]
    |> ignore

    let published = Path.Combine(where, "published")
    File.Copy(Path.Combine(trainer, "model.safetensors"), Path.Combine(published, "model.safetensors"))

    let files = Directory.GetFiles(published, "*", SearchOption.AllDirectories)

    let isLibTorch (file: string) =
        [ "libtorch"
          "libc10"
          "libLibTorchSharp"
          "libgomp"
          "libnnapi"
          "libjit"
          "libbackend"
          "libshm"
          "libaoti" ]
        |> List.exists (fun name -> (Path.GetFileName file).StartsWith name)

    let size, ofTorch = megabytes files, megabytes (Seq.filter isLibTorch files)
    printfn $"  published: %.0f{size} MB, of which libtorch %.0f{ofTorch}"

    let address = $"http://127.0.0.1:{freePort ()}"

    let start =
        ProcessStartInfo(
            Path.Combine(published, "Service"),
            [ "--urls"; address ],
            WorkingDirectory = published,
            RedirectStandardOutput = true
        )

    // Nothing of this machine's .NET can be found.
    start.Environment.Clear()
    start.Environment["PATH"] <- "/nowhere"
    start.Environment["HOME"] <- published

    let watch = Stopwatch.StartNew()
    use service = Process.Start start

    try
        use client = new HttpClient(BaseAddress = Uri address)
        let question = [| for i in 0..19 -> float32 i / 10.0f - 1.0f |]

        let ask () : Task<float32[]> =
            task {
                use! response = client.PostAsJsonAsync("answer", question)
                return! response.EnsureSuccessStatusCode().Content.ReadFromJsonAsync<float32[]>()
            }

        let rec first (tries: int) : float32[] =
            try
                ask().Result
            with _ when tries > 0 && not service.HasExited ->
                Thread.Sleep 100
                first (tries - 1)

        let answers = first 300
        let started = watch.Elapsed.TotalSeconds
        let many = Task.WhenAll([ for _ in 1..200 -> ask () ]).Result

        Job.expect
            "the trained model's own answers, each time"
            (Array.forall ((=) answer) (Array.append [| answers |] many))
            $"%A{answers} for %A{answer}"

        printfn $"  the first answer after %.1f{started} s, then 200 beside each other"
        $"%.0f{size} MB, without an SDK or a runtime beside them, give 201 times the trained model's answer"
    finally
        service.Kill()
