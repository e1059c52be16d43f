using System;
using System.IO;
using System.Text;
using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

/// <summary>Copies an ELF library, with its requirement of GLIBCXX_3.4.32 marked weak.</summary>
/// <remarks>
/// The one symbol of that version, std::ios_base_library_init, only orders static initialisation and has no
/// relocation, so nothing is ever bound to it; yet the loader refuses a library with a missing strong version.
/// MSBuild compiles this file for netstandard2.0. Layouts: elf(5), and the symbol versioning chapter of the
/// Linux Standard Base.
/// </remarks>
public class RelaxGlibcxx : Task
{
    private const string Version = "GLIBCXX_3.4.32";
    private const uint VersionNeeds = 0x6ffffffe; // SHT_GNU_verneed
    private const byte Weak = 2; // VER_FLG_WEAK

    private byte[] elf;

    [Required]
    public string Source { get; set; }

    [Required]
    public string Destination { get; set; }

    public override bool Execute()
    {
        try
        {
            elf = File.ReadAllBytes(Source);
            Relax();
            Write();
        }
        catch (Exception e) when (e is InvalidDataException || e is IOException || e is UnauthorizedAccessException)
        {
            Log.LogWarning(null, "SPARSEFS001", null, Source, 0, 0, 0, 0,
                "{0} stays as it is, and may not load on this system: {1}", Path.GetFileName(Source), e.Message);
        }

        return true;
    }

    private void Write()
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(Destination)));
        var written = Destination + "." + Guid.NewGuid().ToString("N");
        File.WriteAllBytes(written, elf);
        File.Delete(Destination);
        File.Move(written, Destination);
    }

    private void Relax()
    {
        var isElf64LittleEndian = Number(0, 4) == 0x464c457f && Number(4, 1) == 2 && Number(5, 1) == 1;

        if (!isElf64LittleEndian)
            throw new InvalidDataException("expected a 64-bit little-endian ELF file.");

        var headers = Number(0x28, 8);
        var headerSize = Number(0x3a, 2);
        var count = Number(0x3c, 2);

        for (long i = 0; i < count; i++)
        {
            var header = headers + i * headerSize;

            if (Number(header + 4, 4) == VersionNeeds)
            {
                var strings = headers + Number(header + 40, 4) * headerSize;
                RelaxNeeds(Number(header + 24, 8), Number(strings + 24, 8));
                return;
            }
        }

        throw new InvalidDataException("expected a section of version needs, found none.");
    }

    /// <summary>Each library that is needed leads to the next, and to the chain of its versions; 0 ends a chain.</summary>
    private void RelaxNeeds(long library, long strings)
    {
        long next;

        do
        {
            RelaxVersions(library + Number(library + 8, 4), strings);
            next = Number(library + 12, 4);
            library += next;
        }
        while (next != 0);
    }

    private void RelaxVersions(long version, long strings)
    {
        long next;

        do
        {
            if (IsVersion(strings + Number(version + 8, 4)))
                elf[version + 4] |= Weak;

            next = Number(version + 12, 4);
            version += next;
        }
        while (next != 0);
    }

    private bool IsVersion(long at)
    {
        var expected = Encoding.ASCII.GetBytes(Version + "\0");
        Check(at, expected.Length);

        for (var i = 0; i < expected.Length; i++)
            if (elf[at + i] != expected[i])
                return false;

        return true;
    }

    private long Number(long at, int bytes)
    {
        Check(at, bytes);
        long value = 0;

        for (var i = bytes - 1; i >= 0; i--)
            value = value << 8 | elf[at + i];

        return value;
    }

    private void Check(long at, int bytes)
    {
        if (at < 0 || at > elf.Length - bytes)
            throw new InvalidDataException("expected " + bytes + " bytes at offset " + at + " of " + elf.Length + ".");
    }
}
