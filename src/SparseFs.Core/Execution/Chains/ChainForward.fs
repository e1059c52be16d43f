namespace SparseFs.Kernels

#nowarn "9"

open System.Collections.Generic
open System.Runtime.InteropServices
open Microsoft.FSharp.NativeInterop
open SparseFs

/// Patterns as addresses, as many as there are.
[<RequireQualifiedAccess>]
module internal ChainViews =

    /// <summary>Calls body with a view of each pattern, during which their arrays stay where they are.</summary>
    /// <remarks>By handles: a pin that is a local variable holds what was put into it last, and a recursion that the compiler makes a loop
    /// of puts every pattern into the same one.</remarks>
    let pinned (patterns: (struct (Connectivity * int * int64))[]) (body: CsrView[] -> unit) : unit =
        let handles = Stack<GCHandle>()

        let pin (numbers: int[]) : nativeptr<int> =
            let handle = GCHandle.Alloc(numbers, GCHandleType.Pinned)
            handles.Push handle
            NativePtr.ofNativeInt (handle.AddrOfPinnedObject())

        try
            patterns
            |> Array.map (fun struct (pattern, group, fetchTo) ->
                let rowPtr = pin pattern.RowPtrArray

                { Begin = rowPtr
                  End = Pointer.at rowPtr 1L
                  ColIdx = pin pattern.ColIdxArray
                  FetchTo = fetchTo
                  Group = group })
            |> body
        finally
            for handle in handles do
                handle.Free()

/// <summary>The forward of a chain, on the CPU.</summary>
/// <remarks>Each tile goes through the whole chain before the next one begins; threads share the tiles, so results do not depend on their number,
/// to the bit. Oracle: the operations one after the other in float64, in the tests of chains.</remarks>
module internal ChainForward =

    /// Rows of output that are transposed back together.
    [<Literal>]
    let private Block = 64

    /// The chain's first input of a tile, [inputs, W]: packed and, where there is a normalization, normal before its scale and shift. The product's
    /// input is the second one, which may be the same memory.
    let inputOf
        (tiling: BatchTiling)
        (chain: Chain)
        (tile: Tile)
        (x: MatrixView)
        (normal: nativeptr<float32>)
        (input: nativeptr<float32>)
        (deviations: nativeptr<float32>)
        : unit =
        KernelTable.ofWidth(tiling.Width).Pack(tile, x, chain.Inputs, normal)

        match chain.Norm with
        | ValueNone -> ()
        | ValueSome norm ->
            ChainTable
                .ofWidth(tiling.Width)
                .Normalize(normal, chain.Inputs, tile.Vectors, norm.Epsilon, norm.Scale, norm.Shift, input, deviations)

    let private all (count: int) : RowRange = { From = 0; To = count }

    /// <summary>y [n, outputs] = the chain of x [n, inputs], + the residual [n, outputs] where it is not null.</summary>
    /// <param name="policy">Width and threads.</param>
    /// <param name="tiling">Of the batch, at that width.</param>
    /// <param name="chain">What is computed.</param>
    /// <param name="x">Row-major.</param>
    /// <param name="residual">Row-major, or null.</param>
    /// <param name="y">Overwritten.</param>
    /// <param name="tape">ChainTiling.tapeFloats, overwritten; null where no backward comes.</param>
    let run
        (policy: ExecutionPolicy)
        (tiling: BatchTiling)
        (chain: Chain)
        (x: nativeptr<float32>)
        (residual: nativeptr<float32>)
        (y: nativeptr<float32>)
        (tape: nativeptr<float32>)
        : unit =
        let kernels, between =
            KernelTable.ofWidth tiling.Width, ChainTable.ofWidth tiling.Width

        let x = { Data = x; Stride = chain.Inputs }

        let residual =
            { Data = residual
              Stride = chain.Outputs }

        let y = { Data = y; Stride = chain.Outputs }
        let last = chain.Products.Length - 1
        let hasTape = not (Pointer.isNull tape)
        let lanes = int64 tiling.Lanes

        let views =
            chain.Products
            |> Array.map (fun p ->
                let pattern = p.Plan.Connectivity
                struct (pattern, p.Plan.RowGroup, CpuSpmm.fetchTo tiling pattern))

        /// The last product of a tile, some rows at a time.
        let finish (p: CsrView) (tile: Tile) (input: nativeptr<float32>) =
            let product = chain.Products[last]
            let room = NativePtr.stackalloc<float32>(Block * tiling.Wide tile + 16)
            let block = NativePtr.ofNativeInt ((NativePtr.toNativeInt room + 63n) &&& ~~~63n)
            let mutable row = 0

            while row < chain.Outputs do
                let next = min chain.Outputs (row + Block)
                kernels.Spmm(tile, p, product.Values, product.Bias, input, { From = row; To = next }, block)
                kernels.Unpack(tile, block, next - row, y.From row)

                if not (Pointer.isNull residual.Data) then
                    let into =
                        { Data = (y.From row).Row tile.Sample
                          Stride = y.Stride }

                    let from =
                        { Data = (residual.From row).Row tile.Sample
                          Stride = residual.Stride }

                    between.AddRows(tile.Samples, next - row, from, into)

                row <- next

        ChainViews.pinned views (fun views ->
            policy.Team.Run(
                policy.Threads,
                tiling.Tiles,
                fun index ->
                    let tile = tiling.Tile index
                    let wide = int64 (tiling.Wide tile)
                    let widest = int64 chain.Widest * wide
                    // The input of a product, what a product gives where there is no tape, and what the normalization divides by.
                    let scratch = ScratchPool.rent (2L * widest + wide + lanes)
                    let input = scratch.Floats
                    let given = Pointer.at input widest
                    inputOf tiling chain tile x input input (Pointer.at given widest)

                    for index in 0 .. last - 1 do
                        let product = chain.Products[index]

                        let given =
                            if hasTape then
                                Pointer.at tape (ChainTiling.tapePlace tiling chain tile index)
                            else
                                given

                        kernels.Spmm(
                            tile,
                            views[index],
                            product.Values,
                            product.Bias,
                            input,
                            all product.Plan.Connectivity.Rows,
                            given
                        )

                        between.Activate(
                            chain.Activations[index],
                            given,
                            chain.Hidden index,
                            int wide,
                            input,
                            Pointer.nothing
                        )

                    finish views[last] tile input
                    ScratchPool.giveBack scratch
            ))
