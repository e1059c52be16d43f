namespace SparseFs.Torch

open SparseFs.Kernels
open TorchSharp

/// <summary>A recurrent layer step by step, of operations that have derivatives of any order.</summary>
/// <remarks>For dtypes and devices that have no kernel of their own, and for second derivatives.</remarks>
[<RequireQualifiedAccess>]
module internal RecurrentSteps =

    /// The state after a step, from the products with the inputs and with the state before.
    let private next (cell: Cell) (ofInputs: torch.Tensor) (ofState: torch.Tensor) (h: torch.Tensor) (c: torch.Tensor) =
        match cell with
        | Cell.Lstm ->
            let gates = (ofInputs.add ofState).chunk(4L, 1L)

            let i, f, g, o =
                gates[0].sigmoid(), gates[1].sigmoid(), gates[2].tanh(), gates[3].sigmoid()

            let c = (f.mul c).add(i.mul g)
            struct (o.mul (c.tanh ()), c)
        | Cell.Gru ->
            let x, s = ofInputs.chunk (3L, 1L), ofState.chunk (3L, 1L)
            let r, z = (x[0].add s[0]).sigmoid(), (x[1].add s[1]).sigmoid()
            let n = (x[2].add(r.mul s[2])).tanh()
            struct (n.add (z.mul (h.sub n)), c)
        | Cell.Relu -> struct ((ofInputs.add ofState).relu(), c)
        | _ -> struct ((ofInputs.add ofState).tanh(), c)

    /// As the kernels do it; project is what an LSTM makes of its units' outputs, [batch, units], before they are its own, [batch, outputs].
    let run
        (scan: RecurrentScan)
        (outputs: int)
        (project: torch.Tensor -> torch.Tensor)
        (t: RecurrentTensors)
        : RecurrentOutputs =
        let call = scan.Call
        let struct (steps, batch) = call.Sizes t.Inputs

        let x =
            let given =
                if call.IsBatchFirst then
                    t.Inputs.transpose (0L, 1L)
                else
                    t.Inputs

            match call.BatchSizes with
            | null -> given
            | sizes ->
                // What stands behind a sample's last step, NaN maybe, takes part in nothing.
                let sizes = torch.tensor (sizes, device = given.device)

                let samples =
                    torch.arange (Scalars.Of(float batch), dtype = torch.ScalarType.Int32, device = given.device)

                let isBehind = samples.view(1L, -1L, 1L).ge(sizes.view (-1L, 1L, 1L))
                given.masked_fill (isBehind, Scalars.Of 0.0)

        let rows = int64 call.OfInputs.Connectivity.Rows

        let ofInputs =
            SpmmFunction
                .Apply(scan.OfInputs, t.InputValues, t.InputBias, x.reshape (int64 steps * int64 batch, x.shape[2]))
                .view(int64 steps, int64 batch, rows)

        let zeros (features: int) =
            torch.zeros (int64 batch, int64 features, dtype = x.dtype, device = x.device)

        let first (given: torch.Tensor | null) (features: int) =
            match given with
            | null -> zeros features
            | given -> given

        let mutable h = first t.First.Hidden outputs

        let mutable c =
            if call.Cell = Cell.Lstm then
                first t.First.Cells call.Units
            else
                zeros 0

        let made: torch.Tensor[] = Array.zeroCreate steps

        for step in 0 .. steps - 1 do
            let time = if call.IsReverse then steps - 1 - step else step

            let ofState =
                SpmmFunction.Apply(scan.OfState, t.StateValues, t.StateBias, h.contiguous ())

            let struct (outputsOfUnits, cells) = next call.Cell ofInputs[int64 time] ofState h c
            let after = project outputsOfUnits

            match call.BatchSizes with
            | null ->
                h <- after
                c <- cells
                made[time] <- after
            | sizes ->
                // The first samples have the step; the others keep their state, and their outputs are 0.
                let active, others = int64 sizes[time], int64 (batch - sizes[time])

                let keep (before: torch.Tensor) (after: torch.Tensor) =
                    torch.cat ([| after.narrow (0L, 0L, active); before.narrow (0L, active, others) |], 0L)

                h <- keep h after

                if call.Cell = Cell.Lstm then
                    c <- keep c cells

                made[time] <- keep (zeros outputs) after

        let y = torch.stack (made, 0L)
        let cells: torch.Tensor | null = if call.Cell <> Cell.Lstm then null else c

        { Outputs =
            if call.IsBatchFirst then
                y.transpose(0L, 1L).contiguous()
            else
                y
          Last =
            { Hidden = h
              Cells = if call.Cell <> Cell.Lstm then null else c } }
