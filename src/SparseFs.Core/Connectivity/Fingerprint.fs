namespace SparseFs

open System
open System.Buffers.Binary
open System.Numerics
open System.Runtime.InteropServices

/// <summary>64 bits that stand for a pattern: two patterns that differ have the same ones by accident alone.</summary>
/// <remarks>XXH64 (Y. Collet, the xxHash specification 0.1.1) of rows and columns as two int64, then of row_ptr and of
/// col_idx as int32, all little-endian, each with the hash before it as its seed. It is the same on every machine; it is no defence against whoever wants two patterns to
/// agree.</remarks>
module internal Fingerprint =

    let private prime1 = 0x9E3779B185EBCA87UL
    let private prime2 = 0xC2B2AE3D27D4EB4FUL
    let private prime3 = 0x165667B19E3779F9UL
    let private prime4 = 0x85EBCA77C2B2AE63UL
    let private prime5 = 0x27D4EB2F165667C5UL

    let private round (lane: uint64) (input: uint64) =
        BitOperations.RotateLeft(lane + input * prime2, 31) * prime1

    let private merge (hash: uint64) (lane: uint64) =
        (hash ^^^ round 0UL lane) * prime1 + prime4

    let private avalanche (hash: uint64) =
        let hash = (hash ^^^ (hash >>> 33)) * prime2
        let hash = (hash ^^^ (hash >>> 29)) * prime3
        hash ^^^ (hash >>> 32)

    /// XXH64 of some bytes, with that seed.
    let ofBytes (seed: uint64) (bytes: ReadOnlySpan<byte>) : uint64 =
        let mutable at = 0

        let mutable hash =
            if bytes.Length < 32 then
                seed + prime5
            else
                let mutable a = seed + prime1 + prime2
                let mutable b = seed + prime2
                let mutable c = seed
                let mutable d = seed - prime1

                while bytes.Length - at >= 32 do
                    a <- round a (BinaryPrimitives.ReadUInt64LittleEndian(bytes.Slice at))
                    b <- round b (BinaryPrimitives.ReadUInt64LittleEndian(bytes.Slice(at + 8)))
                    c <- round c (BinaryPrimitives.ReadUInt64LittleEndian(bytes.Slice(at + 16)))
                    d <- round d (BinaryPrimitives.ReadUInt64LittleEndian(bytes.Slice(at + 24)))
                    at <- at + 32

                let lanes =
                    BitOperations.RotateLeft(a, 1)
                    + BitOperations.RotateLeft(b, 7)
                    + BitOperations.RotateLeft(c, 12)
                    + BitOperations.RotateLeft(d, 18)

                merge (merge (merge (merge lanes a) b) c) d

        hash <- hash + uint64 bytes.Length

        while bytes.Length - at >= 8 do
            hash <-
                BitOperations.RotateLeft(
                    hash ^^^ round 0UL (BinaryPrimitives.ReadUInt64LittleEndian(bytes.Slice at)),
                    27
                )
                * prime1
                + prime4

            at <- at + 8

        if bytes.Length - at >= 4 then
            let half = uint64 (BinaryPrimitives.ReadUInt32LittleEndian(bytes.Slice at))
            hash <- BitOperations.RotateLeft(hash ^^^ (half * prime1), 23) * prime2 + prime3
            at <- at + 4

        while at < bytes.Length do
            hash <- BitOperations.RotateLeft(hash ^^^ (uint64 bytes[at] * prime5), 11) * prime1
            at <- at + 1

        avalanche hash

    let private ofInts (seed: uint64) (values: int[]) : uint64 =
        if BitConverter.IsLittleEndian then
            ofBytes seed (MemoryMarshal.AsBytes(ReadOnlySpan values))
        else
            ofBytes
                seed
                (MemoryMarshal.AsBytes(
                    ReadOnlySpan(Array.map (fun (value: int) -> BinaryPrimitives.ReverseEndianness value) values)
                ))

    /// The fingerprint of a pattern.
    let ofPattern (c: Connectivity) : uint64 =
        let sizes: byte[] = Array.zeroCreate 16
        BinaryPrimitives.WriteInt64LittleEndian(sizes.AsSpan(), int64 c.Rows)
        BinaryPrimitives.WriteInt64LittleEndian(sizes.AsSpan 8, int64 c.Cols)
        let ofRows = ofInts (ofBytes 0UL (ReadOnlySpan sizes)) c.RowPtrArray
        ofInts ofRows c.ColIdxArray
