// A network that was trained elsewhere, without libtorch: dotnet run -c Release --project examples/Inference FILE
// FILE is what Deploy.save has written; dotnet fsi examples/deploy.fsx FILE makes one. Compiled ahead of time by dotnet fsi build.fsx aot.
using System;
using System.Diagnostics;
using System.Linq;
using SparseFs.Inference;

if (args.Length != 1)
{
    Console.Error.WriteLine("expected the file of a network");
    return 1;
}

var model = SparseModel.Load(args[0]);
var results = new float[model.Output.Size];
Action call;

if (model.Input.Dtype == "float32")
{
    var samples = Enumerable.Range(0, model.Input.Size).Select(i => (i % 7 - 3) / 4f).ToArray();
    call = () => model.Run(samples.AsSpan(), results.AsSpan());
}
else
{
    // Tokens, one behind the other; a session that has seen all that it can begins anew.
    var session = model.CreateSession();

    call = () =>
    {
        if (session.Tokens == session.Capacity)
        {
            session.Reset();
        }

        session.Step(session.Tokens % 7, results.AsSpan());
    };
}

call();
var best = Array.IndexOf(results, results.Max());
var label = model.Output.Labels.Count > 0 ? model.Output.Labels[best] : best.ToString();
Console.WriteLine($"{model.Input} -> {model.Output}: {label}, {results[best]:0.0000}");

// How long a call takes once it is warm: the median of some hundred runs, each of so many calls as take about a millisecond.
var clock = Stopwatch.StartNew();
var calls = 0;

while (clock.ElapsedMilliseconds < 500)
{
    call();
    calls++;
}

var together = Math.Max(1, calls / 500);
var times = new double[200];

for (var run = 0; run < times.Length; run++)
{
    clock.Restart();

    for (var i = 0; i < together; i++)
    {
        call();
    }

    times[run] = clock.Elapsed.TotalMicroseconds / together;
}

Array.Sort(times);
Console.Error.WriteLine($"{times[times.Length / 2].ToString("0.0", System.Globalization.CultureInfo.InvariantCulture)} microseconds a call");
return 0;
