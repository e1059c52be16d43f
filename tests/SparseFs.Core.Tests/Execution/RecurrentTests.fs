module SparseFs.Tests.RecurrentTests

#nowarn "9"

open System
open Expecto
open FsCheck.FSharp
open SparseFs
open SparseFs.Kernels
open SparseFs.Tests.Guarded

/// A recurrent layer with all its operands, sequences as [steps, batch, *].
type private RecurrentCase =
    {
        Cell: Cell
        Steps: int
        Batch: int
        Inputs: int
        Units: int
        /// Steps of each sample, the longest first; null where each has all.
        Lengths: int[] | null
        IsReverse: bool
        OfInputs: Connectivity
        OfState: Connectivity
        Wi: float32[]
        Ws: float32[]
        Bi: float32[]
        Bs: float32[]
        X: float32[]
        H0: float32[]
        C0: float32[]
        DY: float32[]
        DH: float32[]
        DC: float32[]
    }

    override c.ToString() =
        $"%A{c.Cell}, {c.Steps} steps of {c.Batch}, {c.Inputs} to {c.Units}, lengths %A{c.Lengths}, reverse {c.IsReverse}, {c.OfInputs}, {c.OfState}"

    member c.BatchSizes: int[] | null =
        match c.Lengths with
        | null -> null
        | lengths ->
            Array.init c.Steps (fun step -> lengths |> Array.filter (fun length -> length > step) |> Array.length)

    member c.LengthOf(sample: int) : int =
        match c.Lengths with
        | null -> c.Steps
        | lengths -> lengths[sample]

let private caseOf (random: Random) cell steps batch inputs units isVaried isReverse (group: int) : RecurrentCase =
    let rows = Cell.gates cell * units

    let pattern cols =
        let nnz = random.Next(0, rows * cols + 1)
        let seed = Seed.ofInt (random.Next())

        if group > 1 then
            Topology.rowGroups group rows cols nnz seed
        else
            Topology.uniform rows cols nnz seed

    let ofInputs, ofState = pattern inputs, pattern units

    let numbers length =
        Array.init length (fun _ -> 2.0f * random.NextSingle() - 1.0f)

    let weights (c: Connectivity) =
        numbers c.Nnz |> Array.map (fun w -> w / sqrt (float32 (max 1 c.Cols)))

    { Cell = cell
      Steps = steps
      Batch = batch
      Inputs = inputs
      Units = units
      Lengths =
        if isVaried then
            Array.init batch (fun sample -> if sample = 0 then steps else random.Next(1, steps + 1))
            |> Array.sortDescending
        else
            null
      IsReverse = isReverse
      OfInputs = ofInputs
      OfState = ofState
      Wi = weights ofInputs
      Ws = weights ofState
      Bi = numbers rows
      Bs = numbers rows
      X = numbers (steps * batch * inputs)
      H0 = numbers (batch * units)
      C0 = numbers (batch * units)
      DY = numbers (steps * batch * units)
      DH = numbers (batch * units)
      DC = numbers (batch * units) }

let private drawn (seed: int) : RecurrentCase =
    let random = Random seed
    let cell = enum<Cell>(random.Next 4)
    let batch = [| 1; 2; 3; 4; 6; 8; 11; 16; 19; 32; 35; 64; 70 |][random.Next 13]
    let group = [| 1; 1; 2; 4 |][random.Next 4]

    let units =
        if random.Next 2 = 0 then
            4 * random.Next(1, 6)
        else
            random.Next(1, 20)

    caseOf
        random
        cell
        (random.Next(1, 8))
        batch
        (random.Next(1, 20))
        units
        (random.Next 2 = 0)
        (random.Next 2 = 0)
        group

/// Everything that a layer computes.
type private Results =
    { Y: float[]
      Hn: float[]
      Cn: float[]
      DX: float[]
      DH0: float[]
      DC0: float[]
      DWi: float[]
      DWs: float[]
      DBi: float[]
      DBs: float[] }

    member r.Named: (string * float[]) list =
        [ "y", r.Y
          "hn", r.Hn
          "cn", r.Cn
          "dx", r.DX
          "dh0", r.DH0
          "dc0", r.DC0
          "dWi", r.DWi
          "dWs", r.DWs
          "dBi", r.DBi
          "dBs", r.DBs ]

/// The same in plain loops, a sample at a time, with every operation rounded by a rule.
let private reference (round: float -> float) (c: RecurrentCase) : Results =
    let gates, units = Cell.gates c.Cell, c.Units
    let rows = gates * units
    let add a b = round (a + b)
    let mul a b = round (a * b)
    let sigmoid x = round (1.0 / (1.0 + exp -x))
    let tanh (x: float) = round (Math.Tanh x)
    let slotsOfInputs, slotsOfState = Oracle.slots c.OfInputs, Oracle.slots c.OfState

    let product (slots: (int * int)[]) (w: float32[]) (bias: float32[]) (x: int -> float) =
        let y = bias |> Array.map float

        slots
        |> Array.iteri (fun s (r, col) -> y[r] <- add y[r] (mul (float w[s]) (x col)))

        y

    let r =
        { Y = Array.zeroCreate (c.Steps * c.Batch * units)
          Hn = Array.zeroCreate (c.Batch * units)
          Cn = Array.zeroCreate (c.Batch * units)
          DX = Array.zeroCreate c.X.Length
          DH0 = Array.zeroCreate (c.Batch * units)
          DC0 = Array.zeroCreate (c.Batch * units)
          DWi = Array.zeroCreate c.Wi.Length
          DWs = Array.zeroCreate c.Ws.Length
          DBi = Array.zeroCreate rows
          DBs = Array.zeroCreate rows }

    let isLstm = c.Cell = Cell.Lstm

    for sample in 0 .. c.Batch - 1 do
        let length = c.LengthOf sample

        let times =
            if c.IsReverse then
                [| length - 1 .. -1 .. 0 |]
            else
                [| 0 .. length - 1 |]

        let inputOf time col =
            float c.X[(time * c.Batch + sample) * c.Inputs + col]

        let h = Array.zeroCreate<float[]>(length + 1)
        let cells = Array.zeroCreate<float[]>(length + 1)
        h[0] <- Array.init units (fun u -> float c.H0[sample * units + u])
        cells[0] <- Array.init units (fun u -> float c.C0[sample * units + u])
        // Of each step: the gates, and the state's products.
        let kept = Array.zeroCreate<float[] * float[]> length

        for step in 0 .. length - 1 do
            let ofInputs = product slotsOfInputs c.Wi c.Bi (inputOf times[step])
            let ofState = product slotsOfState c.Ws c.Bs (fun col -> h[step][col])

            let gate g u =
                add ofInputs[g * units + u] ofState[g * units + u]

            let active =
                match c.Cell with
                | Cell.Lstm ->
                    Array.init rows (fun row ->
                        let g, u = row / units, row % units
                        if g = 2 then tanh (gate g u) else sigmoid (gate g u))
                | Cell.Gru ->
                    let r = Array.init units (fun u -> sigmoid (gate 0 u))
                    let z = Array.init units (fun u -> sigmoid (gate 1 u))

                    let n =
                        Array.init units (fun u -> tanh (add ofInputs[2 * units + u] (mul r[u] ofState[2 * units + u])))

                    Array.concat [ r; z; n ]
                | Cell.Relu -> Array.init units (fun u -> max 0.0 (gate 0 u))
                | _ -> Array.init units (fun u -> tanh (gate 0 u))

            let a g u = active[g * units + u]

            cells[step + 1] <-
                Array.init units (fun u ->
                    if isLstm then
                        add (mul (a 1 u) (cells[step][u])) (mul (a 0 u) (a 2 u))
                    else
                        0.0)

            h[step + 1] <-
                Array.init units (fun u ->
                    match c.Cell with
                    | Cell.Lstm -> mul (a 3 u) (tanh (cells[step + 1][u]))
                    | Cell.Gru -> add (a 2 u) (mul (a 1 u) (add (h[step][u]) -(a 2 u)))
                    | _ -> a 0 u)

            kept[step] <- active, ofState

            for u in 0 .. units - 1 do
                r.Y[(times[step] * c.Batch + sample) * units + u] <- h[step + 1][u]

        for u in 0 .. units - 1 do
            r.Hn[sample * units + u] <- h[length][u]
            r.Cn[sample * units + u] <- cells[length][u]

        let mutable dh = Array.init units (fun u -> float c.DH[sample * units + u])

        let mutable dc =
            Array.init units (fun u -> if isLstm then float c.DC[sample * units + u] else 0.0)

        for step in length - 1 .. -1 .. 0 do
            let active, ofState = kept[step]
            let a g u = active[g * units + u]

            let dy u =
                float c.DY[(times[step] * c.Batch + sample) * units + u]

            let dh' = Array.init units (fun u -> add dh[u] (dy u))
            let ofInputs, toState = Array.zeroCreate<float> rows, Array.zeroCreate<float> rows
            let beside = Array.zeroCreate<float> units
            let rest x = add 1.0 -x
            let slope x = mul x (rest x)
            let bend x = add 1.0 -(mul x x)

            for u in 0 .. units - 1 do
                match c.Cell with
                | Cell.Lstm ->
                    let t = tanh (cells[step + 1][u])
                    let d = add dc[u] (mul (mul dh'[u] (a 3 u)) (bend t))
                    ofInputs[u] <- mul (mul d (a 2 u)) (slope (a 0 u))
                    ofInputs[units + u] <- mul (mul d (cells[step][u])) (slope (a 1 u))
                    ofInputs[2 * units + u] <- mul (mul d (a 0 u)) (bend (a 2 u))
                    ofInputs[3 * units + u] <- mul (mul dh'[u] t) (slope (a 3 u))
                    dc[u] <- mul d (a 1 u)
                | Cell.Gru ->
                    let dn = mul (mul dh'[u] (rest (a 1 u))) (bend (a 2 u))
                    ofInputs[u] <- mul (mul dn ofState[2 * units + u]) (slope (a 0 u))
                    ofInputs[units + u] <- mul (mul dh'[u] (add (h[step][u]) -(a 2 u))) (slope (a 1 u))
                    ofInputs[2 * units + u] <- dn
                    beside[u] <- mul dh'[u] (a 1 u)
                | Cell.Relu -> ofInputs[u] <- if a 0 u > 0.0 then dh'[u] else 0.0
                | _ -> ofInputs[u] <- mul dh'[u] (bend (a 0 u))

            for row in 0 .. rows - 1 do
                toState[row] <-
                    if c.Cell = Cell.Gru && row >= 2 * units then
                        mul ofInputs[row] (a 0 (row - 2 * units))
                    else
                        ofInputs[row]

                r.DBi[row] <- add r.DBi[row] ofInputs[row]
                r.DBs[row] <- add r.DBs[row] toState[row]

            slotsOfInputs
            |> Array.iteri (fun s (row, col) ->
                let at = (times[step] * c.Batch + sample) * c.Inputs + col
                r.DWi[s] <- add r.DWi[s] (mul ofInputs[row] (inputOf times[step] col))
                r.DX[at] <- add r.DX[at] (mul ofInputs[row] (float c.Wi[s])))

            slotsOfState
            |> Array.iteri (fun s (row, col) ->
                r.DWs[s] <- add r.DWs[s] (mul toState[row] (h[step][col]))
                beside[col] <- add beside[col] (mul toState[row] (float c.Ws[s])))

            dh <- beside

        for u in 0 .. units - 1 do
            r.DH0[sample * units + u] <- dh[u]
            r.DC0[sample * units + u] <- dc[u]

    r

/// What the kernels make of it, at a width, on so many threads.
let private computed (width: Width) (threads: int) (c: RecurrentCase) : Results =
    let policy = CpuSpmm.machineOf width threads

    let plan =
        RecurrentPlan(c.Cell, width, c.Steps, c.Batch, c.Inputs, c.Units, c.BatchSizes, c.IsReverse)

    let isLstm, isGru = c.Cell = Cell.Lstm, c.Cell = Cell.Gru
    let made = Collections.Generic.List<string * Guarded>()

    let guard name (values: float32[]) =
        let g = new Guarded(values)
        made.Add((name, g))
        g

    let given name values = (guard name values).Address
    let room name (floats: int64) = guard name (garbage (int floats))
    // Where a sample has no step nothing is written, and what is there must not be read.
    let holes (features: int) (value: float32) (values: float32[]) =
        values
        |> Array.mapi (fun at v ->
            let row = at / features

            if row / c.Batch >= c.LengthOf(row % c.Batch) then
                value
            else
                v)

    let sequence data features =
        { Data = data
          Step = int64 (c.Batch * features)
          Sample = features }

    let rows = plan.Rows

    let w =
        { OfInputs = SpmmPlan c.OfInputs
          OfState = SpmmPlan c.OfState
          InputValues = given "Wi" c.Wi
          StateValues = given "Ws" c.Ws
          InputBias = given "Bi" c.Bi
          StateBias = given "Bs" c.Bs }

    let tape =
        { Inputs = (room "inputs" (plan.Floats c.Inputs)).Address
          Gates = (room "gates" (plan.Floats(Cell.saved c.Cell * c.Units))).Address
          Before = (room "before" (plan.Floats c.Units)).Address
          Cells = (room "cells" plan.CellFloats).Address }

    let states: int64 = int64 (c.Batch * c.Units)
    let y = guard "y" (Array.zeroCreate c.DY.Length)
    let hn, cn = room "hn" states, room "cn" states
    let x = sequence (given "x" (holes c.Inputs nanf c.X)) c.Inputs

    RecurrentForward.run
        policy
        plan
        w
        x
        { Hidden = given "h0" c.H0
          Cells = given "c0" c.C0 }
        (sequence y.Address c.Units)
        { Hidden = hn.Address
          Cells = cn.Address }
        tape

    let ofInputs = room "gates of inputs" (RecurrentBackward.gateFloats plan)

    let ofState =
        if isGru then
            room "gates of the state" (RecurrentBackward.gateFloats plan)
        else
            ofInputs

    let gates =
        { OfInputs = ofInputs.Address
          OfState = ofState.Address }

    let dh0, dc0 = room "dh0" states, room "dc0" states

    RecurrentBackward.gates
        policy
        plan
        w
        tape
        (sequence (given "dy" (holes c.Units nanf c.DY)) c.Units)
        { Hidden = given "dh" c.DH
          Cells = given "dc" c.DC }
        gates
        { Hidden = dh0.Address
          Cells = dc0.Address }

    let length (values: float32[]) = int64 values.Length
    let dWi, dWs = room "dWi" (length c.Wi), room "dWs" (length c.Ws)
    let dBi, dBs = room "dBi" (int64 rows), room "dBs" (int64 rows)

    RecurrentProducts.weights
        policy
        plan
        w
        tape
        gates
        { InputValues = dWi.Address
          StateValues = dWs.Address
          InputBias = dBi.Address
          StateBias = dBs.Address }

    let dx = guard "dx" (Array.zeroCreate c.X.Length)
    RecurrentProducts.inputs policy plan w gates (sequence dx.Address c.Inputs)

    for name, guarded in made do
        guarded.CheckMargins name

    let wide (g: Guarded) = g.Values |> Array.map float

    let orZeros (g: Guarded) =
        if isLstm then wide g else Array.zeroCreate (int states)

    let results =
        { Y = wide y
          Hn = wide hn
          Cn = orZeros cn
          DX = wide dx
          DH0 = wide dh0
          DC0 = orZeros dc0
          DWi = wide dWi
          DWs = wide dWs
          DBi = wide dBi
          DBs = wide dBs }

    for _, guarded in made do
        (guarded :> IDisposable).Dispose()

    results

/// Functions of another precision, of which each is off by 3 units in the last place, may lead so many times as far away.
let private slack = 4.0

/// Float32 numbers beside a number: the nearest, and those above and below. An evaluation that rounds all its results one way ends where no order of
/// sums that rounds to the nearest gets; by luck that one alone may end near the right number.
let private roundings: (float -> float) list =
    let nearest (x: float) = float32 x

    [ fun x -> float (nearest x)
      fun x ->
          let y = nearest x
          float (if float y < x then MathF.BitIncrement y else y)
      fun x ->
          let y = nearest x
          float (if float y > x then MathF.BitDecrement y else y) ]

let private expectNear (c: RecurrentCase) (got: Results) =
    let exact = reference id c
    let rounded = [ for round in roundings -> dict (reference round c).Named ]

    for (name, wanted), (_, value) in List.zip exact.Named got.Named do
        let away =
            rounded
            |> List.map (fun near ->
                Array.map2 (fun (a: float) b -> abs (a - b)) wanted near[name]
                |> Array.fold max 0.0)
            |> List.max

        let size = wanted |> Array.fold (fun most x -> max most (abs x)) 0.0
        let bound = slack * (away + Oracle.float32Roundoff * size)

        for i in 0 .. wanted.Length - 1 do
            if not (abs (value[i] - wanted[i]) <= bound) then
                failtest $"{name}[{i}]: expected {wanted[i]} within {bound}, got {value[i]}, of {c}"

let private law name count (body: RecurrentCase -> unit) =
    testPropertyWithConfig
        { FsCheckConfig.defaultConfig with
            maxTest = count }
        name
        (Prop.forAll (Arb.fromGen (Gen.choose (0, 1_000_000))) (fun seed -> body (drawn seed)))

[<Tests>]
let tests =
    testList
        "Recurrent kernels"
        [ for width in CpuSpmm.widths do
              law $"agree with plain loops in float64, width {width}" 60 (fun c -> expectNear c (computed width 1 c))

          test "do not depend on the number of threads, to the bit" {
              for cell in [ Cell.Tanh; Cell.Relu; Cell.Lstm; Cell.Gru ] do
                  for group in [ 1; 4 ] do
                      for batch in [ 5; 32; 130 ] do
                          for isReverse in [ false; true ] do
                              let c = caseOf (Random 5) cell 6 batch 24 40 isReverse isReverse group
                              let one = computed CpuSpmm.widest 1 c

                              for threads in [ 2; 3; 5 ] do
                                  let more = computed CpuSpmm.widest threads c

                                  for (name, a), (_, b) in List.zip one.Named more.Named do
                                      Expect.equal b a $"{name} of {c}, {threads} threads"
          }

          test "tanh and the sigmoid are right within 3 units in the last place" {
              let numbers =
                  [| for exponent in -30 .. 7 do
                         for part in 0..63 do
                             let x = float32 (2.0 ** float exponent * (1.0 + float part / 64.0))
                             x
                             -x |]

              for width in CpuSpmm.widths do
                  let cells = GateTable.ofWidth width
                  let lanes = int width
                  let wide = (numbers.Length + lanes - 1) / lanes * lanes
                  let padded = Array.append numbers (Array.zeroCreate (wide - numbers.Length))

                  let step (hidden: Guarded) (gates: Guarded) (product: Guarded) (cells: nativeptr<float32>) =
                      { Units = { From = 0; To = 1 }
                        All = 1
                        Vectors = wide / lanes
                        Gates = gates.Address
                        Apart = int64 wide
                        Product = product.Address
                        Before = cells
                        Cells = cells
                        Hidden = hidden.Address
                        Next = nothing
                        NextApart = 0L }

                  let ulps (wanted: float) (got: float32) =
                      abs (float got - wanted)
                      / float (MathF.BitIncrement(abs (float32 wanted)) - abs (float32 wanted))

                  use hidden = new Guarded(garbage wide)
                  use gates = new Guarded(padded)
                  use product = new Guarded(Array.zeroCreate wide)
                  cells.Forward(Cell.Tanh, step hidden gates product nothing)

                  for i in 0 .. numbers.Length - 1 do
                      Expect.isLessThanOrEqual
                          (ulps (Math.Tanh(float numbers[i])) hidden.Values[i])
                          3.0
                          $"tanh {numbers[i]}, width {width}"

                  // Of an LSTM with a cell of 0 the gates are left: i in the first row.
                  use hidden = new Guarded(garbage wide)
                  use gates = new Guarded(Array.concat [ padded; padded; padded; padded ])
                  use product = new Guarded(Array.zeroCreate (4 * wide))
                  use memory = new Guarded(Array.zeroCreate wide)
                  cells.Forward(Cell.Lstm, step hidden gates product memory.Address)

                  for i in 0 .. numbers.Length - 1 do
                      // Below e^-87 the result is that of −87.
                      let x = max -87.0 (float numbers[i])

                      Expect.isLessThanOrEqual
                          (ulps (1.0 / (1.0 + exp -x)) gates.Values[i])
                          3.0
                          $"sigmoid {numbers[i]}, width {width}"
          } ]
