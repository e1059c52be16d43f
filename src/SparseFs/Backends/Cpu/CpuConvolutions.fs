namespace SparseFs.Torch

open System
open SparseFs.Kernels
open TorchSharp

/// <summary>Convolutions on the library's kernels: float32 on the CPU.</summary>
/// <remarks>Here tensors become addresses. Tensors that are not contiguous are copied first.</remarks>
module internal CpuConvolutions =

    let private empty (shape: int64[]) : torch.Tensor =
        torch.empty (shape, dtype = torch.ScalarType.Float32, device = torch.CPU)

    /// What a call of n samples may use.
    let private policyOf (policies: CpuPolicies) (call: ConvCall) (n: int) : ExecutionPolicy =
        let pixels = (call.Plan.Geometry.Output call.Input).Pixels
        let samples = min (int64 Int32.MaxValue) (int64 n * pixels)
        policies.Products call.Plan.Pattern.Nnz (int samples)

    let private shape (n: int) (channels: int) (size: Extent) : int64[] =
        [| int64 n
           int64 channels
           int64 size.Depth
           int64 size.Height
           int64 size.Width |]

    let conv
        (policies: CpuPolicies)
        (call: ConvCall)
        (values: torch.Tensor)
        (bias: torch.Tensor | null)
        (x: torch.Tensor)
        : torch.Tensor =
        let values, bias, x =
            TensorView.contiguous values, TensorView.contiguousOrNull bias, TensorView.contiguous x

        let geometry, n = call.Plan.Geometry, int x.shape[0]
        let plan, input = call.Plan, call.Input
        let y = empty (shape n geometry.OutChannels (geometry.Output input))

        let ofValues, ofBias =
            TensorView.floats "values" values, TensorView.floatsOrNull "bias" bias

        let ofX, ofY = TensorView.floats "x" x, TensorView.floats "y" y

        ExecutionPolicy.call (policyOf policies call n) (fun policy ->
            CpuConvolution.conv policy plan input ofValues ofBias ofX n ofY)

        GC.KeepAlive(struct (values, bias, x))
        y

    let convT (policies: CpuPolicies) (call: ConvCall) (values: torch.Tensor) (g: torch.Tensor) : torch.Tensor =
        let values, g = TensorView.contiguous values, TensorView.contiguous g
        let n = int g.shape[0]
        let plan, input = call.Plan, call.Input
        let x = empty (shape n plan.Geometry.InChannels input)

        let ofValues, ofG, ofX =
            TensorView.floats "values" values, TensorView.floats "g" g, TensorView.floats "x" x

        ExecutionPolicy.call (policyOf policies call n) (fun policy ->
            CpuConvolution.convT policy plan input ofValues ofG n ofX)

        GC.KeepAlive(struct (values, g))
        x

    let sddmm (policies: CpuPolicies) (call: ConvCall) (g: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        let g, x = TensorView.contiguous g, TensorView.contiguous x
        let n = int x.shape[0]
        let plan, input = call.Plan, call.Input
        let d = empty [| int64 plan.Pattern.Nnz |]

        let ofG, ofX, ofD =
            TensorView.floats "g" g, TensorView.floats "x" x, TensorView.floats "d" d

        ExecutionPolicy.call (policyOf policies call n) (fun policy ->
            CpuConvolution.sddmm policy plan input ofG ofX n ofD)

        GC.KeepAlive(struct (g, x))
        d
