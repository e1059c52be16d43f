namespace SparseFs

open System
open SparseFs.Torch
open TorchSharp

/// <summary>How the weights of a new layer are drawn; torch.manual_seed governs the draws.</summary>
/// <remarks>A sparse row has few inputs, so every rule but DenseFanIn scales each row by its own number of slots; cf.
/// Evci et al., "Gradient flow in sparse neural networks and how lottery tickets win", AAAI 2022, section 3.1.</remarks>
[<RequireQualifiedAccess>]
type Init =
    /// <summary>Uniform within ± 1/√(fan-in of the row): torch.nn.Linear's rule, with the inputs that the row has.</summary>
    | FanIn
    /// <summary>Uniform within ± 1/√in_features, whatever the sparsity: SparseLinear's rule.</summary>
    | DenseFanIn
    /// <summary>Uniform within ± √(6 / fan-in of the row): He et al. 2015, equation 10, for a ReLU that follows.</summary>
    | KaimingUniform
    /// <summary>Normal of deviation √(2 / fan-in of the row): He et al. 2015, equation 10, for a ReLU that follows.</summary>
    | KaimingNormal
    /// <summary>All weights 0.</summary>
    | Zeros

module internal InitialWeights =

    /// The scale of each row: 0 for a row without inputs.
    let private scales (c: Connectivity) (scaleOf: float -> float) : float32[] =
        Connectivity.fanIn c
        |> Array.map (fun fanIn -> if fanIn = 0 then 0.0f else float32 (scaleOf (float fanIn)))

    let private denseScale (c: Connectivity) = 1.0 / sqrt (float (max 1 c.Cols))

    /// Float32 values [nnz] on the CPU.
    let weight (init: Init) (c: Connectivity) : torch.Tensor =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let nnz = int64 c.Nnz

        let uniform () =
            torch.rand(nnz, device = torch.CPU).mul_(Scalars.Of 2.0).sub_(Scalars.Of 1.0)

        let perSlot (scaleOf: float -> float) =
            let fanIn =
                torch.tensor(Connectivity.fanIn c, device = torch.CPU).to_type torch.ScalarType.Int64

            torch.tensor(scales c scaleOf, device = torch.CPU).repeat_interleave fanIn

        let values =
            match init with
            | Init.FanIn -> uniform().mul_(perSlot (fun fanIn -> 1.0 / sqrt fanIn))
            | Init.DenseFanIn -> uniform().mul_(Scalars.Of(denseScale c))
            | Init.KaimingUniform -> uniform().mul_(perSlot (fun fanIn -> sqrt (6.0 / fanIn)))
            | Init.KaimingNormal -> torch.randn(nnz, device = torch.CPU).mul_(perSlot (fun fanIn -> sqrt (2.0 / fanIn)))
            | Init.Zeros -> torch.zeros (nnz, device = torch.CPU)

        values.MoveToOuterDisposeScope()

    /// Float32 bias [rows] on the CPU: torch.nn.Linear's rule, with each row's inputs (all of them for DenseFanIn).
    let bias (init: Init) (c: Connectivity) : torch.Tensor =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()

        let within (scale: torch.Tensor) =
            torch.rand(int64 c.Rows, device = torch.CPU).mul_(Scalars.Of 2.0).sub_(Scalars.Of 1.0).mul_ scale

        let values =
            match init with
            | Init.DenseFanIn -> within (torch.full ([| int64 c.Rows |], Scalars.Of(denseScale c), device = torch.CPU))
            | Init.Zeros -> torch.zeros (int64 c.Rows, device = torch.CPU) // torch's generator stays where it is
            | _ -> within (torch.tensor (scales c (fun fanIn -> 1.0 / sqrt fanIn), device = torch.CPU))

        values.MoveToOuterDisposeScope()
