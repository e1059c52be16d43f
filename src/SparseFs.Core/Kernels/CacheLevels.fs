namespace SparseFs.Kernels

open System.Runtime.Intrinsics.X86

/// <summary>Bytes of a core's caches for data, as the processor itself tells; read once.</summary>
/// <remarks>From CPUID's leaf of caches, which Intel numbers 4 (Software Developer's Manual, volume 2A, CPUID) and AMD 8000001D
/// (Architecture Programmer's Manual, volume 3, E.4.15), so that no system has to be asked. Processors that have none, or
/// hide it, are taken for common ones.</remarks>
[<RequireQualifiedAccess>]
module internal CacheLevels =

    /// Level and bytes of each cache for data that a leaf lists.
    let private listed (leaf: int) : (int * int64) list =
        let rec from (index: int) =
            let struct (eax, ebx, ecx, _) = X86Base.CpuId(leaf, index)
            let kind, level = eax &&& 31, (eax >>> 5) &&& 7

            let field (shift: int) (bits: int) =
                int64 ((ebx >>> shift) &&& ((1 <<< bits) - 1)) + 1L

            // Kind 0 ends the list; 2 holds instructions. An emulator may not end it.
            if kind = 0 || index = 16 then
                []
            else
                let bytes = field 22 10 * field 12 10 * field 0 12 * (int64 (uint32 ecx) + 1L)

                if kind = 2 then
                    from (index + 1)
                else
                    (level, bytes) :: from (index + 1)

        from 0

    let private ofProcessor: (int * int64) list =
        if not X86Base.IsSupported then
            []
        else
            let struct (last, _, _, _) = X86Base.CpuId(0, 0)
            let struct (lastExtended, _, _, _) = X86Base.CpuId(0x80000000, 0)
            let amd = 0x8000001D

            [ if last >= 4 then
                  yield! listed 4
              // Both are negative numbers, in order.
              if lastExtended < 0 && lastExtended >= amd then
                  yield! listed amd ]

    let private ofLevel (level: int) (otherwise: int64) =
        ofProcessor
        |> List.tryFind (fun (l, _) -> l = level)
        |> Option.map snd
        |> Option.defaultValue otherwise

    let first: int64 = ofLevel 1 (32L * 1024L)
    let second: int64 = ofLevel 2 (1024L * 1024L)
