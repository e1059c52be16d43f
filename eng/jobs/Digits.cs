using System.IO.Compression;
using static TorchSharp.torch;

/// <summary>MNIST's files as tensors: images [n, 784] in 0..1, labels [n].</summary>
static class Digits
{
    public static (Tensor Images, Tensor Labels) Training(string folder) => Read(folder, "train");

    public static (Tensor Images, Tensor Labels) Test(string folder) => Read(folder, "t10k");

    private static (Tensor Images, Tensor Labels) Read(string folder, string part)
    {
        var pixels = Inflated(Path.Combine(folder, $"{part}-images-idx3-ubyte.gz")).AsSpan(16).ToArray();
        var labels = Inflated(Path.Combine(folder, $"{part}-labels-idx1-ubyte.gz")).AsSpan(8).ToArray();
        return (tensor(pixels).view(-1, 784).to(float32) / 255f, tensor(labels).to(int64));
    }

    private static byte[] Inflated(string path)
    {
        using var file = new GZipStream(File.OpenRead(path), CompressionMode.Decompress);
        using var bytes = new MemoryStream();
        file.CopyTo(bytes);
        return bytes.ToArray();
    }
}
