namespace SparseFs.Kernels

#nowarn "9"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// A recurrent layer's weights: of the inputs [gates · units, inputs] and of the state [gates · units, units]; a bias may be null.
[<Struct>]
type internal RecurrentWeights =
    { OfInputs: SpmmPlan
      OfState: SpmmPlan
      InputValues: nativeptr<float32>
      StateValues: nativeptr<float32>
      InputBias: nativeptr<float32>
      StateBias: nativeptr<float32> }

/// What a forward leaves for a backward.
[<Struct>]
type internal RecurrentTape =
    {
        /// RecurrentPlan.Floats of the inputs.
        Inputs: nativeptr<float32>
        /// RecurrentPlan.Floats of Cell.saved · units.
        Gates: nativeptr<float32>
        /// RecurrentPlan.Floats of the units: the outputs before each step.
        Before: nativeptr<float32>
        /// RecurrentPlan.CellFloats.
        Cells: nativeptr<float32>
    }

/// States of all samples, [batch, units]; each may be null: zeros where they are read, nobody where they are written.
[<Struct>]
type internal RecurrentStates =
    { Hidden: nativeptr<float32>
      Cells: nativeptr<float32> }

/// <summary>A recurrent layer over all steps, on the CPU.</summary>
/// <remarks>
/// The products with the inputs are computed a block of steps at a time, those with the state a step at a time, into memory that stays near
/// while the units take it up. A thread that has some units computes their rows of all gates; so threads meet once a step. Results do not
/// depend on the number of threads, to the bit. Oracle: the float64 reference of the tests.
/// </remarks>
module internal RecurrentForward =

    /// Units whose products are taken up together.
    [<Literal>]
    let private Chunk = 64

    /// The inputs of a tile's steps beside each other; 0 where a sample has no such step.
    let pack (plan: RecurrentPlan) (tile: Tile) (x: SequenceView) (packed: nativeptr<float32>) : unit =
        let kernels = KernelTable.ofWidth plan.Tiling.Width
        let wide = plan.Tiling.Wide tile

        for step in 0 .. plan.Steps - 1 do
            let place = plan.Place(tile, step, plan.Inputs)
            let into = Pointer.at packed place.Floats
            let active = plan.Active(tile, step)

            if active <= wide - plan.Tiling.Lanes then
                RecurrentLanes.clear { From = 0; To = plan.Inputs } { From = active; To = wide } into place.Apart

            let row =
                { Sample = 0
                  Samples = active
                  Vectors = int place.Apart / plan.Tiling.Lanes }

            kernels.Pack(row, x.At(plan.Time step, tile.Sample), plan.Inputs, into)

    /// <summary>y and the last states of x.</summary>
    /// <param name="policy">Width and threads.</param>
    /// <param name="plan">Of the same width.</param>
    /// <param name="w">The weights.</param>
    /// <param name="x">[steps, batch, inputs], in any order of steps and samples.</param>
    /// <param name="first">The states before the first step.</param>
    /// <param name="y">[steps, batch, units], overwritten where a sample has the step.</param>
    /// <param name="last">The states after each sample's last step, overwritten.</param>
    /// <param name="tape">Overwritten.</param>
    let run
        (policy: ExecutionPolicy)
        (plan: RecurrentPlan)
        (w: RecurrentWeights)
        (x: SequenceView)
        (first: RecurrentStates)
        (y: SequenceView)
        (last: RecurrentStates)
        (tape: RecurrentTape)
        : unit =
        let tiling, units = plan.Tiling, plan.Units
        let gates, saved = Cell.gates plan.Cell, Cell.saved plan.Cell * units
        let isLstm = plan.Cell = Cell.Lstm
        let kernels = KernelTable.ofWidth tiling.Width
        let cells = GateTable.ofWidth tiling.Width
        let ofInputs, ofState = w.OfInputs.Connectivity, w.OfState.Connectivity

        let inputGroup, stateGroup =
            RecurrentShares.group w.OfInputs units, RecurrentShares.group w.OfState units

        let group = max inputGroup stateGroup
        let stateFloats = plan.StateFloats units
        // The outputs before a step and after it take turns in two places.
        let scratch = ScratchPool.rent (2L * stateFloats)
        let fetchTo = CpuSpmm.fetchTo tiling ofInputs

        let statesOf (step: int) =
            Pointer.at scratch.Floats (int64 (step &&& 1) * stateFloats)

        /// Samples that begin with a step get their states, of some units.
        let enter (tile: Tile) (step: int) (own: RowRange) =
            let wide = int64 (tiling.Wide tile)
            let entering = plan.Entering(tile, step)
            let state = Pointer.at (statesOf step) (plan.State(tile, units))
            let place = plan.Place(tile, step, units)
            let hidden = RecurrentLanes.ofTile first.Hidden units tile
            RecurrentLanes.enter own entering hidden state wide
            RecurrentLanes.enter own entering hidden (Pointer.at tape.Before place.Floats) place.Apart

            if isLstm then
                let into = Pointer.at tape.Cells (plan.Cells(tile, step))
                RecurrentLanes.enter own entering (RecurrentLanes.ofTile first.Cells units tile) into wide

        /// Before the first step nobody has a state.
        let start (tile: Tile) =
            let wide = tiling.Wide tile
            let all, own = { From = 0; To = wide }, { From = 0; To = units }
            let place = plan.Place(tile, 0, units)
            Pointer.clear (Pointer.at (statesOf 0) (plan.State(tile, units))) (int64 units * int64 wide)
            RecurrentLanes.clear own all (Pointer.at tape.Before place.Floats) place.Apart

            if isLstm then
                Pointer.clear (Pointer.at tape.Cells (plan.Cells(tile, 0))) (int64 units * int64 wide)

            enter tile 0 own

        /// The products of a block's inputs, of some units.
        let multiplyInputs (p: CsrView) (tile: Tile) (step: int) (own: RowRange) =
            let place, into = plan.Place(tile, step, plan.Inputs), plan.Place(tile, step, saved)

            for gate in 0 .. gates - 1 do
                let rows =
                    { From = gate * units + own.From
                      To = gate * units + own.To }

                kernels.Spmm(
                    plan.Block(tile, step / plan.StepsOfBlock tile),
                    p,
                    w.InputValues,
                    w.InputBias,
                    Pointer.at tape.Inputs place.Floats,
                    rows,
                    Pointer.at tape.Gates (into.Floats + int64 rows.From * into.Apart)
                )

        /// A step of some units.
        let takeStep (p: CsrView) (tile: Tile) (step: int) (own: RowRange) =
            let wide = int64 (tiling.Wide tile)
            let before = Pointer.at (statesOf step) (plan.State(tile, units))
            let after = Pointer.at (statesOf (step + 1)) (plan.State(tile, units))
            let place = plan.Place(tile, step, saved)
            let hasNext = step + 1 < plan.Steps
            let next = plan.Place(tile, step + 1, units)

            let nextBlock =
                if hasNext then
                    Pointer.at tape.Before next.Floats
                else
                    Pointer.nothing

            let cellsBefore =
                if isLstm then
                    Pointer.at tape.Cells (plan.Cells(tile, step))
                else
                    before

            let cellsAfter =
                if isLstm then
                    Pointer.at tape.Cells (plan.Cells(tile, step + 1))
                else
                    Pointer.nothing

            let product = ScratchPool.rent (int64 (gates * Chunk) * wide)
            let mutable from = own.From

            while from < own.To do
                let chunk =
                    { From = from
                      To = min own.To (from + Chunk) }

                for gate in 0 .. gates - 1 do
                    let rows =
                        { From = gate * units + chunk.From
                          To = gate * units + chunk.To }

                    kernels.Spmm(
                        tile,
                        p,
                        w.StateValues,
                        w.StateBias,
                        before,
                        rows,
                        Pointer.at product.Floats (int64 (gate * chunk.Count) * wide)
                    )

                cells.Forward(
                    plan.Cell,
                    { Units = chunk
                      All = units
                      Vectors = tile.Vectors
                      Gates = Pointer.at tape.Gates place.Floats
                      Apart = place.Apart
                      Product = product.Floats
                      Before = cellsBefore
                      Cells = cellsAfter
                      Hidden = after
                      Next = nextBlock
                      NextApart = next.Apart }
                )

                from <- chunk.To

            ScratchPool.giveBack product
            let active = plan.Active(tile, step)
            let leaving = plan.Leaving(tile, step)
            RecurrentLanes.leave own leaving (RecurrentLanes.ofTile last.Hidden units tile) after wide

            if isLstm then
                RecurrentLanes.leave own leaving (RecurrentLanes.ofTile last.Cells units tile) cellsAfter wide

            // What has no such step begins the next one with 0 again, whatever the units make of it. In the tape it stands beside gradients
            // of 0.
            let others = { From = active; To = tiling.Wide tile }
            RecurrentLanes.clear own others after wide

            if isLstm then
                RecurrentLanes.clear own others cellsAfter wide

            if active > 0 then
                let outputs =
                    { tile with
                        Sample = 0
                        Samples = active }

                let into = (y.At(plan.Time step, tile.Sample)).From own.From
                kernels.Unpack(outputs, Pointer.at after (int64 own.From * wide), own.Count, into)

            if hasNext then
                enter tile (step + 1) own

        policy.Team.Run(
            policy.Threads,
            tiling.Tiles,
            fun index ->
                let tile = tiling.Tile index
                pack plan tile x tape.Inputs
                start tile
        )

        CsrView.pinned ofInputs inputGroup fetchTo (fun p ->
            CsrView.pinned ofState stateGroup -1L (fun pState ->
                RecurrentShares.run policy tiling.Tiles plan.Steps (fun index step share shares ->
                    let tile = tiling.Tile index
                    let own = RecurrentShares.ofWork group ofState units share shares

                    if own.Count > 0 then
                        if step % plan.StepsOfBlock tile = 0 then
                            multiplyInputs p tile step own

                        takeStep pState tile step own)))

        ScratchPool.giveBack scratch
