// A sparse network learns to double what it sees: a layer, a forward, a backward, an optimizer.

using System;
using SparseFs.CSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

manual_seed(0); // the initial weights and the data; the patterns have seeds of their own

using var hidden = sparsenn.SparseLinear(20, 200, seed: 1); // 90 % of the weights do not exist
using var output = sparsenn.SparseLinear(200, 20, sparsity: 0.5, seed: 2);
using var model = Sequential(("hidden", hidden), ("relu", ReLU()), ("output", output));
using var optimizer = optim.Adam(model.parameters(), lr: 1e-2);

Console.WriteLine(hidden);

using var input = randn(128, 20);
using var target = input * 2;
using var prediction = model.forward(input);
Console.WriteLine($"output shape: [{string.Join(", ", prediction.shape)}]");

long before = Slots();
double first = Step();
double last = first;

for (int step = 1; step < 300; step++)
{
    last = Step();
}

Console.WriteLine(FormattableString.Invariant($"loss: {first:F4} -> {last:F4}"));
Console.WriteLine($"weights: {before} -> {Slots()} of {hidden.Connectivity.Cells + output.Connectivity.Cells}");

long Slots() => hidden.weight.numel() + output.weight.numel();

double Step()
{
    using var scope = NewDisposeScope();
    optimizer.zero_grad();
    var loss = functional.mse_loss(model.forward(input), target);
    loss.backward();
    optimizer.step();
    return loss.item<float>();
}
