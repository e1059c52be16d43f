namespace SparseFs.Kernels

#nowarn "9"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// <summary>The two products that can pass over inputs of 0, as CpuSpmm has the others.</summary>
/// <remarks>Parts own the outputs that they write: samples of a product, columns of a gradient.</remarks>
module internal CpuSparseActivations =

    /// Samples up to which bringing all values into the order of the columns costs more than finding each where it is.
    let private fewSamples = 8

    /// <summary>As spmm, for inputs of which few are not 0.</summary>
    let spmm (machine: ExecutionPolicy) (plan: SpmmPlan) values bias (x: nativeptr<float32>) (n: int) y =
        let pattern = plan.Connectivity
        let t = plan.Transposed machine
        let rows, cols, parts = pattern.Rows, pattern.Cols, machine.Threads
        let inPlace = n <= fewSamples
        use colPtrPin = fixed t.RowPtrArray
        use rowsOfPin = fixed t.ColIdxArray
        use sourcesPin = fixed (if inPlace then plan.Sources else null)
        let colPtr, rowsOf, from = colPtrPin, rowsOfPin, sourcesPin

        let ordered =
            if inPlace then
                null
            else
                CpuSpmm.transposedValues machine plan values

        let values = if inPlace then values else ordered.Floats

        machine.Team.Run(
            parts,
            parts,
            fun part ->
                let sampleFrom = int (int64 n * int64 part / int64 parts)
                let sampleTo = int (int64 n * int64 (part + 1) / int64 parts)
                SparseActivations.multiply colPtr rowsOf from values bias x rows cols sampleFrom sampleTo y
        )

        if not inPlace then
            ScratchPool.giveBack ordered

    /// <summary>As sddmm, for inputs of which few are not 0.</summary>
    let sddmm (machine: ExecutionPolicy) (plan: SpmmPlan) (g: nativeptr<float32>) (x: nativeptr<float32>) (n: int) d =
        let pattern = plan.Connectivity
        let t = plan.Transposed machine
        let c = CpuSpmm.cutOf machine pattern n
        let kernels = TileKernels.ofWidth c.Width
        let rows, cols, parts = pattern.Rows, pattern.Cols, machine.Threads
        let inPlace = n <= fewSamples
        use colPtrPin = fixed t.RowPtrArray
        use rowsOfPin = fixed t.ColIdxArray
        use sourcesPin = fixed (if inPlace then plan.Sources else null)
        let colPtr, rowsOf, from = colPtrPin, rowsOfPin, sourcesPin

        let ordered =
            if inPlace then
                null
            else
                ScratchPool.rent (int64 pattern.Nnz)

        let sums = if inPlace then d else ordered.Floats
        Pointer.clear sums (int64 pattern.Nnz)

        // A part owns columns, and their slots.
        machine.Team.Run(
            parts,
            parts,
            fun part ->
                let colFrom = BatchTiling.rowOfPart t.RowPtrArray part parts
                let colTo = BatchTiling.rowOfPart t.RowPtrArray (part + 1) parts
                let packed = ScratchPool.rent (c.Floats(colTo - colFrom))

                for index in 0 .. c.Tiles - 1 do
                    let tile = c.Tile index
                    let ofTile = Pointer.at g (int64 tile.Sample * int64 rows)
                    kernels.Pack(tile, Pointer.at x (int64 colFrom), cols, colTo - colFrom, packed.Floats)
                    let wide, samples = c.Wide tile, tile.Samples

                    SparseActivations.gradient
                        colPtr
                        rowsOf
                        from
                        ofTile
                        rows
                        packed.Floats
                        wide
                        samples
                        colFrom
                        colTo
                        sums

                ScratchPool.giveBack packed
        )

        if not inPlace then
            plan.Disorder(machine, sums, d)
            ScratchPool.giveBack ordered
