using System;

namespace DigitServer.Models;

/// <summary>A file that is no network of this service: the message says why, and what to do.</summary>
internal sealed class ModelRefusedException(string message, Exception? inner = null) : Exception(message, inner);
