namespace SparseFs.Kernels

#nowarn "9"

open Microsoft.FSharp.NativeInterop

/// <summary>Some samples of states: from and to matrices of the caller's, [samples, units], which may be null for zeros or for nobody.</summary>
/// <remarks>A sample begins and ends once a sequence, so these loops need not be fast.</remarks>
[<RequireQualifiedAccess>]
module internal RecurrentLanes =

    let inline private over
        (units: RowRange)
        (samples: RowRange)
        (state: nativeptr<float32>)
        (apart: int64)
        ([<InlineIfLambda>] body: nativeptr<float32> -> int -> int -> unit)
        =
        if samples.Count > 0 then
            for u in units.From .. units.To - 1 do
                let row = Pointer.at state (int64 u * apart)

                for i in samples.From .. samples.To - 1 do
                    body (Pointer.at row (int64 i)) i u

    /// Zeros.
    let clear (units: RowRange) (samples: RowRange) (state: nativeptr<float32>) (apart: int64) : unit =
        over units samples state apart (fun place _ _ -> NativePtr.write place 0.0f)

    /// The state of the samples becomes that of the matrix, whose first row is the tile's first sample.
    let enter (units: RowRange) (samples: RowRange) (matrix: MatrixView) (state: nativeptr<float32>) (apart: int64) =
        if not (Pointer.isNull matrix.Data) then
            over units samples state apart (fun place i u -> NativePtr.write place (Pointer.get (matrix.Row i) u))

    /// The matrix is added to the state of the samples.
    let add (units: RowRange) (samples: RowRange) (matrix: MatrixView) (state: nativeptr<float32>) (apart: int64) =
        if not (Pointer.isNull matrix.Data) then
            over units samples state apart (fun place i u ->
                NativePtr.write place (NativePtr.read place + Pointer.get (matrix.Row i) u))

    /// The matrix gets the state of the samples.
    let leave (units: RowRange) (samples: RowRange) (matrix: MatrixView) (state: nativeptr<float32>) (apart: int64) =
        if not (Pointer.isNull matrix.Data) then
            over units samples state apart (fun place i u -> Pointer.set (matrix.Row i) u (NativePtr.read place))

    /// A tile's samples of a matrix; of nobody where there is none.
    let ofTile (matrix: nativeptr<float32>) (units: int) (tile: Tile) : MatrixView =
        { Data =
            if Pointer.isNull matrix then
                matrix
            else
                Pointer.at matrix (int64 tile.Sample * int64 units)
          Stride = units }
