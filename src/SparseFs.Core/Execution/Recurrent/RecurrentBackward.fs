namespace SparseFs.Kernels

#nowarn "9"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// The gradients of what the units took up, blocks of steps, [gates · units, steps · W]: of the inputs' products and of the state's.
[<Struct>]
type internal GateGradients =
    { OfInputs: nativeptr<float32>
      OfState: nativeptr<float32> }

/// <summary>The gradients of a recurrent layer over all steps, on the CPU.</summary>
/// <remarks>The steps are gone through once, backwards. As of the forward, results do not depend on the number of threads.</remarks>
module internal RecurrentBackward =

    /// Floats that the gradients of the gates take.
    let gateFloats (plan: RecurrentPlan) : int64 = plan.Floats plan.Rows

    /// The product of gradients with the weights of the state, of some units: [count, W].
    let private multiplyState
        (kernels: TileKernels)
        (plan: RecurrentPlan)
        (group: int)
        (p: CsrView)
        (values: nativeptr<float32>)
        (tile: Tile)
        (own: RowRange)
        (g: nativeptr<float32>)
        (product: nativeptr<float32>)
        =
        if group > 1 then
            let wide = int64 (plan.Tiling.Wide tile)
            Pointer.clear product (int64 own.Count * wide)
            // The kernel counts columns from 0; only the share's own are there.
            let ofAll = Pointer.at product (-wide * int64 own.From)
            kernels.Scatter(tile, p, values, g, plan.Rows, plan.Units, own, ofAll)
        else
            kernels.Spmm(tile, p, values, Pointer.nothing, g, own, product)

    /// <summary>Goes through the steps, backwards.</summary>
    /// <param name="policy">Width and threads.</param>
    /// <param name="plan">Of the same width.</param>
    /// <param name="w">The weights.</param>
    /// <param name="tape">What the forward left.</param>
    /// <param name="dy">The gradient of the outputs; its data may be null for 0.</param>
    /// <param name="dLast">The gradients of the last states; each may be null for 0.</param>
    /// <param name="gates">Overwritten; OfState is another than OfInputs of a GRU alone.</param>
    /// <param name="dFirst">The gradients of the first states, overwritten; each may be null where nobody wants it.</param>
    let gates
        (policy: ExecutionPolicy)
        (plan: RecurrentPlan)
        (w: RecurrentWeights)
        (tape: RecurrentTape)
        (dy: SequenceView)
        (dLast: RecurrentStates)
        (gates: GateGradients)
        (dFirst: RecurrentStates)
        : unit =
        let tiling, units, steps = plan.Tiling, plan.Units, plan.Steps
        let saved = Cell.saved plan.Cell * units
        let isLstm, isGru = plan.Cell = Cell.Lstm, plan.Cell = Cell.Gru
        let kernels = KernelTable.ofWidth tiling.Width
        let cells = GateTable.ofWidth tiling.Width
        let ofState = w.OfState.Connectivity
        let group = RecurrentShares.group w.OfState units
        let scatters = group > 1

        let patternT = if scatters then ofState else w.OfState.Transposed policy

        let valuesT: AlignedBuffer | null =
            if scatters then
                null
            else
                CpuSpmm.transposedValues policy w.OfState w.StateValues

        let values =
            if scatters then
                w.StateValues
            else
                ScratchPool.floats valuesT

        let stateFloats = plan.StateFloats units
        let gateState = plan.StateFloats plan.Rows
        // Of all tiles: what is carried on of outputs and cells, the products and upstream gradients of a step, and, in two places that take
        // turns, the gradients of the gates.
        let scratch = ScratchPool.rent (4L * stateFloats + 2L * gateState)

        let part (index: int) =
            Pointer.at scratch.Floats (int64 index * stateFloats)

        let carries, cellCarries, products, upstreams = part 0, part 1, part 2, part 3

        let gatesOf (step: int) =
            Pointer.at (part 4) (int64 (step &&& 1) * gateState)

        Pointer.clear carries (2L * stateFloats)

        /// From the last step to the first, and then the product of the first one's gradients.
        let takeStep (p: CsrView) (tile: Tile) (step: int) (own: RowRange) =
            let wide = int64 (tiling.Wide tile)
            let state = plan.State(tile, units)
            let carry, cellCarry = Pointer.at carries state, Pointer.at cellCarries state
            let product = Pointer.at products (state + int64 own.From * wide)

            let gatesAt step =
                Pointer.at (gatesOf step) (plan.State(tile, plan.Rows))

            if step = steps - 1 then
                Pointer.clear product (int64 own.Count * wide)
            else
                multiplyState kernels plan group p values tile own (gatesAt (step + 1)) product

            // What began with the step behind: these gradients are those of its first states.
            let began = plan.Entering(tile, step + 1)

            if began.Count > 0 then
                let into = RecurrentLanes.ofTile dFirst.Hidden units tile
                let productOfAll = Pointer.at product (-wide * int64 own.From)

                if not (Pointer.isNull into.Data) then
                    for u in own.From .. own.To - 1 do
                        for i in began.From .. began.To - 1 do
                            let at = int64 u * wide + int64 i

                            Pointer.set
                                (into.Row i)
                                u
                                (NativePtr.read (Pointer.at productOfAll at)
                                 + NativePtr.read (Pointer.at carry at))

                RecurrentLanes.clear own began productOfAll wide
                RecurrentLanes.clear own began carry wide

                if isLstm then
                    RecurrentLanes.leave own began (RecurrentLanes.ofTile dFirst.Cells units tile) cellCarry wide
                    RecurrentLanes.clear own began cellCarry wide

            if step >= 0 then
                let upstream = Pointer.at upstreams (state + int64 own.From * wide)
                let active = plan.Active(tile, step)

                if Pointer.isNull dy.Data || int64 active <= wide - int64 tiling.Lanes then
                    Pointer.clear upstream (int64 own.Count * wide)

                if not (Pointer.isNull dy.Data) then
                    let samples =
                        { tile with
                            Sample = 0
                            Samples = active }

                    let from = (dy.At(plan.Time step, tile.Sample)).From own.From
                    kernels.Pack(samples, from, own.Count, upstream)

                let leaving = plan.Leaving(tile, step)
                RecurrentLanes.add own leaving (RecurrentLanes.ofTile dLast.Hidden units tile) carry wide

                if isLstm then
                    RecurrentLanes.add own leaving (RecurrentLanes.ofTile dLast.Cells units tile) cellCarry wide

                let place, before = plan.Place(tile, step, saved), plan.Place(tile, step, units)
                let into = (plan.Place(tile, step, plan.Rows)).Floats

                cells.Backward(
                    plan.Cell,
                    { Units = own
                      All = units
                      Vectors = tile.Vectors
                      Gates = Pointer.at tape.Gates place.Floats
                      Apart = place.Apart
                      Product = product
                      Upstream = upstream
                      Carry = carry
                      CellCarry = cellCarry
                      Before =
                        if isLstm then
                            Pointer.at tape.Cells (plan.Cells(tile, step))
                        else
                            Pointer.at tape.Before before.Floats
                      BeforeApart = before.Apart
                      Cells =
                        if isLstm then
                            Pointer.at tape.Cells (plan.Cells(tile, step + 1))
                        else
                            Pointer.nothing
                      OfInputs = Pointer.at gates.OfInputs into
                      OfState = gatesAt step
                      OfStateBlock =
                        if isGru then
                            Pointer.at gates.OfState into
                        else
                            Pointer.nothing }
                )

        CsrView.pinned patternT (if scatters then group else 1) -1L (fun p ->
            RecurrentShares.run policy tiling.Tiles (steps + 1) (fun index behind share shares ->
                let own = RecurrentShares.ofWork group ofState units share shares

                if own.Count > 0 then
                    takeStep p (tiling.Tile index) (steps - 1 - behind) own))

        ScratchPool.giveBack valuesT
        ScratchPool.giveBack scratch
