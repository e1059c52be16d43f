namespace SparseFs

open System
open System.IO
open System.Text

/// <summary>What people take for a safetensors file, and how it becomes one.</summary>
module internal ForeignFile =

    /// PyTorch's name in Python.
    [<Literal>]
    let private Package = "torch"

    let private toConvert =
        "save the tensors in Python: from safetensors.torch import save_file; "
        + "save_file({k: v.contiguous() for k, v in tensors.items()}, "
        + "'model.safetensors')"

    let private ofTorch =
        (invariant $"with tensors = {Package}.load(file, map_location='cpu', weights_only=True), {toConvert}")

    let private startsWith (text: string) (bytes: byte[]) =
        bytes.AsSpan().StartsWith(ReadOnlySpan(Encoding.Latin1.GetBytes text))

    /// The name of an archive's first file says who wrote it.
    let private ofZip (start: byte[]) : string =
        let first =
            if start.Length < 30 then
                ""
            else
                let length = int (BitConverter.ToUInt16(start, 26))
                Encoding.Latin1.GetString(start, 30, min length (start.Length - 30))

        if first.EndsWith(".npy", StringComparison.Ordinal) then
            (invariant $"got a zip archive of NumPy's (.npz): {toConvert}")
        elif first.EndsWith("data.pkl", StringComparison.Ordinal) then
            (invariant $"got a zip archive with a pickle of PyTorch's (.pt, .pth): {ofTorch}")
        else
            (invariant $"got a zip archive, such as PyTorch's (.pt, .pth): {ofTorch}")

    let private ofStart (start: byte[]) : string voption =
        if startsWith "PK\003\004" start || startsWith "PK\005\006" start then
            ValueSome(ofZip start)
        elif start[0] = 0x80uy && start[1] >= 2uy && start[1] <= 5uy then
            ValueSome(invariant $"got a Python pickle, such as PyTorch's before 1.6 (.pt, .pth): {ofTorch}")
        elif startsWith "GGUF" start then
            ValueSome(invariant $"got a GGUF file of llama.cpp's: take the model's safetensors instead, or {toConvert}")
        elif startsWith "\137HDF\r\n" start then
            ValueSome(invariant $"got an HDF5 file, such as Keras' (.h5): read it with h5py and {toConvert}")
        elif startsWith "\147NUMPY" start then
            ValueSome "got a NumPy array (.npy): TensorFile.ofNpy (C#: TensorFiles.ReadNpy) reads it"
        elif startsWith "version https://git-lfs" start then
            ValueSome "got a pointer of Git LFS, not the file: fetch it with git lfs pull"
        elif startsWith "<!DOCTYPE" start || startsWith "<html" start then
            ValueSome "got a web page: the download was not that of the file"
        else
            ValueNone

    /// <summary>What a file is that begins with these 8 bytes, and how it is converted; nothing where it is not known.</summary>
    /// <param name="prefix">The file's first 8 bytes.</param>
    /// <param name="stream">The file, behind them.</param>
    let tryName (prefix: byte[]) (stream: Stream) : string voption =
        let more: byte[] = Array.zeroCreate 256

        let count =
            stream.ReadAtLeast(more.AsSpan(), more.Length, throwOnEndOfStream = false)

        ofStart (Array.append prefix more[.. count - 1])
        |> ValueOption.map (fun name -> (invariant $"expected a safetensors file, {name}"))
