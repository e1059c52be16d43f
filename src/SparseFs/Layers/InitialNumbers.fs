namespace SparseFs.Torch

open SparseFs
open TorchSharp

/// <summary>What torch's generator gives for a new layer's weights and bias, before the pattern scales it.</summary>
/// <remarks>Numbers and pattern are apart, so that a seed can be drawn between them: see docs/decisions/0017.</remarks>
[<NoComparison; NoEquality>]
type internal InitialNumbers =
    {
        Init: Init
        /// Float32 [nnz] on the CPU.
        Weight: torch.Tensor
        /// Float32 [rows] on the CPU, or null.
        Bias: torch.Tensor | null
    }

module internal InitialNumbers =

    let private uniform (generator: torch.Generator | null) (count: int) =
        torch.rand(int64 count, device = torch.CPU, generator = generator).mul_(Scalars.Of 2.0).sub_(Scalars.Of 1.0)

    /// The weight's numbers, then the bias's, from a generator, or from torch's own. Zeros leaves it where it is.
    let draw (generator: torch.Generator | null) (init: Init) (nnz: int) (rows: int) (hasBias: bool) : InitialNumbers =
        use _ = torch.no_grad ()

        let weight =
            match init with
            | Init.FanIn
            | Init.DenseFanIn
            | Init.KaimingUniform
            | Init.XavierUniform -> uniform generator nnz
            | Init.KaimingNormal
            | Init.XavierNormal -> torch.randn (int64 nnz, device = torch.CPU, generator = generator)
            | Init.Zeros -> torch.zeros (int64 nnz, device = torch.CPU)

        let bias: torch.Tensor | null =
            match init with
            | _ when not hasBias -> null
            | Init.Zeros -> torch.zeros (int64 rows, device = torch.CPU)
            | _ -> uniform generator rows

        { Init = init
          Weight = weight
          Bias = bias }

    /// The scale of each row: 0 for a row without inputs.
    let private scales (c: Connectivity) (scaleOf: float -> float) : torch.Tensor =
        let scales =
            Connectivity.fanIn c
            |> Array.map (fun fanIn -> if fanIn = 0 then 0.0f else float32 (scaleOf (float fanIn)))

        torch.tensor (scales, device = torch.CPU)

    /// The scale of each weight [nnz], from the fan-in of its row and the fan-out of its column.
    let private slotScales (c: Connectivity) (scaleOf: float -> float) : torch.Tensor =
        let fanIn, fanOut = Connectivity.fanIn c, Connectivity.fanOut c

        let scales =
            Array.map2
                (fun row col -> float32 (scaleOf (float fanIn[row] + float fanOut[col])))
                (Connectivity.rowIndices c)
                c.ColIdxArray

        torch.tensor (scales, device = torch.CPU)

    let private denseScale (c: Connectivity) =
        Scalars.Of(1.0 / sqrt (float (max 1 c.Cols)))

    let private fanInScale (fanIn: float) = 1.0 / sqrt fanIn

    /// The weights of the pattern [nnz]: the numbers, scaled in place.
    let weight (c: Connectivity) (numbers: InitialNumbers) : torch.Tensor =
        use _ = torch.no_grad ()

        let scaled (scaleOf: float -> float) =
            let fanIn =
                torch.tensor(Connectivity.fanIn c, device = torch.CPU).to_type torch.ScalarType.Int64

            numbers.Weight.mul_ ((scales c scaleOf).repeat_interleave fanIn)

        match numbers.Init with
        | Init.FanIn -> scaled fanInScale
        | Init.DenseFanIn -> numbers.Weight.mul_ (denseScale c)
        | Init.KaimingUniform -> scaled (fun fanIn -> sqrt (6.0 / fanIn))
        | Init.KaimingNormal -> scaled (fun fanIn -> sqrt (2.0 / fanIn))
        | Init.Zeros -> numbers.Weight
        | Init.XavierUniform -> numbers.Weight.mul_ (slotScales c (fun fans -> sqrt (6.0 / fans)))
        | Init.XavierNormal -> numbers.Weight.mul_ (slotScales c (fun fans -> sqrt (2.0 / fans)))

    /// The bias [rows], scaled in place by torch.nn.Linear's rule with each row's inputs (all of them for DenseFanIn); or
    /// null.
    let bias (c: Connectivity) (numbers: InitialNumbers) : torch.Tensor | null =
        use _ = torch.no_grad ()

        match numbers.Init, numbers.Bias with
        | _, null -> null
        | Init.DenseFanIn, bias -> bias.mul_ (denseScale c)
        | Init.Zeros, bias -> bias
        | _, bias -> bias.mul_ (scales c fanInScale)
