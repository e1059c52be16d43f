// A sparse convolutional network tells bars from bars, and is rewired while it learns; then a dense one is pruned to the same size.

using System;
using System.Linq;
using SparseFs.CSharp;
using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

manual_seed(0); // initial weights and pictures; a layer that is given no seed draws its pattern from torch's generator too

var (x, labels) = Pictures(1000);
var (testX, testLabels) = Pictures(500);

var sparse = Sequential(
    sparsenn.SparseConv2d(1, 16, 5, padding: 2, sparsity: 0.5, init: Initialization.KaimingUniform),
    ReLU(),
    MaxPool2d(2),
    sparsenn.SparseConv2d(16, 32, (3, 3), padding: (1, 1), sparsity: 0.85, init: Initialization.KaimingUniform),
    ReLU(),
    AdaptiveAvgPool2d(2),
    Flatten(),
    sparsenn.SparseLinear(128, 2, sparsity: 0.5));

Console.WriteLine(sparse[3]);

using (var optimizer = optim.SGD(sparse.parameters(), 0.05, momentum: 0.9))
using (var rewirer = Rewiring.Rewire(sparse, optimizer, Policies.RigL(Schedules.Cosine(0.3, 20, 90))))
{
    Train(sparse, optimizer, () => rewirer.Step(), epochs: 6);
}

Report("sparse, rewired", sparse);

var dense = Sequential(
    Conv2d(1, 16, 5, padding: 2),
    ReLU(),
    MaxPool2d(2),
    Conv2d(16, 32, 3, padding: 1),
    ReLU(),
    AdaptiveAvgPool2d(2),
    Flatten(),
    Linear(128, 2));

using (var optimizer = optim.SGD(dense.parameters(), 0.05, momentum: 0.9))
{
    Train(dense, optimizer, () => optimizer.step(), epochs: 5);
    Report("dense", dense);
    dense.Sparsify(0.8, allocation: SparseFs.SparsityDistribution.ErdosRenyiKernel, optimizer: optimizer);
    Train(dense, optimizer, () => optimizer.step(), epochs: 2);
}

Report("pruned, and trained on", dense);

void Train(Module<Tensor, Tensor> model, optim.Optimizer optimizer, Action step, int epochs)
{
    foreach (int _ in Enumerable.Range(0, epochs))
    {
        foreach (var batch in randperm(x.shape[0]).split(50))
        {
            using var scope = NewDisposeScope();
            optimizer.zero_grad();
            functional.cross_entropy(model.call(x[batch]), labels[batch]).backward();
            step();
        }
    }
}

void Report(string what, Module<Tensor, Tensor> model)
{
    using var scope = NewDisposeScope();
    using var off = no_grad();
    long right = model.call(testX).argmax(1).eq(testLabels).sum().item<long>();
    var summary = model.Summary(new long[] { 1, 1, 16, 16 });
    Console.WriteLine($"{what}: {right} of 500 pictures, {summary.Weights} of {summary.Cells} weights");
}

// Noisy pictures [n, 1, 16, 16], each with a bar across (0) or down (1).
static (Tensor Pictures, Tensor Labels) Pictures(long n)
{
    var x = randn(n, 1, 16, 16).mul_(0.7);
    var labels = randint(0, 2, n, dtype: int64);
    var places = randint(0, 16, new long[] { n }, dtype: int64);

    for (long i = 0; i < n; i++)
    {
        long place = places[i].item<long>();
        var line = labels[i].item<long>() == 0 ? x[i, 0].select(0, place) : x[i, 0].select(1, place);
        line.add_(2.0);
    }

    return (x, labels);
}
