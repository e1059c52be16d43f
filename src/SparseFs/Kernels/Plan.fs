namespace SparseFs.Kernels

#nowarn "9"

open System.Runtime.CompilerServices
open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>What the kernels need of a pattern beyond itself: its transpose and where each transposed slot's value is.</summary>
/// <remarks>Immutable; the transpose is made when a backward first asks for it. 8 bytes a slot, beside the pattern's 4.</remarks>
[<Sealed>]
type internal Plan(connectivity: Connectivity) =
    let transposed = lazy (Connectivity.transpose connectivity)

    member _.Connectivity = connectivity

    /// The pattern ordered by column.
    member _.Transposed: Connectivity = fst transposed.Value

    /// valuesT[s] = values[SlotMap[s]].
    member _.SlotMap: int[] = snd transposed.Value

module internal Plans =

    let private cache = ConditionalWeakTable<Connectivity, Plan>()

    /// The plan of a pattern, made once for as long as the pattern lives.
    let planOf (connectivity: Connectivity) : Plan =
        cache.GetValue(connectivity, (fun c -> Plan c))

    /// valuesT[s] = values[slotMap[s]] for the slots from and to.
    [<FullyOptimized>]
    let gather
        (values: nativeptr<float32>)
        (slotMap: int[])
        (slotFrom: int)
        (slotTo: int)
        (valuesT: nativeptr<float32>)
        =
        for s in slotFrom .. slotTo - 1 do
            Pointer.set valuesT s (Pointer.get values slotMap[s])
