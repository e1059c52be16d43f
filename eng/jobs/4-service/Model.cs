using SparseFs.CSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

/// <summary>The network, as both the trainer and the service make it.</summary>
static class Model
{
    public static Sequential Make() =>
        nn.Sequential(
            ("hidden", sparsenn.SparseLinear(20, 64, sparsity: 0.8)),
            ("relu", nn.ReLU()),
            ("output", sparsenn.SparseLinear(64, 2, sparsity: 0.5)));
}
