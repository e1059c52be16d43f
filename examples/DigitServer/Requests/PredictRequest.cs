namespace DigitServer.Requests;

/// <summary>The JSON of POST /predict.</summary>
/// <param name="Pixels">784 numbers in 0..1, row by row, 1 for ink.</param>
internal sealed record PredictRequest(float[] Pixels);
