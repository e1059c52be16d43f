namespace SparseFs.Torch

open System
open SparseFs
open SparseFs.Kernels
open TorchSharp

/// <summary>The three operations by way of a dense matrix, for layers that are hardly sparse.</summary>
/// <remarks>Each makes its own [rows, cols] matrix and keeps none. The caller has checked every size; inputs are
/// [N, features], and no gradient is recorded.</remarks>
module internal DenseOps =

    let private hasKernels (t: torch.Tensor) =
        t.dtype = torch.ScalarType.Float32 && t.device_type = DeviceType.CPU

    /// What copying a slot costs, in multiply-adds of a product: as many samples keep as many threads busy.
    [<Literal>]
    let private SamplesOfCopy = 16

    let private machineFor (c: Connectivity) =
        OpenMpTeam.machineFor c.Nnz SamplesOfCopy

    /// values at the pattern, 0 elsewhere: [rows, cols].
    let toDense (c: Connectivity) (values: torch.Tensor) : torch.Tensor =
        if hasKernels values then
            let values = TensorView.contiguous values

            let w =
                torch.empty ([| int64 c.Rows; int64 c.Cols |], dtype = torch.ScalarType.Float32, device = torch.CPU)

            CpuSlotCopies.spread (machineFor c) c (TensorView.floats "values" values) (TensorView.floats "w" w)
            GC.KeepAlive values
            w
        else
            PortableOps.toDense c values

    /// The elements of w [rows, cols] at the pattern: [nnz].
    let private ofDense (c: Connectivity) (w: torch.Tensor) : torch.Tensor =
        if hasKernels w then
            let w = TensorView.contiguous w

            let d =
                torch.empty ([| int64 c.Nnz |], dtype = torch.ScalarType.Float32, device = torch.CPU)

            CpuSlotCopies.collect (machineFor c) c (TensorView.floats "w" w) (TensorView.floats "d" d)
            GC.KeepAlive w
            d
        else
            PortableOps.ofDense c w

    /// x [N, cols] · Wᵀ + bias: [N, rows]; bias [rows] may be null.
    let spmm (c: Connectivity) (values: torch.Tensor) (bias: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        torch.nn.functional.linear (x, toDense c values, bias)

    /// g [N, rows] · W: [N, cols].
    let spmmT (c: Connectivity) (values: torch.Tensor) (g: torch.Tensor) : torch.Tensor = g.mm (toDense c values)

    /// gᵀ · x at the pattern: [nnz].
    let sddmm (c: Connectivity) (g: torch.Tensor) (x: torch.Tensor) : torch.Tensor = ofDense c (g.t().mm x)
