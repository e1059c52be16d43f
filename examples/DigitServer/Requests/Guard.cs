using System;
using System.Diagnostics;
using System.IO;
using System.Threading.Tasks;
using DigitServer.Telemetry;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace DigitServer.Requests;

/// <summary>Around every request: what was refused becomes a problem in words (RFC 9457), and each answer is counted under its route.</summary>
internal sealed class Guard(Measures measures) : IMiddleware
{
    /// <summary>nginx's status of a client that left; nobody receives it.</summary>
    private const int ClientLeft = 499;

    public async Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        var start = Stopwatch.GetTimestamp();
        int? code = null;

        try
        {
            await next(context);
            code = context.Response.StatusCode;
        }
        catch (RefusedException e)
        {
            measures.Refused(e.Reason);
            code = e.Status;
            await Answer(context, e.Status, e.Message);
        }
        catch (BadHttpRequestException e)
        {
            // Kestrel's: a body that came too slowly, or one that is no HTTP.
            measures.Refused(e.StatusCode == StatusCodes.Status408RequestTimeout ? "too_slow" : "bad_http");
            code = e.StatusCode;
            await Answer(context, e.StatusCode, e.Message);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException && context.RequestAborted.IsCancellationRequested)
        {
            code = ClientLeft;
        }
        finally
        {
            // What has no code is a fault of ours, which Kestrel answers.
            var route = (context.GetEndpoint() as RouteEndpoint)?.RoutePattern.RawText ?? "other";
            measures.Answered(route, code ?? StatusCodes.Status500InternalServerError, Stopwatch.GetElapsedTime(start));
        }
    }

    private static Task Answer(HttpContext context, int status, string message) =>
        context.Response.HasStarted ? Task.CompletedTask : TypedResults.Problem(message, statusCode: status).ExecuteAsync(context);
}
