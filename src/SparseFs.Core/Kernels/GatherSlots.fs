namespace SparseFs.Kernels

#nowarn "9"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// Numbers of old slots brought to the new slots that continue them; oracle: Remap.apply.
module internal GatherSlots =

    /// <summary>y[s] = x[from[s]], or number where from[s] is negative, for some slots s.</summary>
    /// <remarks>from holds indices of x, which has at least one number, or −1; y is overwritten and overlaps
    /// nothing.</remarks>
    [<AggressiveOptimization>]
    let constant
        (from: nativeptr<int>)
        (x: nativeptr<float32>)
        (number: float32)
        (slots: RowRange)
        (y: nativeptr<float32>)
        =
        let last = slots.To
        let mutable s = slots.From

        while s < last do
            let old = Pointer.get from s
            // Branchless: read in any case.
            let continued = Pointer.get x (old &&& ~~~(old >>> 31))
            Pointer.set y s (if old >= 0 then continued else number)
            s <- s + 1
