using System;
using System.Threading;
using System.Threading.RateLimiting;
using System.Threading.Tasks;

namespace DigitServer.Requests;

/// <summary>How many pictures are computed at once, and how many wait. A picture asks when its body is here, so that a slow sender holds no worker.</summary>
internal sealed class Admission(ServerOptions options) : IDisposable
{
    private readonly ConcurrencyLimiter _limiter = new(
        new ConcurrencyLimiterOptions
        {
            PermitLimit = options.Workers,
            QueueLimit = options.Queue,
            QueueProcessingOrder = QueueProcessingOrder.OldestFirst,
        });

    public long Waiting => _limiter.GetStatistics()?.CurrentQueuedCount ?? 0;

    public long Running => options.Workers - (_limiter.GetStatistics()?.CurrentAvailablePermits ?? 0);

    /// <returns>A lease to dispose of after the work; it is not acquired where the queue is full.</returns>
    public ValueTask<RateLimitLease> Enter(CancellationToken gone) => _limiter.AcquireAsync(1, gone);

    public void Dispose() => _limiter.Dispose();
}
