using System;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Net;
using System.Threading.Tasks;
using DigitServer.Models;
using DigitServer.Telemetry;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Hosting;

namespace DigitServer.Requests;

/// <summary>What is answered where.</summary>
internal static class Endpoints
{
    private static readonly byte[] Page = Resource("index.html");

    public static void MapDigits(this IEndpointRouteBuilder routes)
    {
        routes.MapGet("/", ShowPage);
        routes.MapPost("/predict", Predict);
        routes.MapGet("/model", (ModelSlot slot) => TypedResults.Json(slot.Current.Card, WireJson.Default.ModelCard));
        routes.MapGet("/healthz", Healthy);
        routes.MapGet("/metrics", (Measures measures, ModelSlot slot, Admission admission) =>
            TypedResults.Text(measures.Text(slot, admission), "text/plain; version=0.0.4; charset=utf-8"));
        routes.MapPost("/admin/reload", Reload);
    }

    private static IResult ShowPage(HttpContext http)
    {
        // The page is one file, and asks this service alone.
        http.Response.Headers.ContentSecurityPolicy =
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
        http.Response.Headers.CacheControl = "no-cache";
        return TypedResults.Bytes(Page, "text/html; charset=utf-8");
    }

    private static async Task<IResult> Predict(HttpContext http, ServerOptions options, ModelSlot slot, Admission admission, Measures measures)
    {
        var pixels = await PixelReader.Read(http.Request, options.Body);
        using var lease = await admission.Enter(http.RequestAborted);

        if (!lease.IsAcquired)
        {
            http.Response.Headers.RetryAfter = "1";
            throw new RefusedException(
                StatusCodes.Status503ServiceUnavailable, "queue_full", $"{options.Queue} requests wait already: try again after a second");
        }

        // Taken once: label, probabilities and name are of one network, whatever is loaded meanwhile.
        var model = slot.Current;
        var probabilities = new float[ServedModel.Classes];
        var start = Stopwatch.GetTimestamp();
        model.Run(pixels, probabilities);
        var time = Stopwatch.GetElapsedTime(start);
        measures.Ran(time);
        var best = Array.IndexOf(probabilities, probabilities.Max());
        var prediction = new Prediction(model.Labels[best], probabilities, time.TotalMilliseconds, model.Name);
        return TypedResults.Json(prediction, WireJson.Default.Prediction);
    }

    private static IResult Healthy(ModelSlot slot, IHostApplicationLifetime lifetime)
    {
        var isStopping = lifetime.ApplicationStopping.IsCancellationRequested;
        return TypedResults.Json(
            new Health(isStopping ? "stopping" : "ok", slot.Current.Name),
            WireJson.Default.Health,
            statusCode: isStopping ? StatusCodes.Status503ServiceUnavailable : StatusCodes.Status200OK);
    }

    private static IResult Reload(HttpContext http, ModelSlot slot, Measures measures)
    {
        // Whoever sits at the machine may; a page of another site, or another machine, may not.
        var site = http.Request.Headers["Sec-Fetch-Site"].ToString();

        if (http.Connection.RemoteIpAddress is not { } from || !IPAddress.IsLoopback(from) || site is not ("" or "none" or "same-origin"))
        {
            throw new RefusedException(StatusCodes.Status403Forbidden, "not_local", "expected a request from this machine, and not from a page of another site");
        }

        try
        {
            var next = slot.Reload()
                ?? throw new RefusedException(StatusCodes.Status409Conflict, "reload_running", "another reload is under way: ask again when it is done");
            measures.Reloaded(isRefused: false);
            return TypedResults.Json(next.Card, WireJson.Default.ModelCard);
        }
        catch (ModelRefusedException e)
        {
            measures.Reloaded(isRefused: true);
            throw new RefusedException(StatusCodes.Status422UnprocessableEntity, "bad_model", $"{e.Message}; the network before goes on");
        }
    }

    private static byte[] Resource(string name)
    {
        using var stream = typeof(Endpoints).Assembly.GetManifestResourceStream(name)
            ?? throw new FileNotFoundException($"expected '{name}' in this program, got none");
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }
}
