namespace SparseFs.Torch

open System
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>Carrying a layer's weight, its gradient and its moments over to another pattern, in place.</summary>
module internal RemapMoments =

    /// What a seeded tensor holds of each grown slot.
    let private seeds (seeding: Seeding) (unseen: float) (gradients: float32[]) : float32[] =
        let from (f: float -> float) =
            gradients |> Array.map (fun g -> float32 (f (float g)))

        match seeding with
        | Seeding.Unseen -> from (fun _ -> unseen)
        | Seeding.Gradient factor -> from (fun g -> factor * g)
        | Seeding.Square(factor, offset) -> from (fun g -> factor * g * g + offset)
        | Seeding.Magnitude -> from abs

    /// <summary>What the weight is to become, and each tensor beside it; nothing is changed yet. Call in a
    /// DisposeScope.</summary>
    let prepare
        (state: ParameterState)
        (moments: Moments)
        (p: Parameter)
        (rewired: Rewired)
        : struct (torch.Tensor * struct (torch.Tensor * torch.Tensor)[]) =
        let slots = SlotIndices(rewired.Remap, rewired.Connectivity, p.device)

        let constant (values: torch.Tensor) (number: float) =
            (Backends.ofTensor values).GatherSlots slots number values

        let grown = rewired.GrownWeights

        let grownWeights (values: torch.Tensor) =
            if Array.forall (fun w -> w = 0.0f) grown then
                constant values 0.0
            else
                slots.Numbers(values, grown)

        let others =
            [| match TorchNulls.gradOf p with
               | null -> ()
               | grad -> struct (grad, constant grad 0.0)

               for tensor in state.Tensors do
                   match tensor.For p with
                   | null -> ()
                   | values ->
                       let changed =
                           match tensor.Unseen, moments with
                           | Unseen.Weight, _ -> grownWeights values
                           | Unseen.Number number, Moments.RowMean -> slots.RowMeans(values, number)
                           | Unseen.Number number, Moments.Seeded when tensor.Seeding <> Seeding.Unseen ->
                               slots.Numbers(values, seeds tensor.Seeding number rewired.GrownGradients)
                           | Unseen.Number number, _ -> constant values number

                       struct (values, changed) |]

        struct (grownWeights p, others)

    /// Whether the steps of grown slots are counted apart.
    let countsAges (moments: Moments) : bool =
        moments = Moments.Fresh || moments = Moments.Seeded

    /// The age of slots that an update has grown; negative where they are as old as all others.
    let ageOfGrown (state: ParameterState) (moments: Moments) : int64 =
        let age =
            match moments with
            | Moments.Fresh -> 0L
            | Moments.Seeded -> state.AgeOfSeeded
            | _ -> -1L

        if age >= 0L && state.IsYoung age then age else -1L

    /// <summary>Makes the changes beside the weight's. A tensor keeps its identity, also where its length changes.</summary>
    let commit (changes: struct (torch.Tensor * torch.Tensor)[]) =
        use _ = torch.no_grad ()

        for struct (target, source) in changes do
            if target.numel () = source.numel () then
                target.copy_ source |> ignore
            else
                target.set_ source |> ignore
