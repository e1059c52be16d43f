using System.Collections.Generic;

namespace DigitServer.Models;

/// <summary>What GET /model answers.</summary>
/// <param name="Name">The file, without the folder.</param>
/// <param name="Hash">The first 16 digits of the file's SHA-256.</param>
/// <param name="Labels">What the ten probabilities are of.</param>
/// <param name="SparseBytes">Weights and their pattern in memory.</param>
/// <param name="DenseBytes">The weights of as large layers without a pattern.</param>
/// <param name="FileBytes">The file.</param>
internal sealed record ModelCard(string Name, string Hash, IReadOnlyList<string> Labels, long SparseBytes, long DenseBytes, long FileBytes);
