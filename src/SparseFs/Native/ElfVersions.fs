namespace SparseFs.Torch

open System
open System.Buffers.Binary
open System.IO
open System.Text

/// <summary>Which versions of other libraries an ELF library asks for, and how strictly.</summary>
/// <remarks>Only 64-bit little-endian files. Layouts: elf(5), and the symbol versioning chapter of the Linux Standard Base.
/// The packages' build has the same rule in C# (buildTransitive/RelaxGlibcxx.cs), because MSBuild compiles only
/// that.</remarks>
module internal ElfVersions =

    [<Literal>]
    let private Needs = 0x6ffffffe // SHT_GNU_verneed

    [<Literal>]
    let private Weak = 2uy // VER_FLG_WEAK

    let private span (elf: byte[]) (at: int64) (bytes: int) : ReadOnlySpan<byte> =
        if at < 0L || at > int64 (elf.Length - bytes) then
            raise (InvalidDataException $"expected {bytes} bytes at offset {at}, the file has {elf.Length}")

        ReadOnlySpan(elf, int at, bytes)

    let private number16 elf at =
        int64 (BinaryPrimitives.ReadUInt16LittleEndian(span elf at 2))

    let private number32 elf at =
        int64 (BinaryPrimitives.ReadUInt32LittleEndian(span elf at 4))

    let private number64 elf at =
        BinaryPrimitives.ReadInt64LittleEndian(span elf at 8)

    /// The offsets of a chain of records, of which each says how far away the next one is; 0 ends it.
    let private chain (first: int64) (stepOf: int64 -> int64) : int64 seq =
        Some first
        |> Seq.unfold (
            Option.map (fun at ->
                match stepOf at with
                | 0L -> at, None
                | step -> at, Some(at + step))
        )

    /// Where the section of needs begins, and the section of its names.
    let private needs (elf: byte[]) : struct (int64 * int64) =
        let magic = span elf 0L 6

        if not (magic.SequenceEqual "\127ELF\002\001"B) then
            raise (InvalidDataException "expected a 64-bit little-endian ELF file")

        let headers, size = number64 elf 0x28L, number16 elf 0x3aL

        seq { 0L .. number16 elf 0x3cL - 1L }
        |> Seq.map (fun i -> headers + i * size)
        |> Seq.tryFind (fun header -> number32 elf (header + 4L) = int64 Needs)
        |> function
            | None -> raise (InvalidDataException "expected a section of version needs, found none")
            | Some header ->
                let names = headers + number32 elf (header + 40L) * size
                struct (number64 elf (header + 24L), number64 elf (names + 24L))

    /// <summary>Marks each need of a version weak: the loader then takes the library where nobody defines it.</summary>
    /// <param name="version">Such as GLIBCXX_3.4.32.</param>
    /// <param name="elf">The library's bytes, changed in place.</param>
    /// <exception cref="T:System.IO.InvalidDataException">These are not the bytes of such a library.</exception>
    let weaken (version: string) (elf: byte[]) : unit =
        let name = Encoding.ASCII.GetBytes(version + "\000")
        let struct (libraries, names) = needs elf

        for library in chain libraries (fun at -> number32 elf (at + 12L)) do
            for need in chain (library + number32 elf (library + 8L)) (fun at -> number32 elf (at + 12L)) do
                if (span elf (names + number32 elf (need + 8L)) name.Length).SequenceEqual name then
                    elf[int need + 4] <- elf[int need + 4] ||| Weak
