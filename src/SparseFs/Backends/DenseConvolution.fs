namespace SparseFs.Torch

open System.Collections.Generic
open SparseFs.Kernels
open TorchSharp

/// <summary>A convolution's three products by way of a dense kernel: torch's own compute.</summary>
/// <remarks>The gradient of the kernel is what torch differentiates its convolution to: that is linear in its kernel, which may be
/// anything meanwhile.</remarks>
[<RequireQualifiedAccess>]
module internal DenseConvolution =

    let private of3 (e: Extent) : int64[] =
        [| int64 e.Depth; int64 e.Height; int64 e.Width |]

    let private of2 (e: Extent) : int64[] = [| int64 e.Height; int64 e.Width |]

    /// Whether inputs of a depth are images, for which torch is faster.
    let private isFlat (g: ConvGeometry) (depth: int) : bool =
        depth = 1 && g.Kernel.Depth = 1 && g.Before.Depth = 0 && g.After.Depth = 0

    /// The convolution of x with a kernel [out, in a group, depth, height, width].
    let private convolve
        (g: ConvGeometry)
        (kernel: torch.Tensor)
        (bias: torch.Tensor | null)
        (x: torch.Tensor)
        : torch.Tensor =
        let x, padding =
            if g.Before = g.After then
                x, g.Before
            else
                let b, a = g.Before, g.After

                let margins =
                    [| b.Width; a.Width; b.Height; a.Height; b.Depth; a.Depth |] |> Array.map int64

                torch.nn.functional.pad (x, margins), Extent.all 0

        if isFlat g (int x.shape[2]) then
            torch.nn.functional
                .conv2d(
                    x.squeeze 2L,
                    kernel.squeeze 2L,
                    bias,
                    of2 g.Stride,
                    of2 padding,
                    of2 g.Dilation,
                    int64 g.Groups
                )
                .unsqueeze(2L)
        else
            torch.nn.functional.conv3d (x, kernel, bias, of3 g.Stride, of3 padding, of3 g.Dilation, int64 g.Groups)

    /// The transposed convolution of g, to inputs of a size: torch's own, whose size is the smallest that gives such outputs.
    let private convolveBack (c: ConvGeometry) (kernel: torch.Tensor) (input: Extent) (g: torch.Tensor) : torch.Tensor =
        let b, a = c.Before, c.After
        let output = c.Output input

        /// What torch's smallest size lacks, behind; margins that differ from side to side are cut off from a larger result.
        let missing (size: int) (out: int) (before: int) (after: int) (reach: int) (stride: int) =
            int64 (size + before + after - ((out - 1) * stride + reach))

        let reach = c.Reach

        let behind =
            [| missing input.Depth output.Depth b.Depth a.Depth reach.Depth c.Stride.Depth
               missing input.Height output.Height b.Height a.Height reach.Height c.Stride.Height
               missing input.Width output.Width b.Width a.Width reach.Width c.Stride.Width |]

        let whole =
            if isFlat c input.Depth then
                torch.nn.functional
                    .conv_transpose2d(
                        g.squeeze 2L,
                        kernel.squeeze 2L,
                        null,
                        of2 c.Stride,
                        [| 0L; 0L |],
                        behind[1..],
                        of2 c.Dilation,
                        int64 c.Groups
                    )
                    .unsqueeze(2L)
            else
                torch.nn.functional.conv_transpose3d (
                    g,
                    kernel,
                    null,
                    of3 c.Stride,
                    [| 0L; 0L; 0L |],
                    behind,
                    of3 c.Dilation,
                    int64 c.Groups
                )

        whole
            .narrow(2L, int64 b.Depth, int64 input.Depth)
            .narrow(3L, int64 b.Height, int64 input.Height)
            .narrow(4L, int64 b.Width, int64 input.Width)

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
        convolveBack geometry kernel call.Input g

    let sddmm (ofDense: SpmmPlan -> torch.Tensor -> torch.Tensor) (call: ConvCall) (g: torch.Tensor) (x: torch.Tensor) =
        let geometry, pattern = call.Plan.Geometry, call.Plan.Pattern

        let zeros =
            torch.zeros ([| int64 pattern.Rows; int64 pattern.Cols |], dtype = x.dtype, device = x.device)

        let gradient =
            gradientAt zeros (fun matrix -> convolve geometry (kernelOf geometry matrix) null x) g

        ofDense (SpmmPlans.planOf pattern) gradient
