namespace SparseFs

open System
open System.Globalization
open System.IO
open System.Text

/// <summary>The lines of a Matrix Market file, without comments and blank ones, and the words of a line.</summary>
/// <remarks>Memory does not depend on the length of the file, and lines are limited.</remarks>
[<Sealed>]
type internal LineReader(name: string, stream: Stream) =

    let maxLine = 1048576
    let buffer: byte[] = Array.zeroCreate 65536
    let mutable filled = 0
    let mutable next = 0
    let mutable line: byte[] = Array.zeroCreate 256
    let mutable length = 0
    let mutable at = 0 // in the line
    let mutable number = 0L
    let mutable consumed = 0L

    let isSpace (b: byte) = b = 32uy || b = 9uy || b = 13uy

    /// The next byte, or -1 at the end.
    let nextByte () : int =
        if next = filled then
            filled <- stream.Read(buffer, 0, buffer.Length)
            next <- 0

        if filled = 0 then
            -1
        else
            let b = buffer[next]
            next <- next + 1
            consumed <- consumed + 1L
            int b

    /// Where errors are, lines counted from 1.
    member _.Position: string = (invariant $"line {number}")

    /// Lines read, those that were left out too.
    member _.Number: int64 = number

    /// Bytes read.
    member _.Consumed: int64 = consumed

    member lines.Refuse(expected: string, got: string) : exn =
        ArrayFileException(name, lines.Position, expected, got)

    member _.RefuseAt(line: int64, expected: string, got: string) : exn =
        ArrayFileException(name, (invariant $"line {line}"), expected, got)

    /// The next line whatever is in it, or false at the end.
    member lines.TryRaw() : bool =
        length <- 0
        at <- 0
        let mutable b = nextByte ()
        let isThere = b >= 0

        if isThere then
            number <- number + 1L

        while b >= 0 && b <> 10 do
            if length = maxLine then
                raise (lines.Refuse((invariant $"lines of at most {maxLine} bytes"), "a longer one"))

            if length = line.Length then
                Array.Resize(&line, 2 * length)

            line[length] <- byte b
            length <- length + 1
            b <- nextByte ()

        isThere

    /// The next line that is neither blank nor a comment, or false at the end.
    member lines.TryNext() : bool =
        let mutable isOpen = lines.TryRaw()

        while isOpen && lines.IsBlankOrComment() do
            isOpen <- lines.TryRaw()

        isOpen

    /// As TryNext, for a line that has to be there.
    member lines.Next(expected: string) : unit =
        if not (lines.TryNext()) then
            raise (ArrayFileException(name, (invariant $"line {number + 1L}"), expected, "the end of the file"))

    member private _.IsBlankOrComment() : bool =
        let mutable i = 0

        while i < length && isSpace line[i] do
            i <- i + 1

        i = length || line[i] = byte '%'

    /// The next word of the line; empty where there is none.
    member _.Word() : ReadOnlySpan<byte> =
        while at < length && isSpace line[at] do
            at <- at + 1

        let first = at

        while at < length && not (isSpace line[at]) do
            at <- at + 1

        ReadOnlySpan<byte>(line, first, at - first)

    member private _.Shown(word: ReadOnlySpan<byte>) : string =
        if word.IsEmpty then
            "nothing"
        else
            ArrayFile.shown (Encoding.Latin1.GetString(word.Slice(0, min 64 word.Length)))

    /// The next word as text.
    member lines.Text() : string =
        let word = lines.Word()
        Encoding.Latin1.GetString(word.Slice(0, min 64 word.Length))

    /// The next word as an integer within these bounds.
    member lines.Integer(what: string, least: int64, most: int64) : int64 =
        let word = lines.Word()
        let mutable value = 0L

        if
            Int64.TryParse(word, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, &value)
            && value >= least
            && value <= most
        then
            value
        else
            raise (lines.Refuse((invariant $"{what} in {least}..{most}"), lines.Shown word))

    /// The word with E where Fortran writes the exponent of a double precision number with D.
    static member private OfFortran(word: ReadOnlySpan<byte>) : ReadOnlySpan<byte> =
        let at = word.IndexOfAny(byte 'D', byte 'd')

        if at < 0 then
            word
        else
            let copy = word.ToArray()
            copy[at] <- byte 'E'
            ReadOnlySpan copy

    /// The next word as a finite number.
    member lines.Finite() : float =
        let word = lines.Word()
        let mutable value = 0.0

        if
            Double.TryParse(LineReader.OfFortran word, NumberStyles.Float, CultureInfo.InvariantCulture, &value)
            && Double.IsFinite value
        then
            value
        else
            raise (lines.Refuse("a finite number", lines.Shown word))

    /// The line has no other word.
    member lines.End() : unit =
        let word = lines.Word()

        if not word.IsEmpty then
            raise (lines.Refuse("the end of the line", lines.Shown word))
