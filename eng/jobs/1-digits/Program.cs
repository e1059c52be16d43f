// Handwritten digits, read by a network of which nine weights in ten do not exist. RigL looks for the best tenth.
//
//   dotnet run -- through     trains to the end
//   dotnet run -- first       trains half of the epochs and saves the run
//   dotnet run -- rest        goes on from there, in a new process

using System.Security.Cryptography;
using SparseFs;
using SparseFs.CSharp;
using static TorchSharp.torch;

const int Epochs = 4, Batch = 100;
const string Run = "run.safetensors";

string part = args is [var given] ? given : "through";
set_num_threads(1);
manual_seed(1); // weights, patterns and the order of the digits

var (images, labels) = Digits.Training("data");
long steps = Epochs * (images.shape[0] / Batch);

using var model = nn.Sequential(
    ("hidden1", sparsenn.SparseLinear(784, 300, sparsity: 0.9)),
    ("relu1", nn.ReLU()),
    ("hidden2", sparsenn.SparseLinear(300, 100, sparsity: 0.9)),
    ("relu2", nn.ReLU()),
    ("output", sparsenn.SparseLinear(100, 10, sparsity: 0.5)));

using var optimizer = optim.Adam(model.parameters(), lr: 2e-3);
var policy = Policies.RigL(Schedules.Cosine(alpha: 0.3, deltaT: steps / 40, tEnd: 3 * steps / 4));
using var rewirer = Rewiring.Rewire(model, optimizer, policy, Seed.FromInt(2));
int epoch = 0;

if (part == "rest")
{
    var progress = Checkpoints.Resume(model, Run, optimizer, rewirer);
    epoch = int.Parse(progress.Notes["epoch"]);
    Console.WriteLine($"resumed at step {progress.Step}");
}
else
{
    Console.WriteLine(model.Summary(Batch, 784));
}

while (epoch < (part == "first" ? Epochs / 2 : Epochs))
{
    int moved = 0;
    model.train();

    foreach (var chosen in randperm(images.shape[0]).split(Batch))
    {
        using var scope = NewDisposeScope();
        optimizer.zero_grad();
        nn.functional.cross_entropy(model.forward(images[chosen]), labels[chosen]).backward();

        foreach (var update in rewirer.Step())
        {
            moved += update.Outcome.TryGetCounts(out var counts) ? counts.Grown : 0;
        }
    }

    epoch++;
    Console.WriteLine($"epoch {epoch}: {moved} slots moved, {TestAccuracy():F2} % of the test digits read");
}

if (part == "first")
{
    Checkpoints.SaveTraining(model, Run, optimizer, rewirer, rewirer.Steps, Seed.FromInt(2), ("epoch", $"{epoch}"));
}
else
{
    Checkpoints.Save(model, $"{part}.safetensors");
    Console.WriteLine($"state_dict {Fingerprint()}");
    Console.WriteLine($"accuracy {TestAccuracy():F2}");
}

double TestAccuracy()
{
    using var scope = NewDisposeScope();
    using var _ = no_grad();
    var (x, y) = Digits.Test("data");
    model.eval();
    return 100 * model.forward(x).argmax(1).eq(y).to(float64).mean().item<double>();
}

// All bytes of all tensors, in the order of their names.
string Fingerprint()
{
    using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);

    foreach (var (_, tensor) in model.state_dict().OrderBy(entry => entry.Key, StringComparer.Ordinal))
    {
        hash.AppendData(tensor.bytes);
    }

    return Convert.ToHexString(hash.GetHashAndReset());
}
