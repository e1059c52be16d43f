namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>A long short-term memory's units: c' = f · c + i · g and h = o · tanh c', with the gates i, f, g and o in torch's order.</summary>
/// <remarks>Hochreiter and Schmidhuber 1997, with forget gates (Gers et al. 2000). Oracle: the float64 reference of the tests.</remarks>
module internal LstmGates =

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
                let i = 'L.Add('L.Load place, 'L.Load added)

                let f =
                    'L.Add('L.Load(Pointer.at place ofGate), 'L.Load(Pointer.at added ofProduct))

                let g =
                    'L.Add('L.Load(Pointer.at place (2L * ofGate)), 'L.Load(Pointer.at added (2L * ofProduct)))

                let o =
                    'L.Add('L.Load(Pointer.at place (3L * ofGate)), 'L.Load(Pointer.at added (3L * ofProduct)))

                let i = Activations.sigmoid<'L, 'A, 'V> i
                let f = Activations.sigmoid<'L, 'A, 'V> f
                let g = Activations.tanh<'L, 'A, 'V> g
                let o = Activations.sigmoid<'L, 'A, 'V> o
                'L.Store(place, i)
                'L.Store(Pointer.at place ofGate, f)
                'L.Store(Pointer.at place (2L * ofGate), g)
                'L.Store(Pointer.at place (3L * ofGate), o)

                let c = 'L.MultiplyAdd(f, 'L.Load(Pointer.at s.Before (row + v)), 'L.Multiply(i, g))

                'L.Store(Pointer.at s.Cells (row + v), c)
                let h = 'L.Multiply(o, Activations.tanh<'L, 'A, 'V> c)
                'L.Store(Pointer.at s.Hidden (row + v), h)

                if hasNext then
                    'L.Store(Pointer.at s.Next (int64 u * s.NextApart + v), h)

                v <- v + int64 lanes

            u <- u + 1

    [<AggressiveOptimization>]
    let backward<'L, 'A, 'V
        when 'L: struct and 'L :> ISimdVector<'V> and 'A: struct and 'A :> IVectorExponents<'V> and 'V: struct>
        (s: GateBackwardStep)
        =
        let lanes = 'L.Count
        let wide = int64 (s.Vectors * lanes)
        let ofGate, ofState = int64 s.All * s.Apart, int64 s.All * wide
        let mutable u = s.Units.From

        while u < s.Units.To do
            let block = int64 u * s.Apart
            let own = int64 (u - s.Units.From) * wide
            let row = int64 u * wide
            let mutable v = 0L

            while v < wide do
                let saved = Pointer.at s.Gates (block + v)
                let i = 'L.Load saved
                let f = 'L.Load(Pointer.at saved ofGate)
                let g = 'L.Load(Pointer.at saved (2L * ofGate))
                let o = 'L.Load(Pointer.at saved (3L * ofGate))
                let carry = Pointer.at s.Carry (row + v)
                let cellCarry = Pointer.at s.CellCarry (row + v)

                let dh =
                    'L
                        .Add(
                            'L.Add('L.Load(Pointer.at s.Product (own + v)), 'L.Load(Pointer.at s.Upstream (own + v))),
                            'L.Load carry
                        )

                let c = Activations.tanh<'L, 'A, 'V>('L.Load(Pointer.at s.Cells (row + v)))

                let dc =
                    'L.MultiplyAdd('L.Multiply(dh, o), Activations.oneMinusSquare<'L, 'V> c, 'L.Load cellCarry)

                let di = 'L.Multiply('L.Multiply(dc, g), Activations.timesRest<'L, 'V> i)

                let df =
                    'L
                        .Multiply(
                            'L.Multiply(dc, 'L.Load(Pointer.at s.Before (row + v))),
                            Activations.timesRest<'L, 'V> f
                        )

                let dg = 'L.Multiply('L.Multiply(dc, i), Activations.oneMinusSquare<'L, 'V> g)
                let ``do`` = 'L.Multiply('L.Multiply(dh, c), Activations.timesRest<'L, 'V> o)
                'L.Store(carry, 'L.Zero)
                'L.Store(cellCarry, 'L.Multiply(dc, f))
                let into = Pointer.at s.OfInputs (block + v)
                'L.Store(into, di)
                'L.Store(Pointer.at into ofGate, df)
                'L.Store(Pointer.at into (2L * ofGate), dg)
                'L.Store(Pointer.at into (3L * ofGate), ``do``)
                let into = Pointer.at s.OfState (row + v)
                'L.Store(into, di)
                'L.Store(Pointer.at into ofState, df)
                'L.Store(Pointer.at into (2L * ofState), dg)
                'L.Store(Pointer.at into (3L * ofState), ``do``)
                v <- v + int64 lanes

            u <- u + 1
