namespace SparseFs.Kernels

#nowarn "3536"

open System.Runtime.Intrinsics
open SparseFs

/// Recurrent units at one width.
[<AbstractClass>]
type internal GateKernels() =
    abstract Forward: cell: Cell * step: GateStep -> unit
    abstract Backward: cell: Cell * step: GateBackwardStep -> unit

[<Sealed>]
type internal GateKernels<'L, 'A, 'V
    when 'L: struct and 'L :> ISimdVector<'V> and 'A: struct and 'A :> IVectorExponents<'V> and 'V: struct>() =
    inherit GateKernels()

    override _.Forward(cell, step) =
        match cell with
        | Cell.Lstm -> LstmGates.forward<'L, 'A, 'V> step
        | Cell.Gru -> GruGates.forward<'L, 'A, 'V> step
        | cell -> RnnGates.forward<'L, 'A, 'V> (cell = Cell.Relu) step

    override _.Backward(cell, step) =
        match cell with
        | Cell.Lstm -> LstmGates.backward<'L, 'A, 'V> step
        | Cell.Gru -> GruGates.backward<'L, 'V> step
        | cell -> RnnGates.backward<'L, 'A, 'V> (cell = Cell.Relu) step

/// The units of each width.
[<RequireQualifiedAccess>]
module internal GateTable =

    let private scalar = GateKernels<SimdScalar, ExponentsScalar, float32>()
    let private v128 = GateKernels<Simd128, Exponents128, Vector128<float32>>()
    let private v256 = GateKernels<Simd256, Exponents256, Vector256<float32>>()
    let private v512 = GateKernels<Simd512, Exponents512, Vector512<float32>>()

    let ofWidth (width: Width) : GateKernels =
        match width with
        | Width.Scalar -> scalar
        | Width.V128 -> v128
        | Width.V256 -> v256
        | _ -> v512
