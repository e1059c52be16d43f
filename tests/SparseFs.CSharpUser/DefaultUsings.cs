using SparseFs;
using SparseFs.CSharp;
using TorchSharp;
using static TorchSharp.torch;

namespace SparseFs.CSharpUser;

/// <summary>Names of System and of ASP.NET beside ours and TorchSharp's: each of them means what it means without us.</summary>
public static class DefaultUsings
{
    /// <summary>Uses them all.</summary>
    /// <returns>What they say.</returns>
    public static async Task<string> UseAsync()
    {
        int number = Convert.ToInt32("12") + Math.Max(1, 2) + new Random(1).Next(1);
        Range range = 1..^1;
        Index last = ^1;
        string path = Path.Combine(Path.GetTempPath(), Guid.NewGuid().ToString("N"));
        await File.WriteAllTextAsync(path, $"{range} {last}");
        using (Stream stream = File.OpenRead(path))
        {
            number += (int)stream.Length;
        }

        File.Delete(path);
        using var timer = new Timer(_ => { }, null, Timeout.Infinite, Timeout.Infinite);
        using var cancel = new CancellationTokenSource(TimeSpan.FromMinutes(1));
        Lazy<Action> lazy = new(() => () => Monitor.Enter(path));
        Func<Version> version = () => Environment.Version;
        IReadOnlyList<KeyValuePair<string, Type>> types = [new("type", typeof(Attribute))];
        Span<byte> bytes = BitConverter.GetBytes(number);
        Memory<double> memory = new double[bytes.Length];
        Tuple<Array, Uri?> nothing = new(Array.Empty<int>(), null);
        Progress<Half> progress = new();
        Nullable<DateTime> when = default(DateTime);
        HttpMethod method = HttpMethod.Get;
        Thread thread = Thread.CurrentThread;
        Interlocked.Increment(ref number);
        IEnumerable<int> ordered = new List<int> { 3, 2 }.Order().Select(n => n / 2);
        GC.KeepAlive((lazy, version, types, memory.Length, nothing, progress, when, method, thread));
        await Task.WhenAll(Parallel.ForEachAsync(ordered, (_, _) => ValueTask.CompletedTask));
        return $"{number} {await Task.FromResult(ordered.Count())}";
    }

    /// <summary>The web's names.</summary>
    /// <param name="builder">Where calls are mapped to.</param>
    /// <param name="layer">The layer that answers.</param>
    public static void Map(IEndpointRouteBuilder builder, SparseLinear layer) =>
        builder.MapGet(
            "/",
            (HttpContext context, ILogger<SparseLinear> log, IConfiguration settings) =>
            {
                using var scope = NewDisposeScope();
                log.LogInformation("{Path} {Settings}", context.Request.Path, settings.GetChildren().Count());
                float[] answer = layer.call(zeros(1, layer.Connectivity.Cols)).data<float>().ToArray();
                return Results.Json(answer);
            });
}
