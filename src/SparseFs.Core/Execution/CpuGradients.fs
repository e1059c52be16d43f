namespace SparseFs.Kernels

#nowarn "9"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// Where the gradients of a product go: each is overwritten, or null where nobody wants it.
[<Struct>]
type internal Gradients =
    {
        /// [nnz]
        Values: nativeptr<float32>
        /// [rows]
        Bias: nativeptr<float32>
        /// [n, cols]
        Input: nativeptr<float32>
    }

/// <summary>The gradients of a product: of values, bias and input, in one pass over the batch where that is faster.</summary>
/// <remarks>Groups of tiles add up gradients of their own, which are added in the end; they follow from shapes alone, so that
/// results do not depend on the number of threads, to the bit.</remarks>
module internal CpuGradients =

    /// <summary>The gradients of y = x · Wᵀ + bias for an upstream g [n, rows].</summary>
    /// <remarks>values may be null where the input's gradient is not wanted, x where the values' is not. Where groups of
    /// tiles keep all threads busy, one pass packs each tile of g once for the three gradients.</remarks>
    let gradients
        (machine: ExecutionPolicy)
        (plan: SpmmPlan)
        (values: nativeptr<float32>)
        (g: nativeptr<float32>)
        (x: nativeptr<float32>)
        (n: int)
        (wanted: Gradients)
        =
        let pattern = plan.Connectivity

        let rowPtr, rows, cols, nnz =
            pattern.RowPtrArray, pattern.Rows, pattern.Cols, pattern.Nnz

        let wantsValues = not (Pointer.isNull wanted.Values)
        let wantsBias = not (Pointer.isNull wanted.Bias)
        let wantsInput = not (Pointer.isNull wanted.Input)
        let c = CpuSpmm.cutOfGradients machine pattern n

        let groups =
            RowPartition.groupsOfSums c.Tiles pattern.Nnz (int64 c.N * (int64 pattern.Rows + int64 pattern.Cols))

        let inOnePass =
            wantsInput
            && (wantsValues || wantsBias)
            && not (CpuSpmm.scatters c plan)
            && groups >= machine.Threads

        if wantsInput && not inOnePass then
            CpuSpmm.spmmT machine plan values g n wanted.Input

        if n = 0 then
            if wantsValues then
                Pointer.clear wanted.Values (int64 nnz)

            if wantsBias then
                Pointer.clear wanted.Bias (int64 rows)
        elif wantsValues || wantsBias then
            let patternT = if inOnePass then plan.Transposed machine else pattern

            let valuesT: AlignedBuffer | null =
                if inOnePass then
                    CpuSpmm.transposedValues machine plan values
                else
                    null

            // A group's sums, where there are several: of the values, behind them those of the bias.
            let partial: AlignedBuffer | null =
                if groups > 1 then
                    ScratchPool.rent (int64 groups * (int64 nnz + int64 rows))
                else
                    null

            let partialSums = ScratchPool.floats partial
            let transposedValues = ScratchPool.floats valuesT

            let valuesOf group =
                if groups > 1 then
                    Pointer.at partialSums (int64 group * int64 nnz)
                else
                    wanted.Values

            let biasOf group =
                if groups > 1 then
                    Pointer.at partialSums (int64 groups * int64 nnz + int64 group * int64 rows)
                else
                    wanted.Bias

            let kernels = KernelTable.ofWidth c.Width
            let shares = (machine.Threads + groups - 1) / groups
            let allG = { Data = g; Stride = rows }
            let allX = { Data = x; Stride = cols }
            let dInput = { Data = wanted.Input; Stride = cols }

            CsrView.pinned pattern plan.RowGroup (CpuSpmm.fetchTo c pattern) (fun p ->
                CsrView.pinned patternT 1 (CpuSpmm.fetchTo c patternT) (fun pT ->
                    machine.Team.Run(
                        machine.Threads,
                        groups * shares,
                        fun part ->
                            let group, share = part / shares, part % shares
                            let own = RowPartition.ofWork plan.RowGroup rowPtr share shares
                            let tileFrom = c.Tiles * group / groups

                            let scratch = ScratchPool.rent (c.Floats cols + c.Floats own.Count)
                            // One sample is its own tile.
                            let packedX = if n = 1 then x else scratch.Floats
                            let ownG = allG.From own.From

                            let packedG =
                                if n = 1 then
                                    ownG.Data
                                else
                                    Pointer.at scratch.Floats (c.Floats cols)

                            for index in tileFrom .. c.Tiles * (group + 1) / groups - 1 do
                                let tile = c.Tile index
                                let accumulate = index > tileFrom

                                if n > 1 then
                                    kernels.Pack(tile, ownG, own.Count, packedG)

                                if wantsBias then
                                    let sums = Pointer.at (biasOf group) (int64 own.From)
                                    kernels.RowSums(tile, packedG, own.Count, accumulate, sums)

                                if inOnePass then
                                    let all = { From = 0; To = cols }
                                    let ofT, none = transposedValues, Pointer.nothing
                                    KernelTable.multiply c tile pT ofT none packedG all dInput

                                if wantsValues then
                                    if n > 1 then
                                        kernels.Pack(tile, allX, cols, packedX)

                                    kernels.Sddmm(tile, p, packedG, packedX, own, accumulate, valuesOf group)

                            ScratchPool.giveBack scratch
                    )))

            if groups > 1 then
                if wantsValues then
                    kernels.AddGroups(groups, nnz, valuesOf 0, wanted.Values)

                if wantsBias then
                    kernels.AddGroups(groups, rows, biasOf 0, wanted.Bias)

                ScratchPool.giveBack partial

            if inOnePass then
                ScratchPool.giveBack valuesT

    /// <summary>d [nnz] = (gᵀ · x) at the pattern, for g [n, rows] and x [n, cols]; d is overwritten.</summary>
    let sddmm (machine: ExecutionPolicy) (plan: SpmmPlan) (g: nativeptr<float32>) (x: nativeptr<float32>) (n: int) d =
        gradients
            machine
            plan
            Pointer.nothing
            g
            x
            n
            { Values = d
              Bias = Pointer.nothing
              Input = Pointer.nothing }
