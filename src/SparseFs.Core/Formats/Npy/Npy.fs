namespace SparseFs

open System
open System.Buffers.Binary
open System.IO
open System.Text

/// <summary>NumPy's .npy files: versions 1.0, 2.0 and 3.0 are read, 1.0 is written.</summary>
/// <remarks>Floats of 16, 32 and 64 bits, integers of 8 to 64 bits with and without a sign, and bool. Both orders of bytes
/// are read, little-endian is written; C order is written, Fortran order is read too. A file is not trusted: memory grows
/// with the bytes that are really there. NaN and infinities pass. Format: NumPy enhancement proposal 1.</remarks>
[<RequireQualifiedAccess>]
module Npy =

    let private refuse (name: string) (at: int64) (expected: string) (got: string) : exn =
        ArrayFileException(name, (invariant $"byte {at}"), expected, got)

    /// <summary>Reads so many bytes, or refuses; a false length costs no memory.</summary>
    let private readBytes (name: string) (at: int64) (what: string) (count: int64) (stream: Stream) : byte[] =
        if stream.CanSeek && stream.Length - stream.Position < count then
            raise (
                refuse name at (invariant $"{count} bytes of {what}") (invariant $"{stream.Length - stream.Position}")
            )

        let mutable bytes: byte[] =
            Array.zeroCreate (int (if stream.CanSeek then count else min count 65536L))

        let mutable length = 0
        let mutable isOpen = true

        while isOpen && int64 length < count do
            if length = bytes.Length then
                Array.Resize(&bytes, int (min count (2L * int64 length)))

            let got = stream.Read(bytes, length, bytes.Length - length)
            isOpen <- got > 0
            length <- length + got

        if int64 length < count then
            raise (refuse name at (invariant $"{count} bytes of {what}") (invariant $"{length}"))

        bytes

    /// Another byte than 0 or 1 would be a bool that is neither.
    let private checkBools (name: string) (at: int64) (bytes: byte[]) =
        let wrong = bytes.AsSpan().IndexOfAnyExcept(0uy, 1uy)

        if wrong >= 0 then
            raise (refuse name (at + int64 wrong) "0 or 1" (invariant $"{bytes[wrong]}"))

    let private magic = [| 0x93uy; byte 'N'; byte 'U'; byte 'M'; byte 'P'; byte 'Y' |]

    /// The header and where it ends.
    let private readHeader (name: string) (stream: Stream) : struct (NpyHeader * int64) =
        let start = readBytes name 0L "magic and version" 8L stream

        if not (start.AsSpan(0, 6).SequenceEqual magic) then
            let got = Convert.ToHexString(start, 0, 6)
            raise (refuse name 0L "NumPy's magic 934E554D5059" got)

        let lengthBytes =
            match start[6], start[7] with
            | 1uy, 0uy -> 2
            | 2uy, 0uy
            | 3uy, 0uy -> 4
            | major, minor -> raise (refuse name 6L "version 1.0, 2.0 or 3.0" (invariant $"{major}.{minor}"))

        let lengthField = readBytes name 8L "the header's length" (int64 lengthBytes) stream

        let length =
            if lengthBytes = 2 then
                int64 (BinaryPrimitives.ReadUInt16LittleEndian lengthField)
            else
                int64 (BinaryPrimitives.ReadUInt32LittleEndian lengthField)

        let textAt = 8L + int64 lengthBytes

        if length > 1048576L then
            raise (refuse name 8L "a header of at most 1048576 bytes" (invariant $"{length}"))

        let text = readBytes name textAt "header" length stream

        // Version 3.0 is 2.0 with another encoding.
        if start[6] = 3uy && not (Unicode.Utf8.IsValid(ReadOnlySpan text)) then
            raise (refuse name textAt "a header of UTF-8" "other bytes")

        let encoding = if start[6] = 3uy then Encoding.UTF8 else Encoding.Latin1

        let header =
            encoding.GetString text
            |> NpyHeader.parse (fun at -> refuse name (textAt + int64 at))

        struct (header, textAt + length)

    /// <summary>Reads an array from where a stream stands; the stream then stands behind it.</summary>
    /// <param name="name">What errors call the stream.</param>
    /// <param name="stream">Any that can be read; it is not closed.</param>
    /// <returns>The array, in C order.</returns>
    /// <exception cref="T:SparseFs.ArrayFileException">It is not such a file, or a part is missing.</exception>
    /// <example><code>
    /// use stream = new MemoryStream()
    /// Npy.writeTo stream (NpyArray([| 3 |], [| 1.0f; 2.0f; 3.0f |]))
    /// stream.Position &lt;- 0L
    /// (Npy.readFrom "the example" stream).Shape // = [|3|]
    /// </code></example>
    [<CompiledName "ReadFrom">]
    let readFrom (name: string) (stream: Stream) : NpyArray =
        ArgumentNullException.ThrowIfNull(name, nameof name)
        ArgumentNullException.ThrowIfNull(stream, nameof stream)
        let struct (header, dataAt) = readHeader name stream

        let struct (element, isBigEndian) =
            match NpyElements.tryOfDescr header.Descr with
            | ValueSome found -> found
            | ValueNone ->
                let known =
                    String.Join(", ", NpyElements.all |> List.map (fun element -> "<" + element.Code))

                let got = ArrayFile.shown header.Descr
                raise (ArrayFileException(name, "the header's 'descr'", (invariant $"one of {known}, or with >"), got))

        let size = element.Size
        let count = header.Shape |> Array.fold (fun n size -> n * bigint size) 1I

        // Whoever makes a tensor of the shape multiplies its sizes, a 0 or not.
        let sizes = header.Shape |> Array.fold (fun n size -> n * bigint (max 1L size)) 1I

        if
            count * bigint size > bigint Array.MaxLength
            || sizes > bigint Int64.MaxValue / 8I
            || header.Shape |> Array.exists (fun size -> size > int64 Int32.MaxValue)
        then
            let sizes = Shape.sizes header.Shape |> ArrayFile.shown

            raise (
                ArrayFileException(
                    name,
                    "the header's 'shape'",
                    (invariant $"at most {Array.MaxLength} bytes of numbers"),
                    sizes
                )
            )

        let bytes = readBytes name dataAt "numbers" (int64 count * int64 size) stream
        let shape = header.Shape |> Array.map int

        if element.Type = typeof<bool> then
            checkBools name dataAt bytes

        if isBigEndian = BitConverter.IsLittleEndian then
            NpyElements.turn size (bytes.AsSpan())

        let numbers = element.Make(int count)
        bytes.AsSpan().CopyTo(NpyElements.bytesOf element numbers)

        NpyArray(
            shape,
            (if header.IsFortran then
                 element.ToC shape numbers
             else
                 numbers)
        )

    /// <summary>Reads a file that holds one array.</summary>
    /// <param name="path">The file.</param>
    /// <returns>The array, in C order.</returns>
    /// <exception cref="T:SparseFs.ArrayFileException">It is not such a file, a part is missing, or something follows.</exception>
    /// <exception cref="T:System.IO.IOException">The file is not there or cannot be read.</exception>
    /// <exception cref="T:System.UnauthorizedAccessException">It may not be read, or is no file.</exception>
    /// <example><code>
    /// Npy.write "counts.npy" (NpyArray([| 2; 2 |], [| 1; 2; 3; 4 |])) // as numpy.save
    /// let array = Npy.read "counts.npy"
    /// array.Data :?> int[] // = [|1; 2; 3; 4|]
    /// </code></example>
    [<CompiledName "Read">]
    let read (path: string) : NpyArray =
        AtomicFile.read path (fun stream ->
            let array = readFrom path stream

            if stream.ReadByte() >= 0 then
                let at = stream.Position - 1L
                raise (refuse path at "the end of the file" (invariant $"{stream.Length - at} more bytes"))

            array)

    /// In pieces, so that a large array is not there twice.
    let private writeNumbers (size: int) (stream: Stream) (numbers: ReadOnlySpan<byte>) =
        let buffer: byte[] = Array.zeroCreate 65536
        let mutable at = 0

        while at < numbers.Length do
            let count = min buffer.Length (numbers.Length - at)
            let piece = buffer.AsSpan(0, count)
            numbers.Slice(at, count).CopyTo piece

            if not BitConverter.IsLittleEndian then
                NpyElements.turn size piece

            stream.Write(buffer, 0, count)
            at <- at + count

    /// <summary>Writes an array to where a stream stands.</summary>
    /// <param name="stream">Any that can be written; it is not closed.</param>
    /// <param name="array">The array.</param>
    /// <exception cref="T:System.ArgumentException">An argument is null, or the array has more than 2^31 bytes.</exception>
    /// <example><code>
    /// use file = File.Create "fan-in.npy"
    /// Npy.writeTo file (NpyArray([| 300 |], Connectivity.fanIn layer.Connectivity))
    /// </code></example>
    [<CompiledName "WriteTo">]
    let writeTo (stream: Stream) (array: NpyArray) : unit =
        ArgumentNullException.ThrowIfNull(stream, nameof stream)
        ArgumentNullException.ThrowIfNull(array, nameof array)

        let element = ValueOption.get (NpyElements.tryOfArray array.Data) // NpyArray takes no others
        let bytes = int64 array.Data.Length * int64 element.Size

        if bytes > int64 Array.MaxLength then
            raise (
                ArgumentException((invariant $"expected at most {Array.MaxLength} bytes, got {bytes}"), nameof array)
            )

        stream.Write(NpyHeader.write (NpyElements.descr element) array.Shape)
        writeNumbers element.Size stream (Span.op_Implicit (NpyElements.bytesOf element array.Data))

    /// <summary>Writes a file; it is there whole, or as it was before.</summary>
    /// <param name="path">The file, which is replaced if it is there.</param>
    /// <param name="array">The array.</param>
    /// <exception cref="T:System.ArgumentException">An argument is null, or the array has more than 2^31 bytes.</exception>
    /// <exception cref="T:System.IO.IOException">The file cannot be written.</exception>
    /// <exception cref="T:System.UnauthorizedAccessException">It may not be written to, or is no file.</exception>
    /// <example><code>
    /// let mask = Connectivity.toMask layer.Connectivity
    /// Npy.write "mask.npy" (NpyArray([| 300; 784 |], Seq.toArray (Seq.cast&lt;bool> mask)))
    /// </code></example>
    [<CompiledName "Write">]
    let write (path: string) (array: NpyArray) : unit =
        AtomicFile.write path (fun stream -> writeTo stream array)
