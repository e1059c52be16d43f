namespace SparseFs.Kernels

#nowarn "9"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>The two products that can pass over inputs of 0, as CpuSpmm has the others.</summary>
/// <remarks>Parts own the outputs that they write: samples of a product, columns of a gradient.</remarks>
module internal CpuSparseActivations =

    /// Samples up to which bringing all values into the order of the columns costs more than finding each where it is.
    let private fewSamples = 8

    /// On threads, which takes a closure.
    let private spmmShared (machine: ExecutionPolicy) (kernels: TileKernels) columns from values bias x (n: int) y =
        let parts = machine.Threads

        machine.Team.Run(
            parts,
            parts,
            fun part -> kernels.MultiplySparse(columns, from, values, bias, x, RowPartition.range n part parts, y)
        )

    /// <summary>As spmm, for inputs of which few are not 0; one thread allocates nothing for one sample.</summary>
    let spmm
        (machine: ExecutionPolicy)
        (plan: SpmmPlan)
        values
        bias
        (x: nativeptr<float32>)
        (n: int)
        (y: nativeptr<float32>)
        =
        let pattern = plan.Connectivity
        let t = plan.Transposed machine
        let parts = machine.Threads
        let inPlace = n <= fewSamples
        let kernels = KernelTable.ofWidth machine.Width
        let x = { Data = x; Stride = pattern.Cols }
        let y = { Data = y; Stride = pattern.Rows }
        use sourcesPin = fixed (if inPlace then plan.Sources else [||])
        let from = sourcesPin

        let ordered: AlignedBuffer | null =
            if inPlace then
                null
            else
                CpuSpmm.transposedValues machine plan values

        let values = if inPlace then values else ScratchPool.floats ordered

        CsrView.pinned t 1 -1L (fun columns ->
            if parts = 1 then
                kernels.MultiplySparse(columns, from, values, bias, x, RowPartition.range n 0 1, y)
            else
                spmmShared machine kernels columns from values bias x n y)

        if not inPlace then
            ScratchPool.giveBack ordered

    /// <summary>As sddmm, for inputs of which few are not 0.</summary>
    let sddmm (machine: ExecutionPolicy) (plan: SpmmPlan) (g: nativeptr<float32>) (x: nativeptr<float32>) (n: int) d =
        let pattern = plan.Connectivity
        let t = plan.Transposed machine
        let c = CpuSpmm.cutOf machine pattern n
        let kernels = KernelTable.ofWidth c.Width
        let parts = machine.Threads
        let inPlace = n <= fewSamples
        let g = { Data = g; Stride = pattern.Rows }
        let x = { Data = x; Stride = pattern.Cols }
        use sourcesPin = fixed (if inPlace then plan.Sources else [||])
        let from = sourcesPin

        let ordered: AlignedBuffer | null =
            if inPlace then
                null
            else
                ScratchPool.rent (int64 pattern.Nnz)

        let sums = if inPlace then d else ScratchPool.floats ordered
        Pointer.clear sums (int64 pattern.Nnz)

        // A part owns columns, and their slots.
        CsrView.pinned t 1 -1L (fun columns ->
            machine.Team.Run(
                parts,
                parts,
                fun part ->
                    let own = RowPartition.ofWork 1 t.RowPtrArray part parts
                    let packed = ScratchPool.rent (c.Floats own.Count)

                    for index in 0 .. c.Tiles - 1 do
                        let tile = c.Tile index
                        kernels.Pack(tile, x.From own.From, own.Count, packed.Floats)

                        let packedTile =
                            { Data = packed.Floats
                              Stride = c.Wide tile }

                        let ofTile =
                            { Data = g.Row tile.Sample
                              Stride = g.Stride }

                        kernels.GradientOfSparse(columns, from, ofTile, packedTile, tile.Samples, own, sums)

                    ScratchPool.giveBack packed
            ))

        if not inPlace then
            plan.Disorder(machine, sums, d)
            ScratchPool.giveBack ordered
