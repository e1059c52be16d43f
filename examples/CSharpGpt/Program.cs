// A small GPT of sparse blocks learns the characters of a text, and then writes some: dotnet run -c Release --project examples/CSharpGpt [FILE]

using System;
using System.IO;
using System.Linq;
using System.Text;
using SparseFs;
using SparseFs.CSharp;
using TorchSharp;
using static TorchSharp.torch;

const int Context = 64, Features = 128, Heads = 4, Blocks = 2, Batch = 12, Steps = 300;

string path = args.Length > 0 ? args[0] : "examples/texts/genesis.txt";

if (!File.Exists(path))
{
    Console.Error.WriteLine($"expected a text, got no file {path}: run this in the repository's root, or name a file");
    return 1;
}

string text = File.ReadAllText(path);
char[] alphabet = text.Distinct().Order().ToArray();
var numberOf = alphabet.Select((c, i) => (c, i)).ToDictionary(p => p.c, p => (long)p.i);
var numbers = tensor(text.Select(c => numberOf[c]).ToArray());

manual_seed(0); // initial weights; a block that is given no seed draws its patterns from torch's generator too
var model = new Gpt(alphabet.Length, Enumerable.Range(0, Blocks).Select(_ => sparsenn.SparseTransformerBlock(Features, Heads, sparsity: 0.9)).ToArray());
using var optimizer = sparseoptim.AdamW(model.parameters(), lr: 2e-3, maxNorm: 1.0);
using var rewirer = Rewiring.Rewire(model, optimizer, Policies.RigL(Schedules.Cosine(0.3, 50, 225)));
var random = new Random(0);

foreach (int step in Enumerable.Range(1, Steps))
{
    using var scope = NewDisposeScope();
    var (x, y) = Sequences();
    optimizer.zero_grad();
    var loss = nn.functional.cross_entropy(model.call(x).view(-1, alphabet.Length), y.view(-1));
    loss.backward();
    rewirer.Step();

    if (step % 50 == 0)
    {
        Console.WriteLine($"step {step}: loss {loss.item<float>():F3}");
    }
}

Console.WriteLine(Write(200));
return 0;

// Sequences that begin anywhere in the text, and what comes next in each.
(Tensor X, Tensor Y) Sequences()
{
    long[] starts = Enumerable.Range(0, Batch).Select(_ => random.NextInt64(numbers.shape[0] - Context)).ToArray();
    Tensor At(long offset) => stack(starts.Select(start => numbers.narrow(0, start + offset, Context)));
    return (At(0), At(1));
}

// One character after the other; each block remembers the keys and values of those before.
string Write(int count)
{
    using var off = no_grad();
    model.eval();
    var caches = Enumerable.Range(0, Blocks).Select(_ => new KeyValueCache(Context)).ToArray();
    var written = new StringBuilder();
    long last = numberOf['\n'];

    foreach (int _ in Enumerable.Range(0, count))
    {
        using var scope = NewDisposeScope();

        // A full cache begins anew with the last character.
        if (caches[0].Length == Context)
        {
            foreach (var cache in caches)
            {
                cache.Reset();
            }
        }

        var next = model.Next(tensor(new[] { last }).view(1, 1), caches).view(-1).softmax(0);
        last = multinomial(next, 1).item<long>();
        written.Append(alphabet[last]);
    }

    foreach (IDisposable cache in caches)
    {
        cache.Dispose();
    }

    return written.ToString();
}

internal sealed class Gpt : nn.Module<Tensor, Tensor>
{
    private readonly nn.Module<Tensor, Tensor> characters;
    private readonly nn.Module<Tensor, Tensor> places = nn.Embedding(64, 128);
    private readonly TorchSharp.Modules.ModuleList<SparseTransformerBlock> blocks;
    private readonly nn.Module<Tensor, Tensor> norm = nn.LayerNorm(128);
    private readonly nn.Module<Tensor, Tensor> head;

    public Gpt(long alphabet, SparseTransformerBlock[] parts)
        : base(nameof(Gpt))
    {
        characters = nn.Embedding(alphabet, 128);
        blocks = nn.ModuleList(parts);
        head = sparsenn.SparseLinear(128, (int)alphabet, sparsity: 0.5);
        RegisterComponents();
    }

    public override Tensor forward(Tensor x) => Through(x, 0, (block, _, h) => block.call(h));

    /// What comes after one more character.
    public Tensor Next(Tensor x, KeyValueCache[] caches) =>
        Through(x, caches[0].Length, (block, index, h) => block.call(h, caches[index]));

    private Tensor Through(Tensor x, long place, Func<SparseTransformerBlock, int, Tensor, Tensor> call)
    {
        var h = characters.call(x) + places.call(arange(place, place + x.shape[1]));

        foreach (int index in Enumerable.Range(0, blocks.Count))
        {
            h = call(blocks[index], index, h);
        }

        return head.call(norm.call(h));
    }
}
