namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>Plain recurrent units: h' = tanh(x part + h part), or the part of that sum which is above 0.</summary>
/// <remarks>Elman 1990. Oracle: the float64 reference of the tests.</remarks>
module internal RnnGates =

    [<AggressiveOptimization>]
    let forward<'L, 'A, 'V
        when 'L: struct and 'L :> ISimdVector<'V> and 'A: struct and 'A :> IVectorExponents<'V> and 'V: struct>
        (isRelu: bool)
        (s: GateStep)
        =
        let lanes = 'L.Count
        let wide = int64 (s.Vectors * lanes)
        let hasNext = not (Pointer.isNull s.Next)
        let mutable u = s.Units.From

        while u < s.Units.To do
            let product = Pointer.at s.Product (int64 (u - s.Units.From) * wide)
            let row = int64 u * wide
            let mutable v = 0L

            while v < wide do
                let place = Pointer.at s.Gates (int64 u * s.Apart + v)
                let sum = 'L.Add('L.Load place, 'L.Load(Pointer.at product v))

                let h =
                    if isRelu then
                        'A.Max(sum, 'L.Zero)
                    else
                        Activations.tanh<'L, 'A, 'V> sum

                'L.Store(place, h)
                'L.Store(Pointer.at s.Hidden (row + v), h)

                if hasNext then
                    'L.Store(Pointer.at s.Next (int64 u * s.NextApart + v), h)

                v <- v + int64 lanes

            u <- u + 1

    [<AggressiveOptimization>]
    let backward<'L, 'A, 'V
        when 'L: struct and 'L :> ISimdVector<'V> and 'A: struct and 'A :> IVectorExponents<'V> and 'V: struct>
        (isRelu: bool)
        (s: GateBackwardStep)
        =
        let lanes = 'L.Count
        let wide = int64 (s.Vectors * lanes)
        let mutable u = s.Units.From

        while u < s.Units.To do
            let block = int64 u * s.Apart
            let own = int64 (u - s.Units.From) * wide
            let row = int64 u * wide
            let mutable v = 0L

            while v < wide do
                let h = 'L.Load(Pointer.at s.Gates (block + v))
                let carry = Pointer.at s.Carry (row + v)

                let dh =
                    'L
                        .Add(
                            'L.Add('L.Load(Pointer.at s.Product (own + v)), 'L.Load(Pointer.at s.Upstream (own + v))),
                            'L.Load carry
                        )

                let d =
                    if isRelu then
                        'A.WherePositive(h, dh)
                    else
                        'L.Multiply(dh, Activations.oneMinusSquare<'L, 'V> h)

                'L.Store(carry, 'L.Zero)
                'L.Store(Pointer.at s.OfInputs (block + v), d)
                'L.Store(Pointer.at s.OfState (row + v), d)
                v <- v + int64 lanes

            u <- u + 1
