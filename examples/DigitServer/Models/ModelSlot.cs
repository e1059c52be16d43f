using System.Threading;

namespace DigitServer.Models;

/// <summary>The network that answers now. A request takes it once, so that each answer is wholly one network's.</summary>
/// <exception cref="ModelRefusedException">The first file cannot be used.</exception>
internal sealed class ModelSlot(string path)
{
    private readonly Lock _loading = new();
    private ServedModel _current = ServedModel.Load(path);

    public string Path => path;

    public ServedModel Current => Volatile.Read(ref _current);

    /// <summary>Loads the file anew beside the network that answers, and exchanges them.</summary>
    /// <returns>The network that answers now; null where another load is under way.</returns>
    /// <exception cref="ModelRefusedException">The file cannot be used: the old network goes on.</exception>
    public ServedModel? Reload()
    {
        if (!_loading.TryEnter())
        {
            return null;
        }

        try
        {
            var next = ServedModel.Load(path);
            Volatile.Write(ref _current, next);
            return next;
        }
        finally
        {
            _loading.Exit();
        }
    }
}
