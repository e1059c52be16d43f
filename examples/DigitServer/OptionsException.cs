using System;

namespace DigitServer;

/// <summary>Arguments that cannot be used: which, what was expected and what came.</summary>
internal sealed class OptionsException(string message) : Exception(message);
