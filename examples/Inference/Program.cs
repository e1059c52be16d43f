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
var samples = Enumerable.Range(0, model.Input.Size).Select(i => (i % 7 - 3) / 4f).ToArray();
var results = new float[model.Output.Size];
model.Run(samples.AsSpan(), results.AsSpan());
var best = Array.IndexOf(results, results.Max());
var label = model.Output.Labels.Count > 0 ? model.Output.Labels[best] : best.ToString();
Console.WriteLine($"{model.Input} -> {model.Output}: {label}, {results[best]:0.0000}");

// How long a call takes once it is warm.
for (var i = 0; i < 1_000; i++)
{
    model.Run(samples.AsSpan(), results.AsSpan());
}

var clock = Stopwatch.StartNew();
const int Calls = 10_000;

for (var i = 0; i < Calls; i++)
{
    model.Run(samples.AsSpan(), results.AsSpan());
}

Console.Error.WriteLine($"{clock.Elapsed.TotalMicroseconds / Calls:0.0} microseconds a call");
return 0;
