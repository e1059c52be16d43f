using DigitServer.Models;

namespace DigitServer.Requests;

/// <summary>The answer of POST /predict.</summary>
/// <param name="Label">The most probable digit.</param>
/// <param name="Probabilities">One a label, to the bit what the network gave.</param>
/// <param name="Milliseconds">In the network.</param>
/// <param name="Model">Whose answer it is.</param>
internal sealed record Prediction(string Label, float[] Probabilities, double Milliseconds, ModelName Model);
