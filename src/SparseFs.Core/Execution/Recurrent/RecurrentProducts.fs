namespace SparseFs.Kernels

#nowarn "9"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// Where the gradients of a recurrent layer's weights go: each is overwritten, or null where nobody wants it.
[<Struct>]
type internal RecurrentGradients =
    { InputValues: nativeptr<float32>
      StateValues: nativeptr<float32>
      InputBias: nativeptr<float32>
      StateBias: nativeptr<float32> }

/// <summary>What comes behind a recurrent layer's backward: products over all steps, from the gradients of the gates.</summary>
module internal RecurrentProducts =

    /// The gradients of a matrix's values and of its bias, of some rows.
    let private weightShare
        (plan: RecurrentPlan)
        (p: CsrView)
        (own: RowRange)
        (gates: nativeptr<float32>)
        (factors: nativeptr<float32>)
        (cols: int)
        (dValues: nativeptr<float32>)
        (dBias: nativeptr<float32>)
        =
        let tiling = plan.Tiling
        let kernels = KernelTable.ofWidth tiling.Width

        for index in 0 .. tiling.Tiles - 1 do
            let tile = tiling.Tile index

            for block in 0 .. plan.Blocks tile - 1 do
                let step = block * plan.StepsOfBlock tile
                let asTile = plan.Block(tile, block)
                let accumulate = index > 0 || block > 0
                let place = plan.Place(tile, step, plan.Rows)
                let g = Pointer.at gates (place.Floats + int64 own.From * place.Apart)

                if not (Pointer.isNull dBias) then
                    kernels.RowSums(asTile, g, own.Count, accumulate, Pointer.at dBias (int64 own.From))

                if not (Pointer.isNull dValues) then
                    let x = Pointer.at factors (plan.Place(tile, step, cols)).Floats
                    kernels.Sddmm(asTile, p, g, x, own, accumulate, dValues)

    /// <summary>The gradients of the weights, from those of the gates.</summary>
    let weights
        (policy: ExecutionPolicy)
        (plan: RecurrentPlan)
        (w: RecurrentWeights)
        (tape: RecurrentTape)
        (gates: GateGradients)
        (wanted: RecurrentGradients)
        : unit =
        let wantsInputs =
            not (Pointer.isNull wanted.InputValues && Pointer.isNull wanted.InputBias)

        let wantsState =
            not (Pointer.isNull wanted.StateValues && Pointer.isNull wanted.StateBias)

        let ofInputs, ofState = w.OfInputs.Connectivity, w.OfState.Connectivity
        let fetchTo = CpuSpmm.fetchTo plan.Tiling
        let shares = policy.Threads

        CsrView.pinned ofInputs w.OfInputs.RowGroup (fetchTo ofInputs) (fun p ->
            CsrView.pinned ofState w.OfState.RowGroup (fetchTo ofState) (fun pState ->
                policy.Team.Run(
                    policy.Threads,
                    2 * shares,
                    fun part ->
                        let share = part % shares

                        if part < shares && wantsInputs then
                            let own = RowPartition.ofWork w.OfInputs.RowGroup ofInputs.RowPtrArray share shares

                            weightShare
                                plan
                                p
                                own
                                gates.OfInputs
                                tape.Inputs
                                plan.Inputs
                                wanted.InputValues
                                wanted.InputBias
                        elif part >= shares && wantsState then
                            let own = RowPartition.ofWork w.OfState.RowGroup ofState.RowPtrArray share shares

                            weightShare
                                plan
                                pState
                                own
                                gates.OfState
                                tape.Before
                                plan.Units
                                wanted.StateValues
                                wanted.StateBias
                )))

    /// A block's rows in some places of a sequence: those of its steps, where samples have them.
    let private unpackBlock
        (plan: RecurrentPlan)
        (tile: Tile)
        (block: int)
        (rows: int)
        (from: nativeptr<float32>)
        (into: SequenceView)
        =
        let kernels = KernelTable.ofWidth plan.Tiling.Width
        let asTile = plan.Block(tile, block)
        let first = block * plan.StepsOfBlock tile
        let wide = plan.Tiling.Wide tile

        for index in 0 .. asTile.Vectors / tile.Vectors - 1 do
            let active = plan.Active(tile, first + index)

            if active > 0 then
                let samples = { asTile with Samples = active }
                let y = into.At(plan.Time(first + index), tile.Sample)
                kernels.Unpack(samples, Pointer.at from (int64 (index * wide)), rows, y)

    /// Blocks of all tiles, one after the other.
    let private blocks (plan: RecurrentPlan) : struct (Tile * int)[] =
        [| for index in 0 .. plan.Tiling.Tiles - 1 do
               let tile = plan.Tiling.Tile index

               for block in 0 .. plan.Blocks tile - 1 do
                   struct (tile, block) |]

    /// <summary>A buffer of blocks as a sequence; where a sample has no such step nothing is written.</summary>
    let unpack
        (policy: ExecutionPolicy)
        (plan: RecurrentPlan)
        (rows: int)
        (buffer: nativeptr<float32>)
        (into: SequenceView)
        : unit =
        let all = blocks plan

        policy.Team.Run(
            policy.Threads,
            all.Length,
            fun index ->
                let struct (tile, block) = all[index]
                let place = plan.Place(tile, block * plan.StepsOfBlock tile, rows)
                unpackBlock plan tile block rows (Pointer.at buffer place.Floats) into
        )

    /// <summary>The gradient of the inputs, from those of the gates; where a sample has no such step nothing is written.</summary>
    let inputs
        (policy: ExecutionPolicy)
        (plan: RecurrentPlan)
        (w: RecurrentWeights)
        (gates: GateGradients)
        (dx: SequenceView)
        : unit =
        let tiling = plan.Tiling
        let kernels = KernelTable.ofWidth tiling.Width
        let scatters = w.OfInputs.RowGroup > 1

        let pattern =
            if scatters then
                w.OfInputs.Connectivity
            else
                w.OfInputs.Transposed policy

        let valuesT: AlignedBuffer | null =
            if scatters then
                null
            else
                CpuSpmm.transposedValues policy w.OfInputs w.InputValues

        let values =
            if scatters then
                w.InputValues
            else
                ScratchPool.floats valuesT

        let all = blocks plan

        CsrView.pinned pattern w.OfInputs.RowGroup (CpuSpmm.fetchTo tiling pattern) (fun p ->
            policy.Team.Run(
                policy.Threads,
                all.Length,
                fun index ->
                    let struct (tile, block) = all[index]
                    let asTile = plan.Block(tile, block)
                    let place = plan.Place(tile, block * plan.StepsOfBlock tile, plan.Rows)
                    let g = Pointer.at gates.OfInputs place.Floats
                    let columns = { From = 0; To = plan.Inputs }
                    let floats = int64 plan.Inputs * place.Apart
                    let product = ScratchPool.rent floats

                    if scatters then
                        Pointer.clear product.Floats floats
                        kernels.Scatter(asTile, p, values, g, plan.Rows, plan.Inputs, columns, product.Floats)
                    else
                        kernels.Spmm(asTile, p, values, Pointer.nothing, g, columns, product.Floats)

                    unpackBlock plan tile block plan.Inputs product.Floats dx
                    ScratchPool.giveBack product
            ))

        ScratchPool.giveBack valuesT
