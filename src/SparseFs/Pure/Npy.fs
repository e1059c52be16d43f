namespace SparseFs

open System
open System.Buffers.Binary
open System.IO
open System.Runtime.InteropServices
open System.Text

/// <summary>NumPy's .npy files: versions 1.0 and 2.0 are read, 1.0 is written.</summary>
/// <remarks>Little-endian float32, float64, int32, int64, and bool; C order is written, Fortran order is read too. A file
/// is not trusted: memory grows with the bytes that are really there. NaN and infinities pass.
/// Format: NumPy enhancement proposal 1.</remarks>
[<RequireQualifiedAccess>]
module Npy =

    let private refuse (name: string) (at: int64) (expected: string) (got: string) : exn =
        ArrayFileException(name, $"byte {at}", expected, got)

    /// <summary>Reads so many bytes, or refuses; a false length costs no memory.</summary>
    let private readBytes (name: string) (at: int64) (what: string) (count: int64) (stream: Stream) : byte[] =
        if stream.CanSeek && stream.Length - stream.Position < count then
            raise (refuse name at $"{count} bytes of {what}" $"{stream.Length - stream.Position}")

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
            raise (refuse name at $"{count} bytes of {what}" $"{length}")

        bytes

    /// Little-endian numbers, on any machine.
    let private toNumbers<'T when 'T: struct and 'T :> ValueType and 'T: (new: unit -> 'T)>
        (size: int)
        (bytes: byte[])
        =
        if not BitConverter.IsLittleEndian then
            for i in 0..size .. bytes.Length - size do
                Array.Reverse(bytes, i, size)

        let numbers: 'T[] = Array.zeroCreate (bytes.Length / size)
        bytes.AsSpan().CopyTo(MemoryMarshal.AsBytes(numbers.AsSpan()))
        numbers

    let private toBools (name: string) (at: int64) (bytes: byte[]) : bool[] =
        bytes
        |> Array.mapi (fun i value ->
            if value > 1uy then
                raise (refuse name (at + int64 i) "0 or 1" $"{value}")

            value = 1uy)

    /// From Fortran order, the first index running fastest, to C order.
    let private toC (shape: int[]) (numbers: 'T[]) : 'T[] =
        if shape.Length < 2 || numbers.Length = 0 then
            numbers
        else
            let strides = Array.scan (*) 1 shape // of each index in Fortran order
            let index: int[] = Array.zeroCreate shape.Length
            let ordered: 'T[] = Array.zeroCreate numbers.Length
            let mutable source = 0

            for target in 0 .. numbers.Length - 1 do
                ordered[target] <- numbers[source]
                let mutable axis = shape.Length - 1
                let mutable isCarried = true

                // The next index in C order.
                while isCarried && axis >= 0 do
                    index[axis] <- index[axis] + 1
                    source <- source + strides[axis]

                    if index[axis] = shape[axis] then
                        source <- source - shape[axis] * strides[axis]
                        index[axis] <- 0
                        axis <- axis - 1
                    else
                        isCarried <- false

            ordered

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
            | 2uy, 0uy -> 4
            | major, minor -> raise (refuse name 6L "version 1.0 or 2.0" $"{major}.{minor}")

        let lengthField = readBytes name 8L "the header's length" (int64 lengthBytes) stream

        let length =
            if lengthBytes = 2 then
                int64 (BinaryPrimitives.ReadUInt16LittleEndian lengthField)
            else
                int64 (BinaryPrimitives.ReadUInt32LittleEndian lengthField)

        let textAt = 8L + int64 lengthBytes

        if length > 1048576L then
            raise (refuse name 8L "a header of at most 1048576 bytes" $"{length}")

        let text = readBytes name textAt "header" length stream

        let header =
            Encoding.Latin1.GetString text
            |> NpyHeader.parse (fun at -> refuse name (textAt + int64 at))

        struct (header, textAt + length)

    /// <summary>Reads an array from where a stream stands; the stream then stands behind it.</summary>
    /// <param name="name">What errors call the stream.</param>
    /// <param name="stream">Any that can be read; it is not closed.</param>
    /// <returns>The array, in C order.</returns>
    /// <exception cref="T:SparseFs.ArrayFileException">It is not such a file, or a part is missing.</exception>
    let readFrom (name: string) (stream: Stream) : NpyArray =
        ArgumentNullException.ThrowIfNull(name, nameof name)
        ArgumentNullException.ThrowIfNull(stream, nameof stream)
        let struct (header, dataAt) = readHeader name stream

        let size =
            match header.Descr with
            | "<f4"
            | "<i4" -> 4
            | "<f8"
            | "<i8" -> 8
            | "|b1"
            | "<b1" -> 1
            | other ->
                raise (
                    ArrayFileException(
                        name,
                        "the header's 'descr'",
                        "one of <f4, <f8, <i4, <i8 and |b1",
                        ArrayFile.shown other
                    )
                )

        let count = header.Shape |> Array.fold (fun n size -> n * bigint size) 1I

        // Whoever makes a tensor of the shape multiplies its sizes, a 0 or not.
        let sizes = header.Shape |> Array.fold (fun n size -> n * bigint (max 1L size)) 1I

        if
            count * bigint size > bigint Array.MaxLength
            || sizes > bigint Int64.MaxValue / 8I
            || header.Shape |> Array.exists (fun size -> size > int64 Int32.MaxValue)
        then
            let sizes = String.Join(", ", header.Shape) |> ArrayFile.shown

            raise (
                ArrayFileException(name, "the header's 'shape'", $"at most {Array.MaxLength} bytes of numbers", sizes)
            )

        let bytes = readBytes name dataAt "numbers" (int64 count * int64 size) stream
        let shape = header.Shape |> Array.map int

        let inOrder (numbers: 'T[]) : Array =
            if header.IsFortran then toC shape numbers else numbers

        let data =
            match header.Descr with
            | "<f4" -> inOrder (toNumbers<float32> 4 bytes)
            | "<f8" -> inOrder (toNumbers<float> 8 bytes)
            | "<i4" -> inOrder (toNumbers<int> 4 bytes)
            | "<i8" -> inOrder (toNumbers<int64> 8 bytes)
            | _ -> inOrder (toBools name dataAt bytes)

        NpyArray(shape, data)

    /// <summary>Reads a file that holds one array.</summary>
    /// <param name="path">The file.</param>
    /// <returns>The array, in C order.</returns>
    /// <exception cref="T:SparseFs.ArrayFileException">It is not such a file, a part is missing, or something follows.</exception>
    /// <exception cref="T:System.IO.IOException">The file is not there or cannot be read.</exception>
    /// <exception cref="T:System.UnauthorizedAccessException">It may not be read, or is no file.</exception>
    let read (path: string) : NpyArray =
        WholeFile.read path (fun stream ->
            let array = readFrom path stream

            if stream.ReadByte() >= 0 then
                let at = stream.Position - 1L
                raise (refuse path at "the end of the file" $"{stream.Length - at} more bytes")

            array)

    let private littleEndian (size: int) (bytes: Span<byte>) =
        if not BitConverter.IsLittleEndian then
            for i in 0..size .. bytes.Length - size do
                bytes.Slice(i, size).Reverse()

    /// In pieces, so that a large array is not there twice.
    let private writeNumbers (size: int) (stream: Stream) (numbers: ReadOnlySpan<byte>) =
        let buffer: byte[] = Array.zeroCreate 65536
        let mutable at = 0

        while at < numbers.Length do
            let count = min buffer.Length (numbers.Length - at)
            let piece = buffer.AsSpan(0, count)
            numbers.Slice(at, count).CopyTo piece
            littleEndian size piece
            stream.Write(buffer, 0, count)
            at <- at + count

    /// <summary>Writes an array to where a stream stands.</summary>
    /// <param name="stream">Any that can be written; it is not closed.</param>
    /// <param name="array">The array.</param>
    /// <exception cref="T:System.ArgumentException">An argument is null, or the array has more than 2^31 bytes.</exception>
    let writeTo (stream: Stream) (array: NpyArray) : unit =
        ArgumentNullException.ThrowIfNull(stream, nameof stream)
        ArgumentNullException.ThrowIfNull(array, nameof array)

        let start (descr: string) (size: int) =
            if int64 array.Data.Length * int64 size > int64 Array.MaxLength then
                let message =
                    $"expected at most {Array.MaxLength} bytes, got {int64 array.Data.Length * int64 size}"

                raise (ArgumentException(message, nameof array))

            stream.Write(NpyHeader.write descr array.Shape)

        match array.Data with
        | :? (float32[]) as numbers ->
            start "<f4" 4
            writeNumbers 4 stream (MemoryMarshal.AsBytes(ReadOnlySpan<float32> numbers))
        | :? (float[]) as numbers ->
            start "<f8" 8
            writeNumbers 8 stream (MemoryMarshal.AsBytes(ReadOnlySpan<float> numbers))
        | :? (int[]) as numbers ->
            start "<i4" 4
            writeNumbers 4 stream (MemoryMarshal.AsBytes(ReadOnlySpan<int> numbers))
        | :? (int64[]) as numbers ->
            start "<i8" 8
            writeNumbers 8 stream (MemoryMarshal.AsBytes(ReadOnlySpan<int64> numbers))
        | other ->
            start "|b1" 1

            let bytes =
                (other :?> bool[]) |> Array.map (fun value -> if value then 1uy else 0uy)

            stream.Write(bytes, 0, bytes.Length)

    /// <summary>Writes a file; it is there whole, or as it was before.</summary>
    /// <param name="path">The file, which is replaced if it is there.</param>
    /// <param name="array">The array.</param>
    /// <exception cref="T:System.ArgumentException">An argument is null, or the array has more than 2^31 bytes.</exception>
    /// <exception cref="T:System.IO.IOException">The file cannot be written.</exception>
    /// <exception cref="T:System.UnauthorizedAccessException">It may not be written to, or is no file.</exception>
    let write (path: string) (array: NpyArray) : unit =
        WholeFile.write path (fun stream -> writeTo stream array)
