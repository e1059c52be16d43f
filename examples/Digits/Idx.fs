namespace Digits

open System
open System.Buffers.Binary
open System.IO
open System.IO.Compression

/// <summary>A file that cannot be used: which, what was expected of it, and what came.</summary>
type IdxException(file: string, expected: string, got: string) =
    inherit Exception($"{file}: expected {expected}, got {got}")

/// <summary>Handwritten digits and what they mean.</summary>
/// <remarks>Image i is <c>Pixels[784 * i .. 784 * i + 783]</c>, row by row from the top, 0 for paper, 255 for ink.</remarks>
type DigitSet = { Pixels: byte[]; Labels: byte[] }

/// <summary>MNIST's format: gzipped files of a big-endian magic number, the dimensions, and one byte an element.</summary>
/// <remarks>A file is an outsider's: nothing that its header says is believed, or allocated, before the bytes are there.
/// Every function throws IdxException, and nothing else, for what it cannot use.</remarks>
[<RequireQualifiedAccess>]
module Idx =

    /// <summary>Rows of an image, and columns.</summary>
    [<Literal>]
    let Side = 28

    /// <summary>Elements of an image.</summary>
    [<Literal>]
    let Pixels = 784

    /// <summary>Kinds of digit.</summary>
    [<Literal>]
    let Classes = 10

    /// Items a file may hold: more than any digits that have been published in this format, and few enough for memory.
    [<Literal>]
    let private MaxItems = 1_000_000

    let private imagesMagic = 0x00000803u
    let private labelsMagic = 0x00000801u

    let private refuse (file: string) (expected: string) (got: string) : 'a =
        raise (IdxException(file, expected, got))

    /// GZipStream checks a checksum that is there, but does not miss one that was cut off. The last four bytes of a gzip
    /// file are the length of what it inflates to.
    let private checkEnd (file: string) (compressed: Stream) (length: int64) =
        let bytes: byte[] = Array.zeroCreate 4
        compressed.Seek(-4L, SeekOrigin.End) |> ignore
        compressed.ReadExactly bytes
        let got = BinaryPrimitives.ReadUInt32LittleEndian bytes

        if int64 got <> length then
            refuse file $"the length {length} at the end of the gzip data" $"{got}: cut off, or more than one file"

    /// Inflates the file and hands it to a reader, which reads to the end; what may go wrong on the way becomes the one
    /// error.
    let private inflating (file: string) (openFile: unit -> Stream) (read: Stream -> int64 * 'a) : 'a =
        try
            use compressed = openFile ()

            use inflated =
                new GZipStream(compressed, CompressionMode.Decompress, leaveOpen = true)

            let length, result = read inflated
            checkEnd file compressed length
            result
        with
        | :? FileNotFoundException
        | :? DirectoryNotFoundException -> refuse file "a file" "nothing"
        | :? InvalidDataException as e -> refuse file "gzip data" $"something else or a part of it ({e.Message})"
        | :? IOException
        | :? NotSupportedException
        | :? UnauthorizedAccessException as e -> refuse file "a readable file" $"an error ({e.Message})"

    let private header (file: string) (stream: Stream) (fields: int) : uint32[] =
        let bytes: byte[] = Array.zeroCreate (4 * fields)
        let got = stream.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream = false)

        if got < bytes.Length then
            refuse file $"a header of {bytes.Length} bytes" $"{got} bytes"

        Array.init fields (fun i -> BinaryPrimitives.ReadUInt32BigEndian(ReadOnlySpan(bytes, 4 * i, 4)))

    let private checkMagic (file: string) (expected: uint32) (got: uint32) =
        if got <> expected then
            refuse file $"the magic number 0x{expected:X8}" $"0x{got:X8}"

    let private checkCount (file: string) (got: uint32) =
        if got < 1u || got > uint32 MaxItems then
            refuse file $"1..{MaxItems} items in the header" $"{got}"

    /// Exactly this many bytes and then the end. The buffer grows with what comes, not with what was promised.
    let private body (file: string) (stream: Stream) (length: int) : byte[] =
        use held = new MemoryStream()
        let piece: byte[] = Array.zeroCreate 65536
        let mutable got = stream.Read(piece, 0, piece.Length)

        while got > 0 && held.Length <= int64 length do
            held.Write(piece, 0, got)
            got <- stream.Read(piece, 0, piece.Length)

        if held.Length < length then
            refuse file $"{length} bytes after the header" $"{held.Length}"

        if held.Length > length then
            refuse file $"{length} bytes after the header" "more"

        held.ToArray()

    /// <summary>The images of a file, 784 bytes each.</summary>
    /// <param name="file">The file's name, for the error.</param>
    /// <param name="openFile">Opens the gzipped file.</param>
    /// <exception cref="T:Digits.IdxException">It is not a gzipped file of one image or more, 28 x 28 each.</exception>
    let readImages (file: string) (openFile: unit -> Stream) : byte[] =
        inflating file openFile (fun stream ->
            let fields = header file stream 4
            checkMagic file imagesMagic fields[0]
            checkCount file fields[1]

            if fields[2] <> uint32 Side || fields[3] <> uint32 Side then
                refuse file $"images of {Side} x {Side}" $"{fields[2]} x {fields[3]}"

            let pixels = body file stream (int fields[1] * Pixels)
            16L + pixels.LongLength, pixels)

    /// <summary>The labels of a file, each in 0..9.</summary>
    /// <param name="file">The file's name, for the error.</param>
    /// <param name="openFile">Opens the gzipped file.</param>
    /// <exception cref="T:Digits.IdxException">It is not a gzipped file of one label or more, 0..9 each.</exception>
    let readLabels (file: string) (openFile: unit -> Stream) : byte[] =
        inflating file openFile (fun stream ->
            let fields = header file stream 2
            checkMagic file labelsMagic fields[0]
            checkCount file fields[1]
            let labels = body file stream (int fields[1])

            match Array.tryFindIndex (fun label -> int label >= Classes) labels with
            | Some i -> refuse file $"labels in 0..{Classes - 1}" $"{labels[i]} at {i}"
            | None -> 8L + labels.LongLength, labels)

    /// <summary>The names under which MNIST's training and test digits are published: images, labels.</summary>
    let trainFiles = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"

    /// <summary>As <c>trainFiles</c>, for the test digits.</summary>
    let testFiles = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"

    /// <summary>Digits from a file of images and a file of as many labels.</summary>
    /// <param name="place">What stands before the names of the files in an error.</param>
    /// <param name="openFile">Opens the gzipped file of a name.</param>
    /// <param name="images">The name of the file of images.</param>
    /// <param name="labels">The name of the file of labels.</param>
    /// <exception cref="T:Digits.IdxException">A file cannot be used, or they do not belong together.</exception>
    let read (place: string) (openFile: string -> Stream) (images: string, labels: string) : DigitSet =
        let labelsFile = Path.Combine(place, labels)
        let pixels = readImages (Path.Combine(place, images)) (fun () -> openFile images)
        let labels = readLabels labelsFile (fun () -> openFile labels)

        if labels.Length <> pixels.Length / Pixels then
            refuse labelsFile $"{pixels.Length / Pixels} labels, as many as {images} has images" $"{labels.Length}"

        { Pixels = pixels; Labels = labels }

    /// <summary>The training and the test digits of a folder that holds MNIST's four files.</summary>
    /// <exception cref="T:Digits.IdxException">There is no such folder, or a file of it cannot be used.</exception>
    let ofFolder (folder: string) : DigitSet * DigitSet =
        if not (Directory.Exists folder) then
            refuse folder "a folder with MNIST's four files" "no folder"

        let openFile (name: string) : Stream =
            File.OpenRead(Path.Combine(folder, name))

        read folder openFile trainFiles, read folder openFile testFiles
