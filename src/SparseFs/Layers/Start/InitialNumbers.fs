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
        /// Float32 on the CPU, a number for each output; or null.
        Bias: torch.Tensor | null
    }

module internal InitialNumbers =

    let private uniform (generator: torch.Generator | null) (count: int) =
        torch.rand(int64 count, device = torch.CPU, generator = generator).mul_(Scalars.Of 2.0).sub_(Scalars.Of 1.0)

    /// The weight's numbers, then the bias's, from a generator, or from torch's own. Zeros leaves it where it is.
    let draw
        (generator: torch.Generator | null)
        (init: Init)
        (nnz: int)
        (outputs: int)
        (hasBias: bool)
        : InitialNumbers =
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
            | Init.Zeros -> torch.zeros (int64 outputs, device = torch.CPU)
            | _ -> uniform generator outputs

        { Init = init
          Weight = weight
          Bias = bias }

    let private floats (scales: float32[]) =
        torch.tensor (scales, device = torch.CPU)

    /// A scale of each output, from its slots; 0 for one that has none.
    let private scales (outputs: ChannelSlots) (scaleOf: float -> float) : float32[] =
        LayerChannels.counts outputs
        |> Array.map (fun fanIn -> if fanIn = 0 then 0.0f else float32 (scaleOf (float fanIn)))

    /// The scale of each weight [nnz], from the fan-in of its output and the fan-out of its input.
    let private slotScales (channels: LayerChannels) (c: Connectivity) (scaleOf: float -> float) : torch.Tensor =
        let outputs, inputs =
            LayerChannels.outputs channels c, LayerChannels.inputs channels c

        let struct (_, outputOf), struct (_, inputOf) = outputs, inputs

        let fanIn, fanOut = LayerChannels.counts outputs, LayerChannels.counts inputs

        Array.map2 (fun output input -> float32 (scaleOf (float fanIn[output] + float fanOut[input]))) outputOf inputOf
        |> floats

    /// By the cells that an output has in all.
    let private denseScale (channels: LayerChannels) (c: Connectivity) =
        let outputs = LayerChannels.outputCount channels c.Rows c.Cols
        let cells = int64 c.Rows * int64 c.Cols / int64 (max 1 outputs)
        Scalars.Of(channels.Gain / sqrt (float (max 1L cells)))

    let private fanInScale (channels: LayerChannels) (fanIn: float) = channels.Gain / sqrt fanIn

    /// The weights of the pattern [nnz]: the numbers, scaled in place.
    let weight (channels: LayerChannels) (c: Connectivity) (numbers: InitialNumbers) : torch.Tensor =
        use _ = torch.no_grad ()

        let scaled (scaleOf: float -> float) =
            let outputs = LayerChannels.outputs channels c
            let struct (_, outputOf) = outputs
            let scales = scales outputs scaleOf
            numbers.Weight.mul_ (floats (outputOf |> Array.map (fun output -> scales[output])))

        match numbers.Init with
        | Init.FanIn -> scaled (fanInScale channels)
        | Init.DenseFanIn -> numbers.Weight.mul_ (denseScale channels c)
        | Init.KaimingUniform -> scaled (fun fanIn -> sqrt (6.0 / fanIn))
        | Init.KaimingNormal -> scaled (fun fanIn -> sqrt (2.0 / fanIn))
        | Init.Zeros -> numbers.Weight
        | Init.XavierUniform -> numbers.Weight.mul_ (slotScales channels c (fun fans -> sqrt (6.0 / fans)))
        | Init.XavierNormal -> numbers.Weight.mul_ (slotScales channels c (fun fans -> sqrt (2.0 / fans)))

    /// The bias, scaled in place by torch.nn.Linear's rule with each output's slots (all of its cells for DenseFanIn); or null.
    let bias (channels: LayerChannels) (c: Connectivity) (numbers: InitialNumbers) : torch.Tensor | null =
        use _ = torch.no_grad ()

        match numbers.Init, numbers.Bias with
        | _, null -> null
        | _, bias when channels.HasZeroBias -> bias.zero_ ()
        | Init.DenseFanIn, bias -> bias.mul_ (denseScale channels c)
        | Init.Zeros, bias -> bias
        | _, bias -> bias.mul_ (floats (scales (LayerChannels.outputs channels c) (fanInScale channels)))
