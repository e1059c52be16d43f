namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>Activations of a tile [rows, W], and their slopes.</summary>
module internal TileActivations =

    /// Overwrites values [count] and slopes [count], which may be null, with those of an activation.
    let inline private each<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
        (x: nativeptr<float32>)
        (count: int64)
        (values: nativeptr<float32>)
        (slopes: nativeptr<float32>)
        ([<InlineIfLambda>] value: 'V -> nativeptr<float32> -> unit)
        ([<InlineIfLambda>] both: 'V -> nativeptr<float32> -> nativeptr<float32> -> unit)
        =
        let lanes = int64 'L.Count
        let mutable i = 0L

        if Pointer.isNull slopes then
            while i < count do
                value ('L.Load(Pointer.at x i)) (Pointer.at values i)
                i <- i + lanes
        else
            while i < count do
                both ('L.Load(Pointer.at x i)) (Pointer.at values i) (Pointer.at slopes i)
                i <- i + lanes

    [<AggressiveOptimization>]
    let private gelu<'L, 'A, 'V
        when 'L: struct and 'L :> ISimdVector<'V> and 'A: struct and 'A :> IVectorExponents<'V> and 'V: struct>
        x
        count
        values
        slopes
        =
        each<'L, 'V>
            x
            count
            values
            slopes
            (fun v into -> ActivationSlopes.gelu<'L, 'A, 'V> v (fun value _ -> 'L.Store(into, value)))
            (fun v into ofSlope ->
                ActivationSlopes.gelu<'L, 'A, 'V> v (fun value slope ->
                    'L.Store(into, value)
                    'L.Store(ofSlope, slope)))

    [<AggressiveOptimization>]
    let private geluTanh<'L, 'A, 'V
        when 'L: struct and 'L :> ISimdVector<'V> and 'A: struct and 'A :> IVectorExponents<'V> and 'V: struct>
        x
        count
        values
        slopes
        =
        each<'L, 'V>
            x
            count
            values
            slopes
            (fun v into -> ActivationSlopes.geluTanh<'L, 'A, 'V> v (fun value _ -> 'L.Store(into, value)))
            (fun v into ofSlope ->
                ActivationSlopes.geluTanh<'L, 'A, 'V> v (fun value slope ->
                    'L.Store(into, value)
                    'L.Store(ofSlope, slope)))

    [<AggressiveOptimization>]
    let private relu<'L, 'A, 'V
        when 'L: struct and 'L :> ISimdVector<'V> and 'A: struct and 'A :> IVectorExponents<'V> and 'V: struct>
        x
        count
        values
        slopes
        =
        each<'L, 'V>
            x
            count
            values
            slopes
            (fun v into -> ActivationSlopes.relu<'L, 'A, 'V> v (fun value _ -> 'L.Store(into, value)))
            (fun v into ofSlope ->
                ActivationSlopes.relu<'L, 'A, 'V> v (fun value slope ->
                    'L.Store(into, value)
                    'L.Store(ofSlope, slope)))

    [<AggressiveOptimization>]
    let private silu<'L, 'A, 'V
        when 'L: struct and 'L :> ISimdVector<'V> and 'A: struct and 'A :> IVectorExponents<'V> and 'V: struct>
        x
        count
        values
        slopes
        =
        each<'L, 'V>
            x
            count
            values
            slopes
            (fun v into -> ActivationSlopes.silu<'L, 'A, 'V> v (fun value _ -> 'L.Store(into, value)))
            (fun v into ofSlope ->
                ActivationSlopes.silu<'L, 'A, 'V> v (fun value slope ->
                    'L.Store(into, value)
                    'L.Store(ofSlope, slope)))

    [<AggressiveOptimization>]
    let private swiGlu<'L, 'A, 'V
        when 'L: struct and 'L :> ISimdVector<'V> and 'A: struct and 'A :> IVectorExponents<'V> and 'V: struct>
        (x: nativeptr<float32>)
        (count: int64)
        (values: nativeptr<float32>)
        (slopes: nativeptr<float32>)
        =
        let lanes = int64 'L.Count
        let hasSlopes = not (Pointer.isNull slopes)
        let mutable i = 0L

        while i < count do
            let other = 'L.Load(Pointer.at x (count + i))

            let into, ofGate, ofOther =
                Pointer.at values i, Pointer.at slopes i, Pointer.at slopes (count + i)

            ActivationSlopes.silu<'L, 'A, 'V> ('L.Load(Pointer.at x i)) (fun gate slope ->
                'L.Store(into, 'L.Multiply(gate, other))

                if hasSlopes then
                    'L.Store(ofGate, 'L.Multiply(slope, other))
                    'L.Store(ofOther, gate))

            i <- i + lanes

    /// <summary>values [rows, W] = what an activation makes of x [rows taken · rows, W]; slopes [rows taken · rows, W], where it is not null, what
    /// a small change of each number of x changes the value by.</summary>
    let activate<'L, 'A, 'V
        when 'L: struct and 'L :> ISimdVector<'V> and 'A: struct and 'A :> IVectorExponents<'V> and 'V: struct>
        (activation: ChainActivation)
        (x: nativeptr<float32>)
        (rows: int)
        (wide: int)
        (values: nativeptr<float32>)
        (slopes: nativeptr<float32>)
        : unit =
        let count = int64 rows * int64 wide

        match activation with
        | ChainActivation.Gelu -> gelu<'L, 'A, 'V> x count values slopes
        | ChainActivation.GeluTanh -> geluTanh<'L, 'A, 'V> x count values slopes
        | ChainActivation.Relu -> relu<'L, 'A, 'V> x count values slopes
        | ChainActivation.Silu -> silu<'L, 'A, 'V> x count values slopes
        | _ -> swiGlu<'L, 'A, 'V> x count values slopes
