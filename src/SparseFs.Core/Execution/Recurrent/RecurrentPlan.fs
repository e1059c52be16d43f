namespace SparseFs.Kernels

#nowarn "9"

open Microsoft.FSharp.NativeInterop

/// Sequences: the address of the first sample's first step, and the floats from there to the next step and to the next sample.
[<Struct>]
type internal SequenceView =
    { Data: nativeptr<float32>
      Step: int64
      Sample: int }

    /// The samples of one step, from one sample on.
    member s.At(step: int, sample: int) : MatrixView =
        { Data = Pointer.at s.Data (int64 step * s.Step + int64 sample * int64 s.Sample)
          Stride = s.Sample }

/// Where a step of a tile lies in a buffer of blocks: floats before its first row, and from there to the next row.
[<Struct>]
type internal StepPlace = { Floats: int64; Apart: int64 }

/// <summary>How sequences lie in memory while a recurrent layer computes them.</summary>
/// <remarks>
/// Samples are cut into tiles, which know nothing of each other. A tile of fewer than four vectors has several steps beside each other in a
/// block, [rows, steps · W], so that the products over all steps run at the width of four vectors. Steps are counted in the order in
/// which the layer takes them: backwards in time where it is reversed. Samples are in order of their lengths, the longest first, so that
/// a step has the first ones.
/// </remarks>
/// <param name="cell">What the units do.</param>
/// <param name="width">Of vectors.</param>
/// <param name="steps">1 or more.</param>
/// <param name="batch">Samples, 1 or more.</param>
/// <param name="inputs">Of a sample's step.</param>
/// <param name="units">Of the layer.</param>
/// <param name="batchSizes">Samples that have a step of time, which never rise; null where all have all.</param>
/// <param name="isReverse">Whether the last step of time is the first.</param>
[<Sealed>]
type internal RecurrentPlan
    (
        cell: Cell,
        width: Width,
        steps: int,
        batch: int,
        inputs: int,
        units: int,
        batchSizes: int[] | null,
        isReverse: bool
    ) =
    let tiling = BatchTiling.ofBatch width batch (max inputs units)

    member _.Cell = cell
    member _.Steps = steps
    member _.Batch = batch
    member _.Inputs = inputs
    member _.Units = units
    member _.Tiling: BatchTiling = tiling

    /// Rows of the weights.
    member _.Rows: int = Cell.gates cell * units

    /// Whether sequences have lengths of their own.
    member _.HasLengths: bool = not (isNull batchSizes)

    /// The step of time at which a step is.
    member _.Time(step: int) : int =
        if isReverse then steps - 1 - step else step

    /// Samples of a tile that have a step; none before the first and after the last one.
    member p.Active(tile: Tile, step: int) : int =
        if step < 0 || step >= steps then
            0
        else
            match batchSizes with
            | null -> tile.Samples
            | sizes -> min tile.Samples (max 0 (sizes[p.Time step] - tile.Sample))

    /// Samples of a tile that begin with a step.
    member p.Entering(tile: Tile, step: int) : RowRange =
        { From = p.Active(tile, step - 1)
          To = p.Active(tile, step) }

    /// Samples of a tile that end with a step.
    member p.Leaving(tile: Tile, step: int) : RowRange =
        { From = p.Active(tile, step + 1)
          To = p.Active(tile, step) }

    /// Steps of a tile's block; of the last one, at most.
    member _.StepsOfBlock(tile: Tile) : int = max 1 (tiling.Vectors / tile.Vectors)

    /// Blocks of a tile.
    member p.Blocks(tile: Tile) : int =
        let most = p.StepsOfBlock tile
        (steps + most - 1) / most

    /// A block as a tile of products: all of its steps' samples with their padding.
    member p.Block(tile: Tile, block: int) : Tile =
        let most = p.StepsOfBlock tile
        let vectors = min most (steps - block * most) * tile.Vectors

        { Sample = 0
          Samples = vectors * tiling.Lanes
          Vectors = vectors }

    /// Where a step lies in a buffer that has so many rows a block.
    member p.Place(tile: Tile, step: int, rows: int) : StepPlace =
        let most, wide = p.StepsOfBlock tile, tiling.Wide tile
        let block = step / most
        let before = int64 steps * int64 tile.Sample + int64 block * int64 (most * wide)

        { Floats = before * int64 rows + int64 ((step - block * most) * wide)
          Apart = int64 ((p.Block(tile, block)).Vectors * tiling.Lanes) }

    /// Floats of a buffer that has so many rows a block.
    member p.Floats(rows: int) : int64 = int64 steps * p.StateFloats rows

    /// Floats of a state with so many rows, of all tiles.
    member _.StateFloats(rows: int) : int64 =
        let last = tiling.Tile(tiling.Tiles - 1)
        int64 (last.Sample + tiling.Wide last) * int64 rows

    /// Where the state of a tile lies, [rows, W].
    member _.State(tile: Tile, rows: int) : int64 = int64 tile.Sample * int64 rows

    /// Where the cells before a step lie, [units, W]; those of one step behind the last are the last ones.
    member _.Cells(tile: Tile, step: int) : int64 =
        (int64 (steps + 1) * int64 tile.Sample + int64 step * int64 (tiling.Wide tile))
        * int64 units

    /// Floats of the cells of all steps.
    member p.CellFloats: int64 =
        if cell = Cell.Lstm then
            int64 (steps + 1) * p.StateFloats units
        else
            0L
