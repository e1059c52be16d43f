namespace DigitServer.Models;

/// <summary>Which network answered.</summary>
/// <param name="Name">Its file, without the folder.</param>
/// <param name="Hash">The first 16 digits of the file's SHA-256.</param>
internal sealed record ModelName(string Name, string Hash);
