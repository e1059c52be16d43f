/// MNIST's files as arrays: pixels in 0..1, 784 of each image, and labels.
module MnistFiles

open System.IO
open System.IO.Compression

let private inflated (path: string) : byte[] =
    use file = new GZipStream(File.OpenRead path, CompressionMode.Decompress)
    use bytes = new MemoryStream()
    file.CopyTo bytes
    bytes.ToArray()

let private read (folder: string) (part: string) : float32[] * int64[] =
    let images = inflated (Path.Combine(folder, $"{part}-images-idx3-ubyte.gz"))
    let labels = inflated (Path.Combine(folder, $"{part}-labels-idx1-ubyte.gz"))
    images[16..] |> Array.map (fun pixel -> float32 pixel / 255f), labels[8..] |> Array.map int64

let training (folder: string) = read folder "train"
let test (folder: string) = read folder "t10k"
