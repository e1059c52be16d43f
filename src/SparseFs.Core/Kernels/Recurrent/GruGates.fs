namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>Gated recurrent units: h' = (1 − z) · n + z · h with n = tanh(x part + r · h part), and the gates r, z and n in torch's order.</summary>
/// <remarks>Cho et al. 2014, in the form of torch, where the reset gate multiplies the product with the state and its bias. Oracle: the
/// float64 reference of the tests.</remarks>
module internal GruGates =

    [<AggressiveOptimization>]
    let forward<'L, 'A, 'V
        when 'L: struct and 'L :> ISimdVector<'V> and 'A: struct and 'A :> IVectorExponents<'V> and 'V: struct>
        (s: GateStep)
        =
        let lanes = 'L.Count
        let wide = int64 (s.Vectors * lanes)
        let ofGate = int64 s.All * s.Apart
        let ofProduct = int64 s.Units.Count * wide
        let hasNext = not (Pointer.isNull s.Next)
        let mutable u = s.Units.From

        while u < s.Units.To do
            let gates = Pointer.at s.Gates (int64 u * s.Apart)
            let product = Pointer.at s.Product (int64 (u - s.Units.From) * wide)
            let row = int64 u * wide
            let mutable v = 0L

            while v < wide do
                let place = Pointer.at gates v
                let added = Pointer.at product v

                let r = Activations.sigmoid<'L, 'A, 'V>('L.Add('L.Load place, 'L.Load added))

                let z =
                    Activations.sigmoid<'L, 'A, 'V>(
                        'L.Add('L.Load(Pointer.at place ofGate), 'L.Load(Pointer.at added ofProduct))
                    )

                let ofState = 'L.Load(Pointer.at added (2L * ofProduct))

                let n =
                    Activations.tanh<'L, 'A, 'V>('L.MultiplyAdd(r, ofState, 'L.Load(Pointer.at place (2L * ofGate))))

                'L.Store(place, r)
                'L.Store(Pointer.at place ofGate, z)
                'L.Store(Pointer.at place (2L * ofGate), n)
                'L.Store(Pointer.at place (3L * ofGate), ofState)
                let before = 'L.Load(Pointer.at s.Before (row + v))
                let minus = 'L.Multiply(n, 'L.Broadcast -1.0f)
                let h = 'L.MultiplyAdd(z, 'L.Add(before, minus), n)
                'L.Store(Pointer.at s.Hidden (row + v), h)

                if hasNext then
                    'L.Store(Pointer.at s.Next (int64 u * s.NextApart + v), h)

                v <- v + int64 lanes

            u <- u + 1

    [<AggressiveOptimization>]
    let backward<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct> (s: GateBackwardStep) =
        let lanes = 'L.Count
        let wide = int64 (s.Vectors * lanes)
        let ofGate, ofState = int64 s.All * s.Apart, int64 s.All * wide
        let one, minusOne = 'L.Broadcast 1.0f, 'L.Broadcast -1.0f
        let mutable u = s.Units.From

        while u < s.Units.To do
            let block = int64 u * s.Apart
            let own = int64 (u - s.Units.From) * wide
            let row = int64 u * wide
            let mutable v = 0L

            while v < wide do
                let saved = Pointer.at s.Gates (block + v)
                let r = 'L.Load saved
                let z = 'L.Load(Pointer.at saved ofGate)
                let n = 'L.Load(Pointer.at saved (2L * ofGate))
                let product = 'L.Load(Pointer.at saved (3L * ofGate))
                let before = 'L.Load(Pointer.at s.Before (int64 u * s.BeforeApart + v))
                let carry = Pointer.at s.Carry (row + v)

                let dh =
                    'L
                        .Add(
                            'L.Add('L.Load(Pointer.at s.Product (own + v)), 'L.Load(Pointer.at s.Upstream (own + v))),
                            'L.Load carry
                        )

                'L.Store(carry, 'L.Multiply(dh, z))
                let rest = 'L.MultiplyAdd(z, minusOne, one)
                let dn = 'L.Multiply('L.Multiply(dh, rest), Activations.oneMinusSquare<'L, 'V> n)
                let dr = 'L.Multiply('L.Multiply(dn, product), Activations.timesRest<'L, 'V> r)

                let dz =
                    'L.Multiply('L.Multiply(dh, 'L.MultiplyAdd(n, minusOne, before)), Activations.timesRest<'L, 'V> z)

                let ofStateN = 'L.Multiply(dn, r)
                let into = Pointer.at s.OfInputs (block + v)
                'L.Store(into, dr)
                'L.Store(Pointer.at into ofGate, dz)
                'L.Store(Pointer.at into (2L * ofGate), dn)
                let into = Pointer.at s.OfStateBlock (block + v)
                'L.Store(into, dr)
                'L.Store(Pointer.at into ofGate, dz)
                'L.Store(Pointer.at into (2L * ofGate), ofStateN)
                let into = Pointer.at s.OfState (row + v)
                'L.Store(into, dr)
                'L.Store(Pointer.at into ofState, dz)
                'L.Store(Pointer.at into (2L * ofState), ofStateN)
                v <- v + int64 lanes

            u <- u + 1
