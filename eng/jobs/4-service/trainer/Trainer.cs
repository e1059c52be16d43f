// Trains a small classifier, saves it, and writes down what it answers.
using System.Globalization;
using SparseFs.CSharp;
using static TorchSharp.torch;

manual_seed(1);
using var model = Model.Make();
using var optimizer = optim.Adam(model.parameters(), 1e-2);
using var x = randn(256, 20);
using var y = x.sum(1).gt(0).to(int64);

for (int step = 0; step < 100; step++)
{
    using var scope = NewDisposeScope();
    optimizer.zero_grad();
    nn.functional.cross_entropy(model.forward(x), y).backward();
    optimizer.step();
}

Checkpoints.Save(model, "model.safetensors", ("task", "is the sum positive"));
model.eval();
using var question = arange(20, float32) / 10 - 1;
float[] answer = model.forward(question.unsqueeze(0)).data<float>().ToArray();
Console.WriteLine(string.Join(",", answer.Select(number => number.ToString("R", CultureInfo.InvariantCulture))));
