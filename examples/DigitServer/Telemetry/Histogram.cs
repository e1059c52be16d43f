using System;
using System.Globalization;
using System.Text;
using System.Threading;

namespace DigitServer.Telemetry;

/// <summary>How long something took, in buckets of fixed bounds; any number of threads may add.</summary>
/// <param name="name">Its name in Prometheus' text, in seconds.</param>
/// <param name="help">What it measures.</param>
internal sealed class Histogram(string name, string help)
{
    private static readonly double[] Bounds =
        [1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1, 2.5, 5];

    // One more for what is above all bounds.
    private readonly long[] _counts = new long[Bounds.Length + 1];
    private long _ticks;

    public void Add(TimeSpan time)
    {
        var bucket = Array.BinarySearch(Bounds, time.TotalSeconds);
        Interlocked.Increment(ref _counts[bucket < 0 ? ~bucket : bucket]);
        Interlocked.Add(ref _ticks, time.Ticks);
    }

    public void Write(StringBuilder text)
    {
        text.Append($"# HELP {name} {help}\n# TYPE {name} histogram\n");
        var sum = 0L;

        for (var i = 0; i < _counts.Length; i++)
        {
            sum += Volatile.Read(ref _counts[i]);
            var bound = i < Bounds.Length ? Bounds[i].ToString("0.######", CultureInfo.InvariantCulture) : "+Inf";
            text.Append(CultureInfo.InvariantCulture, $"{name}_bucket{{le=\"{bound}\"}} {sum}\n");
        }

        var seconds = TimeSpan.FromTicks(Volatile.Read(ref _ticks)).TotalSeconds;
        text.Append(CultureInfo.InvariantCulture, $"{name}_sum {seconds}\n{name}_count {sum}\n");
    }
}
