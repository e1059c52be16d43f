using DigitServer.Models;

namespace DigitServer.Requests;

/// <summary>The answer of GET /healthz.</summary>
/// <param name="Status">"ok", or "stopping" with status 503.</param>
/// <param name="Model">The network that answers.</param>
internal sealed record Health(string Status, ModelName Model);
