using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Security.Cryptography;
using SparseFs;
using SparseFs.Inference;

namespace DigitServer.Models;

/// <summary>A network that reads digits, and what is said of it. Immutable; any number of threads may call it.</summary>
internal sealed class ServedModel
{
    /// <summary>Pixels of a picture, 28 rows of 28.</summary>
    public const int Pixels = 784;

    /// <summary>Kinds of digit.</summary>
    public const int Classes = 10;

    private readonly SparseModel _network;

    private ServedModel(SparseModel network, string path, string hash, long fileBytes)
    {
        _network = network;
        Labels = network.Output.Labels is { Count: > 0 } labels ? [.. labels] : [.. Enumerable.Range(0, Classes).Select(i => i.ToString())];
        Name = new ModelName(Path.GetFileName(path), hash);
        var (sparse, dense) = (network.Layers.Sum(layer => layer.StoredBytes), network.Layers.Sum(layer => layer.DenseBytes));
        Card = new ModelCard(Name.Name, hash, Labels, sparse, dense, fileBytes);
    }

    public ModelName Name { get; }

    public ModelCard Card { get; }

    public IReadOnlyList<string> Labels { get; }

    /// <summary>Reads a file and tries it.</summary>
    /// <exception cref="ModelRefusedException">It is no network, takes or gives something else than pixels and probabilities, or was replaced again and
    /// again while it was read.</exception>
    public static ServedModel Load(string path)
    {
        try
        {
            // A rename between the hash and the network would give one the name of the other.
            for (var tries = 0; tries < 5; tries++)
            {
                var (hash, bytes) = HashOf(path);
                var network = SparseModel.Load(path);

                if (HashOf(path).Hash == hash)
                {
                    Try(path, network);
                    return new ServedModel(network, path, hash, bytes);
                }
            }
        }
        catch (Exception e) when (e is CheckpointException or IOException or UnauthorizedAccessException)
        {
            throw new ModelRefusedException(e.Message, e);
        }

        throw new ModelRefusedException($"{path}: expected a file that stays while it is read, got another one five times");
    }

    /// <summary>Probabilities of a picture.</summary>
    /// <param name="pixels">784 numbers in 0..1, row by row, 1 for ink.</param>
    /// <param name="probabilities">Room for ten.</param>
    public void Run(ReadOnlySpan<float> pixels, Span<float> probabilities) => _network.Run(pixels, probabilities);

    public override string ToString() => $"{Name.Name} ({Name.Hash}): {Card.SparseBytes} bytes of weights, dense {Card.DenseBytes}";

    private static (string Hash, long Bytes) HashOf(string path)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete);
        return (Convert.ToHexStringLower(SHA256.HashData(file))[..16], file.Length);
    }

    /// Sizes, labels, and whether what comes out are probabilities, for paper, ink, and something between.
    private static void Try(string path, SparseModel network)
    {
        if (network.Input.Size != Pixels || network.Output.Size != Classes)
        {
            throw new ModelRefusedException($"{path}: expected a network of {Pixels} pixels and {Classes} digits, got {network.Input} and {network.Output}");
        }

        var probabilities = new float[Classes];

        foreach (var paint in (Func<int, float>[])[_ => 0f, _ => 1f, i => i * 7 % 29 / 28f])
        {
            var pixels = Enumerable.Range(0, Pixels).Select(paint).ToArray();
            network.Run(pixels.AsSpan(), probabilities.AsSpan());

            if (!(probabilities.All(p => p >= 0f) && Math.Abs(probabilities.Sum() - 1f) < 1e-3f))
            {
                throw new ModelRefusedException(
                    $"{path}: expected probabilities, whose sum is 1, got {string.Join(" ", probabilities)}: let Softmax be the network's last layer");
            }
        }
    }
}
