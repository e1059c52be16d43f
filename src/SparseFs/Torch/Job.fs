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
    | SparseInputs
    | Kernels of Machine

/// One call's fixed part, as autograd functions carry it.
[<Sealed; AllowNullLiteral>]
type internal Job(connectivity: Connectivity, backend: Backend, recorder: Recorder) =
    let born = if isNull recorder then 0L else recorder.Now()
    new(connectivity, backend) = Job(connectivity, backend, null)
    /// When its forward ran, by the recorder's clock.
    member _.Born = born
    /// Where backward notes what it has seen, or null.
    member _.Recorder = recorder
    member _.Connectivity = connectivity
    member _.IsDense = backend.IsDense
    member _.SkipsZeros = backend.IsSparseInputs
    member _.Plan = Plans.planOf connectivity

    /// The machine to run kernels on for input [N, features], or none for torch's operations.
    member _.MachineFor(x: torch.Tensor) : Machine voption =
        match backend with
        | Backend.Auto
        | Backend.SparseInputs when x.dtype = torch.ScalarType.Float32 && x.device_type = DeviceType.CPU ->
            Team.attach ()
            ValueSome(Dispatch.machineFor (torch.get_num_threads ()) connectivity.Nnz (int x.shape[0]))
        | Backend.Kernels machine -> ValueSome machine
        | _ -> ValueNone
