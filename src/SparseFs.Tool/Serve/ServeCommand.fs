namespace SparseFs.Tool

open System
open System.IO
open System.Net
open System.Threading
open System.Threading.Tasks
open Microsoft.AspNetCore.Builder
open Microsoft.AspNetCore.Hosting
open Microsoft.AspNetCore.Hosting.Server.Features
open Microsoft.AspNetCore.Http
open Microsoft.Extensions.DependencyInjection
open Microsoft.Extensions.Hosting
open Microsoft.Extensions.Primitives
open SparseFs
open SparseFs.Inference

/// <summary>A network behind HTTP: GET / is its signature, POST /run computes.</summary>
module internal ServeCommand =

    /// Bytes of a request.
    [<Literal>]
    let MaxBody = 16_777_216

    /// Numbers of an answer: a small request may ask for a large one.
    [<Literal>]
    let MaxOutputs = 4_194_304

    /// Each may hold a request and its answer.
    [<Literal>]
    let private MaxConnections = 64L

    let private answer (context: HttpContext) (status: int) (body: ReadOnlyMemory<byte>) : Task =
        context.Response.StatusCode <- status
        context.Response.ContentType <- "application/json"
        context.Response.ContentLength <- body.Length
        context.Response.Body.WriteAsync(body, context.RequestAborted).AsTask()

    let private computed (model: SparseModel) (body: MemoryStream) : struct (int * ReadOnlyMemory<byte>) =
        try
            let samples =
                RequestReader.read model.Input (ReadOnlySpan(body.GetBuffer(), 0, int body.Length))

            let n, most =
                samples.Length / model.Input.Size, max 1 (MaxOutputs / model.Output.Size)

            if n > most then
                raise (BadRequest(invariant $"expected at most {most} samples in a request, got {n}"))

            let results = Batches.run (Batches.size model) model samples

            match Array.tryFindIndex (Single.IsFinite >> not) results with
            | Some index ->
                let sample = index / model.Output.Size

                struct (422,
                        Answers.error (
                            invariant
                                $"the network gives {results[index]} for sample {sample}, which JSON does not have"
                        ))
            | None -> struct (200, Answers.outputs model.Output results)
        with :? BadRequest as e ->
            struct (400, Answers.error e.Message)

    let private run (model: SparseModel) (context: HttpContext) : Task =
        task {
            use body = new MemoryStream()

            try
                do! context.Request.Body.CopyToAsync(body, context.RequestAborted)
                let struct (status, text) = computed model body
                do! answer context status text
            with :? BadHttpRequestException as e ->
                let message =
                    if e.StatusCode = StatusCodes.Status413PayloadTooLarge then
                        invariant $"expected a request of at most {MaxBody} bytes"
                    else
                        e.Message

                do! answer context e.StatusCode (Answers.error message)
        }

    let private handle (model: SparseModel) (signature: ReadOnlyMemory<byte>) (context: HttpContext) : Task =
        let request = context.Request

        let only (method': string) (work: unit -> Task) =
            if request.Method = method' then
                work ()
            else
                context.Response.Headers.Allow <- StringValues method'
                answer context 405 (Answers.error (invariant $"expected {method'}, got {request.Method}"))

        match request.Path.Value with
        | null
        | ""
        | "/" -> only "GET" (fun () -> answer context 200 signature)
        | "/run" -> only "POST" (fun () -> run model context)
        | other -> answer context 404 (Answers.error (invariant $"expected / or /run, got {other}"))

    /// <summary>Serves until it is told to stop, or by a signal to the process.</summary>
    /// <param name="output">Where it tells its address.</param>
    /// <param name="stopping">Ends it.</param>
    /// <param name="threads">Those of a call; any number of calls run side by side.</param>
    /// <param name="address">Where it listens.</param>
    /// <param name="port">0 for any that is free.</param>
    /// <param name="network">The network's file.</param>
    let serve
        (output: TextWriter)
        (stopping: CancellationToken)
        (threads: int)
        (address: IPAddress)
        (port: int)
        (network: string)
        : unit =
        let model = SampleNetwork.load network threads
        // Nothing of the environment or of files in the current folder has a say.
        let builder = WebApplication.CreateEmptyBuilder(WebApplicationOptions())

        builder.WebHost
            .UseKestrelCore()
            .ConfigureKestrel(fun options ->
                options.AddServerHeader <- false
                options.Limits.MaxRequestBodySize <- int64 MaxBody
                options.Limits.MaxConcurrentConnections <- MaxConnections
                options.Listen(address, port))
        |> ignore

        use app = builder.Build()
        app.Run(RequestDelegate(handle model (Answers.signature model)))
        app.StartAsync(stopping).GetAwaiter().GetResult()

        let addresses =
            match app.Services.GetRequiredService<Server.IServer>().Features.Get<IServerAddressesFeature>() with
            | null -> ""
            | feature -> String.Join(" and ", feature.Addresses)

        output.WriteLine(
            invariant $"{Refusal.shown network} at {addresses}: GET / for the signature, POST /run; Ctrl+C ends it"
        )

        output.Flush()
        app.WaitForShutdownAsync(stopping).GetAwaiter().GetResult()
        app.StopAsync().GetAwaiter().GetResult()
