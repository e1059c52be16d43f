namespace SparseFs.Torch

open System.Collections.Generic
open SparseFs.Kernels
open TorchSharp

/// <summary>A convolution's three products by way of a dense kernel: torch's own compute.</summary>
/// <remarks>The transposed product and the gradient of the kernel are what torch differentiates its convolution to: it is linear in
/// each of its arguments, so that those may be anything meanwhile.</remarks>
[<RequireQualifiedAccess>]
module internal DenseConvolution =

    let private of3 (e: Extent) : int64[] =
        [| int64 e.Depth; int64 e.Height; int64 e.Width |]

    /// The convolution of x with a kernel [out, in a group, depth, height, width].
    let private convolve
        (g: ConvGeometry)
        (kernel: torch.Tensor)
        (bias: torch.Tensor | null)
        (x: torch.Tensor)
        : torch.Tensor =
        let x, padding =
            if g.Before = g.After then
                x, of3 g.Before
            else
                let b, a = g.Before, g.After

                let margins =
                    [| b.Width; a.Width; b.Height; a.Height; b.Depth; a.Depth |] |> Array.map int64

                torch.nn.functional.pad (x, margins), [| 0L; 0L; 0L |]

        torch.nn.functional.conv3d (x, kernel, bias, of3 g.Stride, padding, of3 g.Dilation, int64 g.Groups)

    let private kernelOf (g: ConvGeometry) (matrix: torch.Tensor) : torch.Tensor =
        matrix.view (Array.append [| int64 g.OutChannels; int64 (g.InChannels / g.Groups) |] (of3 g.Kernel))

    /// The gradient of what a product is linear in, at 0.
    let private gradientAt
        (zeros: torch.Tensor)
        (product: torch.Tensor -> torch.Tensor)
        (g: torch.Tensor)
        : torch.Tensor =
        use _ = torch.enable_grad ()
        let argument = zeros.requires_grad_ true
        let result = product argument
        let none = List<torch.Tensor>()
        none.Add g
        (torch.autograd.grad ([| result |], [| argument |], none))[0]

    let conv (toDense: SpmmPlan -> torch.Tensor -> torch.Tensor) (call: ConvCall) values bias (x: torch.Tensor) =
        let g = call.Plan.Geometry
        convolve g (kernelOf g (toDense (SpmmPlans.planOf call.Plan.Pattern) values)) bias x

    let convT (toDense: SpmmPlan -> torch.Tensor -> torch.Tensor) (call: ConvCall) values (g: torch.Tensor) =
        let geometry = call.Plan.Geometry
        let kernel = kernelOf geometry (toDense (SpmmPlans.planOf call.Plan.Pattern) values)
        let size = Array.append [| g.shape[0]; int64 geometry.InChannels |] (of3 call.Input)
        let zeros = torch.zeros (size, dtype = g.dtype, device = g.device)
        gradientAt zeros (convolve geometry kernel null) g

    let sddmm (ofDense: SpmmPlan -> torch.Tensor -> torch.Tensor) (call: ConvCall) (g: torch.Tensor) (x: torch.Tensor) =
        let geometry, pattern = call.Plan.Geometry, call.Plan.Pattern

        let zeros =
            torch.zeros ([| int64 pattern.Rows; int64 pattern.Cols |], dtype = x.dtype, device = x.device)

        let gradient =
            gradientAt zeros (fun matrix -> convolve geometry (kernelOf geometry matrix) null x) g

        ofDense (SpmmPlans.planOf pattern) gradient
