namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open System
open System.Runtime.CompilerServices
open System.Runtime.Intrinsics
open System.Runtime.Intrinsics.X86
open System.Threading.Tasks
open Microsoft.FSharp.NativeInterop
open SparseFs

/// What a call may use; a test forces each.
[<Struct>]
type internal Machine = { Width: Width; Threads: int }

/// <summary>The only place that chooses: width, tile, threads.</summary>
/// <remarks>
/// A call packs its samples into tiles [features, width] that all threads share, then deals the rows to the threads by
/// their slots. Every choice but the deal depends on shapes alone, and each output belongs to one part: so results do
/// not depend on the number of threads, to the bit.
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

    /// Packed samples of one pass; with more, the batch is taken in several passes.
    let private passBytes = 32L * 1024L * 1024L

    /// Rows of output that are transposed back together: a cache line of floats.
    let private rowBlock = 16

    /// How a batch is cut: samples of a tile, lanes of a vector, samples of a pass.
    [<Struct>]
    type private Cut =
        { Width: Width
          Lanes: int
          Tile: int
          Pass: int }

        /// The samples of the tile that starts at a sample, padded to whole vectors.
        member c.PaddedFrom(sample: int, n: int) =
            let rest = min c.Tile (n - sample)
            (rest + c.Lanes - 1) / c.Lanes * c.Lanes

    /// The narrowest width that holds the whole batch in one vector, or the one that is given.
    let private narrowed (width: Width) (n: int) : Width =
        if n = 1 then Width.Scalar
        elif n <= 4 && width >= Width.V128 then Width.V128
        elif n <= 8 && width >= Width.V256 then Width.V256
        else width

    /// features: the length of what is packed; tiled: the part of it that the inner loop jumps about in.
    let private cut (machine: Machine) (n: int) (features: int64) (tiled: int) : Cut =
        let width = narrowed machine.Width n
        let lanes = int width

        let fits samples =
            int64 tiled * int64 samples * 4L <= int64 tileBytes

        let tile =
            [ 64; 32 ]
            |> List.tryFind fits
            |> Option.defaultValue 16
            |> max lanes
            |> min ((n + lanes - 1) / lanes * lanes)

        let tilesOfPass = max 1L (passBytes / (features * int64 tile * 4L + 1L))

        { Width = width
          Lanes = lanes
          Tile = tile
          Pass = int (min (int64 n) (tilesOfPass * int64 tile)) }

    let private fork (threads: int) (parts: int) (body: int -> unit) =
        if threads = 1 || parts = 1 then
            for part in 0 .. parts - 1 do
                body part
        else
            Parallel.For(0, parts, ParallelOptions(MaxDegreeOfParallelism = threads), body)
            |> ignore

    /// Several parts a thread, so that one that is held up elsewhere takes fewer.
    let private partsOf (threads: int) = if threads = 1 then 1 else 4 * threads

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

    let private packTile width x n m tile tileWidth colFrom colTo =
        match width with
        | Width.Scalar -> Pack.tile<Lanes1, float32> x n m tile tileWidth colFrom colTo
        | Width.V128 -> Pack.tile<Lanes4, Vector128<float32>> x n m tile tileWidth colFrom colTo
        | Width.V256 -> Pack.tile<Lanes8, Vector256<float32>> x n m tile tileWidth colFrom colTo
        | _ -> Pack.tile<Lanes16, Vector512<float32>> x n m tile tileWidth colFrom colTo

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

    /// Packs samples from .. to − 1 of x [n, features], tile after tile, one part of the features.
    let private packPart (c: Cut) (x: nativeptr<float32>) from upTo features (packed: nativeptr<float32>) part parts =
        let bound k =
            int (int64 features * int64 k / int64 parts) / rowBlock * rowBlock

        let colFrom = bound part
        let colTo = if part = parts - 1 then features else bound (part + 1)
        let mutable sample = from

        while sample < upTo do
            let tile = Pointer.at packed (int64 (sample - from) * int64 features)
            let width = c.PaddedFrom(sample, upTo)
            let samples = min c.Tile (upTo - sample)
            packTile c.Width (Pointer.at x (int64 sample * int64 features)) samples features tile width colFrom colTo
            sample <- sample + c.Tile

    /// Rows rowFrom .. rowTo − 1 of y [n, rows] for the samples of one pass.
    let private spmmPart (c: Cut) p values bias packed from upTo rows cols rowFrom rowTo (y: nativeptr<float32>) =
        // A block of output rows, on a cache line's boundary.
        let room = NativePtr.stackalloc<float32>(rowBlock * c.Tile + 16)
        let block = NativePtr.ofNativeInt ((NativePtr.toNativeInt room + 63n) &&& ~~~63n)
        let mutable sample = from

        while sample < upTo do
            let tile = Pointer.at packed (int64 (sample - from) * int64 cols)
            let width = c.PaddedFrom(sample, upTo)
            let samples = min c.Tile (upTo - sample)
            let mutable row = rowFrom

            while row < rowTo do
                let next = min rowTo (row + rowBlock)
                spmmRows c.Width p values bias tile width row next block
                let target = Pointer.at y (int64 sample * int64 rows + int64 row)
                transpose c.Width block (int64 width) (next - row) samples target (int64 rows)
                row <- next

            sample <- sample + c.Tile

    /// Floats of scratch for one pass over samples of this many features.
    let private packedFloats (c: Cut) (features: int) =
        int64 (c.Pass + c.Lanes) * int64 features

    let private spmmPasses
        (machine: Machine)
        (pattern: Connectivity)
        (values: nativeptr<float32>)
        (bias: nativeptr<float32>)
        (x: nativeptr<float32>)
        (n: int)
        (y: nativeptr<float32>)
        =
        let rowPtr, rows, cols = pattern.RowPtrArray, pattern.Rows, pattern.Cols
        let c = cut machine n (int64 cols) cols
        let threads = machine.Threads
        let parts = partsOf threads
        let scratch = Scratch.rent (packedFloats c cols)
        let packed = scratch.Floats
        use rowPtrPin = fixed rowPtr
        use colIdxPin = fixed pattern.ColIdxArray

        let p =
            { RowPtr = rowPtrPin
              ColIdx = colIdxPin }

        let mutable from = 0

        while from < n do
            let first = from
            let upTo = min n (from + c.Pass)
            fork threads parts (fun part -> packPart c x first upTo cols packed part parts)

            fork threads parts (fun part ->
                let rowFrom = rowOfPart rowPtr part parts
                let rowTo = rowOfPart rowPtr (part + 1) parts
                spmmPart c p values bias packed first upTo rows cols rowFrom rowTo y)

            from <- upTo

        Scratch.giveBack scratch

    /// <summary>y [n, rows] = x [n, cols] · Wᵀ + bias, with W's values at the pattern; y is overwritten.</summary>
    /// <remarks>bias is [rows] or null. All are row-major, and the caller has checked every size.</remarks>
    let spmm (machine: Machine) (plan: Plan) values bias x n y =
        spmmPasses machine plan.Connectivity values bias x n y

    /// <summary>x [n, cols] = g [n, rows] · W; x is overwritten.</summary>
    let spmmT (machine: Machine) (plan: Plan) (values: nativeptr<float32>) g n x =
        let transposed = plan.Transposed
        let slotMap = plan.SlotMap
        let scratch = Scratch.rent (int64 transposed.Nnz)
        let valuesT = scratch.Floats
        let threads = machine.Threads
        let parts = partsOf threads

        // Read through the slot map once a call, not once a tile.
        fork threads parts (fun part ->
            let bound k =
                int (int64 slotMap.Length * int64 k / int64 parts)

            for s in bound part .. bound (part + 1) - 1 do
                Pointer.set valuesT s (Pointer.get values slotMap[s]))

        spmmPasses machine transposed valuesT (NativePtr.ofNativeInt 0n) g n x
        Scratch.giveBack scratch

    /// <summary>d [nnz] = (gᵀ · x) at the pattern, for g [n, rows] and x [n, cols]; d is overwritten.</summary>
    let sddmm (machine: Machine) (plan: Plan) (g: nativeptr<float32>) (x: nativeptr<float32>) (n: int) d =
        let pattern = plan.Connectivity
        let rowPtr, rows, cols = pattern.RowPtrArray, pattern.Rows, pattern.Cols

        if n = 0 then
            Span<float32>(NativePtr.toVoidPtr d, pattern.Nnz).Clear()
        else
            let c = cut machine n (int64 rows + int64 cols) cols
            let threads = machine.Threads
            let parts = partsOf threads
            let scratch = Scratch.rent (packedFloats c cols + packedFloats c rows)
            let packedX = scratch.Floats
            let packedG = Pointer.at packedX (packedFloats c cols)
            use rowPtrPin = fixed rowPtr
            use colIdxPin = fixed pattern.ColIdxArray

            let p =
                { RowPtr = rowPtrPin
                  ColIdx = colIdxPin }

            let mutable from = 0

            while from < n do
                let first = from
                let upTo = min n (from + c.Pass)

                fork threads parts (fun part ->
                    packPart c x first upTo cols packedX part parts
                    packPart c g first upTo rows packedG part parts)

                fork threads parts (fun part ->
                    let rowFrom = rowOfPart rowPtr part parts
                    let rowTo = rowOfPart rowPtr (part + 1) parts
                    let mutable sample = first

                    while sample < upTo do
                        let tileG = Pointer.at packedG (int64 (sample - first) * int64 rows)
                        let tileX = Pointer.at packedX (int64 (sample - first) * int64 cols)
                        let width = c.PaddedFrom(sample, upTo)
                        sddmmRows c.Width p tileG tileX width rowFrom rowTo (sample > 0) d
                        sample <- sample + c.Tile)

                from <- upTo

            Scratch.giveBack scratch
