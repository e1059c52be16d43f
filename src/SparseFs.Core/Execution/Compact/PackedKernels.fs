namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open System.Runtime.Intrinsics
open Microsoft.FSharp.NativeInterop
open SparseFs

/// The kernels of packed weights at one width, for one form of values and of columns.
[<AbstractClass>]
type internal PackedKernels() =

    /// Some groups' rows of y.
    abstract Multiply:
        group: int * p: PackedView * x: nativeptr<float32> * groups: RowRange * y: nativeptr<float32> -> unit

[<Sealed>]
type internal PackedKernels<'L, 'V, 'C, 'F, 'I
    when 'L: struct
    and 'L :> ISimdVector<'V>
    and 'V: struct
    and 'C: struct
    and 'C :> IPackedVector<'V>
    and 'F: struct
    and 'F :> IPackedValues
    and 'I: struct
    and 'I :> IColumns>() =
    inherit PackedKernels()

    override _.Multiply(group, p, x, groups, y) =
        match group with
        | 16 -> PackedGroupProducts.many<'L, 'V, 'C, 'F, 'I, Sixteen> p x groups y
        | 8 when 'L.Count > 8 -> PackedGroupProducts.few<'L, 'V, 'C, 'F, 'I, Eight> p x groups y
        | 8 -> PackedGroupProducts.many<'L, 'V, 'C, 'F, 'I, Eight> p x groups y
        | 4 when 'L.Count > 4 -> PackedGroupProducts.few<'L, 'V, 'C, 'F, 'I, Four> p x groups y
        | 4 -> PackedGroupProducts.many<'L, 'V, 'C, 'F, 'I, Four> p x groups y
        | _ -> PackedRowProducts.rows<'L, 'V, 'C, 'F, 'I> p x groups y

/// What runs for which weights.
[<RequireQualifiedAccess>]
module internal PackedTable =

    let private ofColumns<'L, 'V, 'C, 'F
        when 'L: struct
        and 'L :> ISimdVector<'V>
        and 'V: struct
        and 'C: struct
        and 'C :> IPackedVector<'V>
        and 'F: struct
        and 'F :> IPackedValues>
        ()
        : PackedKernels[] =
        [| PackedKernels<'L, 'V, 'C, 'F, Columns16>()
           PackedKernels<'L, 'V, 'C, 'F, Columns32>() |]

    let private ofForms<'L, 'V, 'C
        when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct and 'C: struct and 'C :> IPackedVector<'V>>
        ()
        : PackedKernels[] =
        Array.concat
            [ ofColumns<'L, 'V, 'C, Float32Values>()
              ofColumns<'L, 'V, 'C, BFloat16Values>()
              ofColumns<'L, 'V, 'C, Int8Values>() ]

    let private scalar = ofForms<SimdScalar, float32, PackedScalar>()
    let private v128 = ofForms<Simd128, Vector128<float32>, Packed128>()
    let private v256 = ofForms<Simd256, Vector256<float32>, Packed256>()
    let private v512 = ofForms<Simd512, Vector512<float32>, Packed512>()

    let find (width: Width) (weights: PackedRows) : PackedKernels =
        let index = 2 * int weights.Form + (if weights.IsWide then 1 else 0)

        match width with
        | Width.Scalar -> scalar[index]
        | Width.V128 -> v128[index]
        | Width.V256 -> v256[index]
        | _ -> v512[index]
