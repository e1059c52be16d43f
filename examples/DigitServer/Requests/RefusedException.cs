using System;

namespace DigitServer.Requests;

/// <summary>A request that is not answered: its status, the reason's name among the measures, and what the client is told.</summary>
internal sealed class RefusedException(int status, string reason, string message) : Exception(message)
{
    public int Status => status;

    public string Reason => reason;
}
