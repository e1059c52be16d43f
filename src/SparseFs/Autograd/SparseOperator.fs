namespace SparseFs.Torch

open SparseFs
open SparseFs.Kernels
open TorchSharp

/// Which implementation computes; everyone but a test leaves the choice to Auto.
[<RequireQualifiedAccess>]
type internal Backend =
    /// Kernels for float32 on the CPU with torch's number of threads, torch's operations elsewhere.
    | Auto
    | Portable
    /// By way of a dense matrix, on every device.
    | Dense
    /// As Auto, but the kernels walk only the inputs that are not 0.
    | SparseActivations
    | Kernels of ExecutionPolicy

/// One call's fixed part, as autograd functions carry it.
[<Sealed; AllowNullLiteral>]
type internal SparseOperator
    (connectivity: Connectivity, backend: Backend, recorder: GradientRecorder, numbers: LayerNumbers) =
    new(connectivity, backend) = SparseOperator(connectivity, backend, null, null)

    /// The same product of values that are no layer's.
    member _.OfValues = SparseOperator(connectivity, backend)

    /// Notes a backward pass where somebody wants it: upstream gradients, inputs, and the weight's gradient, or null.
    member _.Note(g: torch.Tensor, x: torch.Tensor, gradient: torch.Tensor) : unit =
        if not (isNull recorder || isNull numbers || isNull gradient) then
            recorder.Add(g, x, gradient, (fun () -> numbers.Leaf.grad))

    /// The layer's numbers, or null where the caller brings values of its own.
    member _.Numbers = numbers

    /// What is read for values that autograd knows as these.
    member _.Values(values: torch.Tensor) : torch.Tensor =
        if isNull numbers then values else numbers.Values

    /// What is read for a bias that autograd knows as this; null for none.
    member _.Bias(bias: torch.Tensor) : torch.Tensor =
        if isNull numbers || isNull bias then
            bias
        else
            numbers.BiasValues

    /// Where backward notes what it has seen, or null.
    member _.Recorder = recorder
    member _.Connectivity = connectivity
    member _.IsDense = backend.IsDense
    member _.SkipsZeros = backend.IsSparseActivations
    member _.Plan = SpmmPlans.planOf connectivity

    /// The machine to run kernels on for input [N, features], or none for torch's operations.
    member _.MachineFor(x: torch.Tensor) : ExecutionPolicy voption =
        match backend with
        | Backend.Auto
        | Backend.SparseActivations when x.dtype = torch.ScalarType.Float32 && x.device_type = DeviceType.CPU ->
            ValueSome(OpenMpTeam.machineFor connectivity.Nnz (int x.shape[0]))
        | Backend.Kernels machine -> ValueSome machine
        | _ -> ValueNone
