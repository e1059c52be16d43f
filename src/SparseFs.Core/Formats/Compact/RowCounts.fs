namespace SparseFs

open System

/// <summary>Small numbers in few bytes: LEB128, seven bits a byte from the lowest, the eighth set in all but a number's last byte.</summary>
/// <remarks>A number has one form: its last byte is not 0 unless it is the only one. So 0 to 127 are one byte, up to 16,383 two.</remarks>
[<RequireQualifiedAccess>]
module internal RowCounts =

    /// Bytes of a number.
    let size (count: int) : int64 =
        let mutable bytes = 1L
        let mutable rest = count >>> 7

        while rest > 0 do
            bytes <- bytes + 1L
            rest <- rest >>> 7

        bytes

    /// Writes a number; returns the place behind it.
    let write (into: byte[]) (at: int) (count: int) : int =
        let mutable at = at
        let mutable rest = count

        while rest > 127 do
            into[at] <- byte (rest &&& 0x7F) ||| 0x80uy
            at <- at + 1
            rest <- rest >>> 7

        into[at] <- byte rest
        at + 1

    let private refuse (at: int) (expected: string) (got: string) : CompactError =
        CompactError.at "counts" at expected got

    /// <summary>So many numbers, each of 0 to most, and nothing behind them. Memory is taken once the bytes are seen to be enough.</summary>
    let read (bytes: byte[]) (count: int64) (most: int) : Result<int[], CompactError> =
        if count > bytes.LongLength then
            Error(CompactError.bytes "counts" (invariant $"{count} or more") bytes)
        else
            let counts: int[] = Array.zeroCreate (int count)
            let mutable error = None
            let mutable at = 0
            let mutable index = 0

            while error.IsNone && index < counts.Length do
                let start = at
                let mutable value = 0L
                let mutable isOpen = true

                // Five bytes hold 31 bits; a sixth is never read.
                while isOpen && at < bytes.Length && at < start + 5 do
                    value <- value ||| (int64 (bytes[at] &&& 0x7Fuy) <<< (7 * (at - start)))
                    isOpen <- bytes[at] >= 0x80uy
                    at <- at + 1

                if isOpen then
                    error <-
                        Some(
                            if at = bytes.Length then
                                refuse at "a number that ends" "the end"
                            else
                                refuse start "a number of five bytes or fewer" "a longer one"
                        )
                elif at > start + 1 && bytes[at - 1] = 0uy then
                    error <- Some(refuse (at - 1) "a last byte that is not 0" "0")
                elif value > int64 most then
                    error <- Some(refuse start (invariant $"a number of slots in 0..{most}") (invariant $"{value}"))
                else
                    counts[index] <- int value
                    index <- index + 1

            match error with
            | Some error -> Error error
            | None when at < bytes.Length -> Error(CompactError.behind "counts" at bytes)
            | None -> Ok counts
