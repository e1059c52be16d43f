namespace SparseFs.Inference

open System
open SparseFs.Kernels

/// Buffers and states of a recurrent layer.
[<Struct; NoComparison; NoEquality>]
type internal RecurrentRooms =
    {
        From: int
        Into: int
        /// [rows, gates · units]
        OfInputs: int
        /// [samples, gates · units]
        OfState: int
        /// [gates, units in whole vectors], of one sample
        Gates: int
        /// [samples, units]
        Hidden: int
        /// States [samples, outputs] and, of an LSTM, [samples, units].
        State: int
        Cells: int
    }

/// <summary>A recurrent layer in one direction: products of all tokens' inputs first, then token by token.</summary>
/// <param name="cell">What its gates are.</param>
/// <param name="ofInputs">[gates · units, inputs]</param>
/// <param name="ofState">[gates · units, outputs]</param>
/// <param name="projection">[outputs, units], or none.</param>
/// <param name="isReverse">Whether the last token comes first.</param>
/// <param name="room">Where things lie.</param>
[<Sealed>]
type internal RecurrentStep
    (cell: Cell, ofInputs: Product, ofState: Product, projection: Product voption, isReverse: bool, room: RecurrentRooms)
    =
    inherit Step()

    let rows = ofInputs.Outputs
    let outputs = ofState.Inputs
    let units = rows / Cell.gates cell
    let wide = int (Elements.room (int64 units))

    /// A gate before its activation: sums of inputs and of the state, from a place on.
    let sum (x: float32[]) (ofX: int) (h: float32[]) (ofH: int) (gates: float32[]) (gate: int) =
        let own = gates.AsSpan(gate * wide, units)
        x.AsSpan(ofX + gate * units, units).CopyTo own
        Elements.add own (ReadOnlySpan(h, ofH + gate * units, units))

    /// Hochreiter and Schmidhuber 1997, with torch's order of gates: input, forget, candidate, output.
    let lstm (x: float32[]) ofX (h: float32[]) ofH (gates: float32[]) (cells: float32[]) (hidden: float32[]) (at: int) =
        for gate in 0..3 do
            sum x ofX h ofH gates gate

        Elements.sigmoid gates 0 (2 * wide)
        Elements.tanh gates (2 * wide) units
        Elements.sigmoid gates (3 * wide) units

        for unit in 0 .. units - 1 do
            let c = gates[wide + unit] * cells[at + unit] + gates[unit] * gates[2 * wide + unit]

            cells[at + unit] <- c
            gates[unit] <- c

        Elements.tanh gates 0 units

        for unit in 0 .. units - 1 do
            hidden[at + unit] <- gates[3 * wide + unit] * gates[unit]

    /// Cho et al. 2014, with torch's order of gates: reset, update, candidate.
    let gru (x: float32[]) ofX (h: float32[]) ofH (gates: float32[]) (state: float32[]) (hidden: float32[]) (at: int) =
        sum x ofX h ofH gates 0
        sum x ofX h ofH gates 1
        Elements.sigmoid gates 0 (2 * wide)

        for unit in 0 .. units - 1 do
            gates[2 * wide + unit] <- x[ofX + 2 * units + unit] + gates[unit] * h[ofH + 2 * units + unit]

        Elements.tanh gates (2 * wide) units

        for unit in 0 .. units - 1 do
            let update = gates[wide + unit]

            hidden[at + unit] <- (1.0f - update) * gates[2 * wide + unit] + update * state[at + unit]

    let plain (x: float32[]) ofX (h: float32[]) ofH (gates: float32[]) (hidden: float32[]) (at: int) =
        sum x ofX h ofH gates 0

        if cell = Cell.Relu then
            for unit in 0 .. units - 1 do
                gates[unit] <- MathF.Max(gates[unit], 0.0f)
        else
            Elements.tanh gates 0 units

        Array.Copy(gates, 0, hidden, at, units)

    override _.Run w =
        let x, h, gates = w.Buffer room.OfInputs, w.Buffer room.OfState, w.Buffer room.Gates
        let state, hidden, y = w.State room.State, w.Buffer room.Hidden, w.Buffer room.Into
        ofInputs.Run(w.Buffer room.From, w.Samples * w.Tokens, x)

        for step in 0 .. w.Tokens - 1 do
            let token = if isReverse then w.Tokens - 1 - step else step
            ofState.Run(state, w.Samples, h)

            for sample in 0 .. w.Samples - 1 do
                let ofX, ofH, at = (sample * w.Tokens + token) * rows, sample * rows, sample * units

                match cell with
                | Cell.Lstm -> lstm x ofX h ofH gates (w.State room.Cells) hidden at
                | Cell.Gru -> gru x ofX h ofH gates state hidden at
                | _ -> plain x ofX h ofH gates hidden at

            match projection with
            | ValueSome projection -> projection.Run(hidden, w.Samples, state)
            | ValueNone -> Array.Copy(hidden, state, w.Samples * units)

            for sample in 0 .. w.Samples - 1 do
                Array.Copy(state, sample * outputs, y, (sample * w.Tokens + token) * outputs, outputs)
