namespace SparseFs.Testing

open global.FsCheck
open global.FsCheck.FSharp
open SparseFs

/// <summary>Layers that are about to be rewired.</summary>
[<RequireQualifiedAccess>]
module RewireGenerators =

    /// <summary>Scores of a dense row-major matrix, as rules ask for them.</summary>
    /// <param name="cols">Columns of the matrix.</param>
    /// <param name="scores">Length rows · cols.</param>
    /// <example><code>
    /// let scores = RewireGenerators.scoresOf 3 [| 0.5f; 0.0f; 2.0f; 1.0f; 0.25f; 4.0f |]
    /// scores.Rows(1, 1) // = [|1.0f; 0.25f; 4.0f|]
    /// </code></example>
    [<CompiledName "ScoresOf">]
    let scoresOf (cols: int) (scores: float32[]) : CellScores =
        RowScores(fun first count -> Array.sub scores (first * cols) (count * cols))

    /// Few different numbers, so that ties and zeros are common.
    let private numbers (length: int) : Gen<float32[]> =
        Gen.arrayOfLength length (Gen.choose (-6, 6) |> Gen.map (fun n -> float32 n / 4.0f))

    /// Layers over a pattern that is drawn by a topology.
    let private over (draw: Seed -> Connectivity) : Gen<LayerState> =
        gen {
            let! number = Gen.choose (0, 1_000_000)
            let c = draw (Seed.ofInt number)
            let! weight = numbers c.Nnz
            let! gradient = numbers (c.Rows * c.Cols)
            let! momentum = numbers (c.Rows * c.Cols)
            let! step = Gen.choose (1, 1000)

            return
                { Rewire.state c weight (int64 step) (Seed.ofInt (number + 1)) with
                    Gradient = scoresOf c.Cols gradient
                    Momentum = scoresOf c.Cols momentum }
        }

    /// None, all, or some of the cells of a shape.
    let private slots (rows: int) (cols: int) : Gen<int> =
        let cells = rows * cols
        Gen.frequency [ 4, Gen.choose (0, cells); 1, Gen.constant 0; 1, Gen.constant cells ]

    /// <summary>Layers of one shape and one number of slots, with a gradient and a momentum for every cell; many numbers
    /// are equal, and many 0.</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <param name="nnz">Slots, 0..rows·cols.</param>
    /// <example><code>
    /// let state = RewireGenerators.layer 10 20 50 |> Gen.sample 1 |> Array.head
    /// let rewired = Rewire.layerBy (Policy.rigL (Schedule.constant 0.3 100L 1000L)) 0.3 state
    /// rewired.Connectivity.Nnz // = 50
    /// </code></example>
    [<CompiledName "Layer">]
    let layer (rows: int) (cols: int) (nnz: int) : Gen<LayerState> = over (Topology.uniform rows cols nnz)

    /// <summary>Layers of up to 12 by 12, empty and full ones and single rows among them, with a gradient and a momentum
    /// for every cell; many numbers are equal, and many 0.</summary>
    /// <example><code>
    /// let policy = Policy.rigL (Schedule.constant 0.3 100L 1000L)
    /// Prop.forAll RewireGenerators.states (fun state -> (Rewire.layerBy policy 0.0 state).Remap.IsIdentity)
    /// |> Check.QuickThrowOnFailure
    /// </code></example>
    [<CompiledName "States">]
    let states: Arbitrary<LayerState> =
        gen {
            let! rows = Gen.frequency [ 1, Gen.elements [ 0; 1 ]; 4, Gen.choose (0, 12) ]
            let! cols = Gen.frequency [ 1, Gen.elements [ 0; 1 ]; 4, Gen.choose (0, 12) ]
            let! nnz = slots rows cols
            return! layer rows cols nnz
        }
        |> Arb.fromGen

    /// <summary>As <c>states</c>, over patterns in row groups, for policies that keep them.</summary>
    /// <param name="size">Rows of a group, 1 or more; up to three groups, and often a smaller last one.</param>
    /// <example><code>
    /// let policy = Policy.rigL (Schedule.constant 0.3 100L 1000L) |> Policy.inRowGroups 4 RowGroupNorm.L2
    ///
    /// Prop.forAll (RewireGenerators.statesInRowGroups 4) (fun state ->
    ///     Laws.hasRowGroups 4 (Rewire.layerBy policy 0.3 state).Connectivity)
    /// |> Check.QuickThrowOnFailure
    /// </code></example>
    [<CompiledName "StatesInRowGroups">]
    let statesInRowGroups (size: int) : Arbitrary<LayerState> =
        gen {
            let! rows = Gen.choose (0, 4 * size - 1)
            let! cols = Gen.frequency [ 1, Gen.elements [ 0; 1 ]; 4, Gen.choose (0, 12) ]
            let! nnz = slots rows cols
            return! over (Topology.rowGroups size rows cols nnz)
        }
        |> Arb.fromGen

    let rec private commonDivisor (a: int) (b: int) : int =
        if b = 0 then a else commonDivisor b (a % b)

    /// Rows that go together where a policy says so many: none of them are of two groups of channels.
    let internal groupOf (size: int) (state: LayerState) : int =
        if state.ChannelGroups = 1 then
            size
        else
            commonDivisor size (state.Connectivity.Rows / state.ChannelGroups)

    /// <summary>As <c>states</c>, of convolutions whose kernels are whole, of 1 to 9 cells and up to 3 groups of channels, for
    /// policies that keep them.</summary>
    /// <param name="size">Rows of a row group, 1 for none; in groups of channels they are as many as fit.</param>
    /// <example><code>
    /// let policy = Policy.rigL (Schedule.constant 0.3 100L 1000L) |> Policy.inKernels RowGroupNorm.L2
    ///
    /// Prop.forAll (RewireGenerators.statesInKernels 1) (fun state ->
    ///     Laws.hasKernels state.KernelCells (Rewire.layerBy policy 0.3 state).Connectivity)
    /// |> Check.QuickThrowOnFailure
    /// </code></example>
    [<CompiledName "StatesInKernels">]
    let statesInKernels (size: int) : Arbitrary<LayerState> =
        gen {
            let! groups = Gen.choose (1, 3)
            let! outputs = Gen.choose (0, 2 * size + 1)
            let! inputs = Gen.choose (0, 4)
            let! cells = Gen.elements [ 1; 2; 3; 9 ]
            let rows = groups * outputs
            let! nnz = slots rows (inputs * cells)

            let size =
                if groups = 1 then size
                elif outputs = 0 then 1
                else commonDivisor size outputs

            let! state =
                over (Topology.inKernels cells (Topology.rowGroups size) rows (inputs * cells) nnz)

            return
                { state with
                    ChannelGroups = groups
                    KernelCells = cells }
        }
        |> Arb.fromGen
