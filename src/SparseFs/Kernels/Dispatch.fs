namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open System
open System.Runtime.CompilerServices
open System.Runtime.Intrinsics
open System.Runtime.Intrinsics.X86
open Microsoft.FSharp.NativeInterop
open SparseFs

/// What a call may use; a test forces each.
[<Struct>]
type internal Machine = { Width: Width; Threads: int }

/// <summary>The only place that chooses: width, tile, threads.</summary>
/// <remarks>
/// A call is cut into parts: a tile of samples and a range of rows. A part packs its tile [features, width] for itself,
/// so that no thread reads what another has written, and owns the outputs that it writes. Tiles follow from shapes
/// alone, and no sum crosses parts: so results do not depend on the number of threads, to the bit.
/// </remarks>
module internal Dispatch =

    /// The widths that this machine has, the widest last.
    let widths: Width list =
        [ Width.Scalar
          if Vector128.IsHardwareAccelerated then
              Width.V128
          if Avx2.IsSupported && Fma.IsSupported then
              Width.V256
          if Avx512F.IsSupported && Vector512.IsHardwareAccelerated then
              Width.V512 ]

    let widest: Width = List.last widths

    /// Multiply-adds below which a second thread costs more than it brings.
    let private workOfThread = 100_000L

    /// The widest width, and as many of the threads as a product of nnz slots and n samples keeps busy.
    let machineFor (threads: int) (nnz: int) (n: int) : Machine =
        let busy = int64 nnz * int64 n / workOfThread

        { Width = widest
          Threads = int (max 1L (min (int64 threads) busy)) }

    /// A tile up to this size stays in the second-level cache beside what streams through it.
    let private tileBytes = 768 * 1024

    /// Rows of output that are transposed back together: a cache line of floats.
    let private rowBlock = 16

    /// How a batch is cut: samples of a tile, lanes of a vector.
    [<Struct>]
    type private Cut =
        { Width: Width
          Lanes: int
          Tile: int
          N: int }

        member c.Tiles = (c.N + c.Tile - 1) / c.Tile

        /// The samples of the tile that starts at a sample.
        member c.SamplesFrom(sample: int) = min c.Tile (c.N - sample)

        /// The same, padded to whole vectors.
        member c.WidthFrom(sample: int) =
            (c.SamplesFrom sample + c.Lanes - 1) / c.Lanes * c.Lanes

        /// Floats of one packed tile.
        member c.TileFloats(features: int) = int64 c.Tile * int64 features

    /// The narrowest width that holds the whole batch in one vector, or the one that is given.
    let private narrowed (width: Width) (n: int) : Width =
        if n = 1 then Width.Scalar
        elif n <= 4 && width >= Width.V128 then Width.V128
        elif n <= 8 && width >= Width.V256 then Width.V256
        else width

    /// features: the rows of a tile, in which the inner loop jumps about.
    let private cut (machine: Machine) (n: int) (features: int) : Cut =
        let width = narrowed machine.Width n
        let lanes = int width
        let wholeVectors (samples: int) = (samples + lanes - 1) / lanes * lanes

        let mutable tile = 64

        while tile > 16 && int64 features * int64 tile * 4L > int64 tileBytes do
            tile <- tile / 2

        { Width = width
          Lanes = lanes
          Tile = min (max lanes tile) (wholeVectors n)
          N = n }

    /// The first row of a part, of equal work: a slot and a row count alike.
    let private rowOfPart (rowPtr: int[]) (part: int) (parts: int) : int =
        let rows = rowPtr.Length - 1
        let target = (int64 rowPtr[rows] + int64 rows) * int64 part / int64 parts
        let mutable low = 0
        let mutable high = rows

        while low < high do
            let mid = (low + high) / 2

            if int64 rowPtr[mid] + int64 mid < target then
                low <- mid + 1
            else
                high <- mid

        low

    let private packTile width x lds n m tile tileWidth =
        match width with
        | Width.Scalar -> Pack.tile<Lanes1, float32> x lds n m tile tileWidth
        | Width.V128 -> Pack.tile<Lanes4, Vector128<float32>> x lds n m tile tileWidth
        | Width.V256 -> Pack.tile<Lanes8, Vector256<float32>> x lds n m tile tileWidth
        | _ -> Pack.tile<Lanes16, Vector512<float32>> x lds n m tile tileWidth

    let private transpose width src lds n m dst ldd =
        match width with
        | Width.Scalar -> Pack.transpose<Lanes1, float32> src lds n m dst ldd
        | Width.V128 -> Pack.transpose<Lanes4, Vector128<float32>> src lds n m dst ldd
        | Width.V256 -> Pack.transpose<Lanes8, Vector256<float32>> src lds n m dst ldd
        | _ -> Pack.transpose<Lanes16, Vector512<float32>> src lds n m dst ldd

    let private spmmRows width p values bias tile tileWidth rowFrom rowTo y =
        match width with
        | Width.Scalar -> Spmm.rows<Lanes1, float32> p values bias tile tileWidth rowFrom rowTo y
        | Width.V128 -> Spmm.rows<Lanes4, Vector128<float32>> p values bias tile tileWidth rowFrom rowTo y
        | Width.V256 -> Spmm.rows<Lanes8, Vector256<float32>> p values bias tile tileWidth rowFrom rowTo y
        | _ -> Spmm.rows<Lanes16, Vector512<float32>> p values bias tile tileWidth rowFrom rowTo y

    let private sddmmRows width p g tile tileWidth rowFrom rowTo accumulate d =
        match width with
        | Width.Scalar -> Sddmm.rows<Lanes1, float32> p g tile tileWidth rowFrom rowTo accumulate d
        | Width.V128 -> Sddmm.rows<Lanes4, Vector128<float32>> p g tile tileWidth rowFrom rowTo accumulate d
        | Width.V256 -> Sddmm.rows<Lanes8, Vector256<float32>> p g tile tileWidth rowFrom rowTo accumulate d
        | _ -> Sddmm.rows<Lanes16, Vector512<float32>> p g tile tileWidth rowFrom rowTo accumulate d

    /// Some rows of y [n, rows] for the samples of one tile.
    let private spmmPart (c: Cut) p values bias (x: nativeptr<float32>) rows cols sample rowFrom rowTo y =
        let scratch = Scratch.rent (c.TileFloats cols)
        let samples, width = c.SamplesFrom sample, c.WidthFrom sample
        packTile c.Width (Pointer.at x (int64 sample * int64 cols)) (int64 cols) samples cols scratch.Floats width

        // A block of output rows, on a cache line's boundary.
        let room = NativePtr.stackalloc<float32>(rowBlock * c.Tile + 16)
        let block = NativePtr.ofNativeInt ((NativePtr.toNativeInt room + 63n) &&& ~~~63n)
        let mutable row = rowFrom

        while row < rowTo do
            let next = min rowTo (row + rowBlock)
            spmmRows c.Width p values bias scratch.Floats width row next block
            let target = Pointer.at y (int64 sample * int64 rows + int64 row)
            transpose c.Width block (int64 width) (next - row) samples target (int64 rows)
            row <- next

        Scratch.giveBack scratch

    let private spmmOf
        (machine: Machine)
        (pattern: Connectivity)
        (values: nativeptr<float32>)
        (bias: nativeptr<float32>)
        (x: nativeptr<float32>)
        (n: int)
        (y: nativeptr<float32>)
        =
        let rowPtr, rows, cols = pattern.RowPtrArray, pattern.Rows, pattern.Cols
        use rowPtrPin = fixed rowPtr
        use colIdxPin = fixed pattern.ColIdxArray

        let p =
            { RowPtr = rowPtrPin
              ColIdx = colIdxPin }

        if n = 1 then
            // One sample is its own tile, and its outputs lie as the rows do.
            Team.run machine.Threads machine.Threads (fun part ->
                let rowFrom = rowOfPart rowPtr part machine.Threads
                let rowTo = rowOfPart rowPtr (part + 1) machine.Threads
                spmmRows Width.Scalar p values bias x 1 rowFrom rowTo (Pointer.at y (int64 rowFrom)))
        elif n > 1 then
            let c = cut machine n cols
            let tiles = c.Tiles

            // Tiles alone keep the threads equally busy if there are many, or a round number; else each is shared.
            let groups =
                if tiles % machine.Threads = 0 || tiles >= 4 * machine.Threads then
                    1
                else
                    machine.Threads

            Team.run machine.Threads (tiles * groups) (fun part ->
                let tile, group = part / groups, part % groups
                let rowFrom = rowOfPart rowPtr group groups
                let rowTo = rowOfPart rowPtr (group + 1) groups
                spmmPart c p values bias x rows cols (tile * c.Tile) rowFrom rowTo y)

    /// <summary>y [n, rows] = x [n, cols] · Wᵀ + bias, with W's values at the pattern; y is overwritten.</summary>
    /// <remarks>bias is [rows] or null. All are row-major, and the caller has checked every size.</remarks>
    let spmm (machine: Machine) (plan: Plan) values bias x n y =
        spmmOf machine plan.Connectivity values bias x n y

    /// <summary>x [n, cols] = g [n, rows] · W; x is overwritten.</summary>
    let spmmT (machine: Machine) (plan: Plan) (values: nativeptr<float32>) g n x =
        let transposed = plan.Transposed
        let slotMap = plan.SlotMap
        let scratch = Scratch.rent (int64 transposed.Nnz)
        let valuesT = scratch.Floats

        // Read through the slot map once a call, not once a tile.
        Team.run machine.Threads machine.Threads (fun part ->
            let bound k =
                int (int64 slotMap.Length * int64 k / int64 machine.Threads)

            for s in bound part .. bound (part + 1) - 1 do
                Pointer.set valuesT s (Pointer.get values slotMap[s]))

        spmmOf machine transposed valuesT (NativePtr.ofNativeInt 0n) g n x
        Scratch.giveBack scratch

    /// The slots of some rows, over all tiles.
    let private sddmmPart (c: Cut) p (g: nativeptr<float32>) (x: nativeptr<float32>) rows cols rowFrom rowTo d =
        let ownRows = rowTo - rowFrom
        let scratch = Scratch.rent (c.TileFloats cols + c.TileFloats ownRows)
        let tileX = scratch.Floats
        let tileG = Pointer.at tileX (c.TileFloats cols)
        let mutable sample = 0

        while sample < c.N do
            let samples, width = c.SamplesFrom sample, c.WidthFrom sample
            let ownG = Pointer.at g (int64 sample * int64 rows + int64 rowFrom)
            packTile c.Width (Pointer.at x (int64 sample * int64 cols)) (int64 cols) samples cols tileX width
            packTile c.Width ownG (int64 rows) samples ownRows tileG width
            // The kernel counts rows from 0; only the part's own are there.
            let tileOfAll = Pointer.at tileG (-(int64 rowFrom) * int64 width)
            sddmmRows c.Width p tileOfAll tileX width rowFrom rowTo (sample > 0) d
            sample <- sample + c.Tile

        Scratch.giveBack scratch

    /// <summary>d [nnz] = (gᵀ · x) at the pattern, for g [n, rows] and x [n, cols]; d is overwritten.</summary>
    let sddmm (machine: Machine) (plan: Plan) (g: nativeptr<float32>) (x: nativeptr<float32>) (n: int) d =
        let pattern = plan.Connectivity
        let rowPtr, rows, cols = pattern.RowPtrArray, pattern.Rows, pattern.Cols

        if n = 0 then
            Span<float32>(NativePtr.toVoidPtr d, pattern.Nnz).Clear()
        else
            use rowPtrPin = fixed rowPtr
            use colIdxPin = fixed pattern.ColIdxArray

            let p =
                { RowPtr = rowPtrPin
                  ColIdx = colIdxPin }

            Team.run machine.Threads machine.Threads (fun part ->
                let rowFrom = rowOfPart rowPtr part machine.Threads
                let rowTo = rowOfPart rowPtr (part + 1) machine.Threads

                if n = 1 then
                    sddmmRows Width.Scalar p g x 1 rowFrom rowTo false d
                else
                    sddmmPart (cut machine n cols) p g x rows cols rowFrom rowTo d)
