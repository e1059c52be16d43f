using System;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using DigitServer.Telemetry;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace DigitServer.Models;

/// <summary>Looks at the file of the network now and then, and reloads it when it is another one.</summary>
internal sealed class ModelWatcher(ModelSlot slot, ServerOptions options, Measures measures, ILogger<ModelWatcher> log) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (options.Watch == 0)
        {
            return;
        }

        try
        {
            await Watch(stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The service ends, perhaps before it began.
        }
    }

    private async Task Watch(CancellationToken stopping)
    {
        var seen = Stamp();
        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(options.Watch));

        while (await timer.WaitForNextTickAsync(stopping))
        {
            var now = Stamp();

            // A file that is away for a moment, or that was refused, waits for the next one.
            if (now == seen || now.Length < 0)
            {
                continue;
            }

            try
            {
                if (slot.Reload() is { } next)
                {
                    seen = now;
                    measures.Reloaded(isRefused: false);
                    log.LogInformation("answers with {Model}", next.Name);
                }
            }
            catch (ModelRefusedException e)
            {
                seen = now;
                measures.Reloaded(isRefused: true);
                log.LogWarning("{Reason}; the network before goes on", e.Message);
            }
        }
    }

    private (long Length, DateTime Written) Stamp()
    {
        var file = new FileInfo(slot.Path);
        return file.Exists ? (file.Length, file.LastWriteTimeUtc) : (-1, default);
    }
}
