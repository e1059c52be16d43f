namespace SparseFs.Torch

open System.Collections.Concurrent
open SparseFs
open SparseFs.Kernels
open TorchSharp

/// <summary>Which backend computes: the only place that chooses by arithmetic, dtype and device.</summary>
/// <remarks>A new backend is one more value in a list of <c>candidates</c>, ahead of what it replaces.</remarks>
[<RequireQualifiedAccess>]
module internal Backends =

    let private isHalf (dtype: torch.ScalarType) =
        dtype = torch.ScalarType.Float16 || dtype = torch.ScalarType.BFloat16

    let private widen (t: torch.Tensor) : torch.Tensor = t.to_type torch.ScalarType.Float32

    let private widenOrNull (t: torch.Tensor | null) : torch.Tensor | null =
        match t with
        | null -> null
        | t -> widen t

    /// <summary>Half precision by way of float32, rounded once, where the backend itself does not take it.</summary>
    let inFloat32 (b: Backend) : Backend =
        let back (like: torch.Tensor) (t: torch.Tensor) : torch.Tensor = t.to_type like.dtype

        let spmmT plan values g =
            back g (b.SpmmT plan (widen values) (widen g))

        let sddmm plan g x =
            back x (b.Sddmm plan (widen g) (widen x))

        { b with
            Name = $"{b.Name}, in float32"
            Accepts =
                fun dtype device ->
                    isHalf dtype
                    && b.Accepts torch.ScalarType.Float32 device
                    && not (b.Accepts dtype device)
            Spmm = fun plan values bias x -> back x (b.Spmm plan (widen values) (widenOrNull bias) (widen x))
            SpmmT = spmmT
            Sddmm = sddmm
            Gradients = Backend.gradientsBy spmmT sddmm
            Conv = fun call values bias x -> back x (b.Conv call (widen values) (widenOrNull bias) (widen x))
            ConvT = fun call values g -> back g (b.ConvT call (widen values) (widen g))
            ConvSddmm = fun call g x -> back x (b.ConvSddmm call (widen g) (widen x))
            ToDense = fun plan values -> back values (b.ToDense plan (widen values))
            OfDense = fun plan w -> back w (b.OfDense plan (widen w))
            Chain = ValueNone
            Attention = ValueNone
            Dropout = ValueNone
            Recurrence = ValueNone
            GatherSlots = PortableBackend.backend.GatherSlots // copies numbers, and rounds none
            TopK =
                fun top x ->
                    let result = b.TopK top (widen x)

                    { result with
                        Values = back x result.Values }
            Keep = fun mask u -> back u (b.Keep mask (widen u)) }

    /// <summary>Products by way of a dense matrix, for layers that are hardly sparse: each makes its own and keeps none.</summary>
    let dense (b: Backend) : Backend =
        let spmmT (plan: SpmmPlan) (values: torch.Tensor) (g: torch.Tensor) = g.mm (b.ToDense plan values)
        let sddmm (plan: SpmmPlan) (g: torch.Tensor) (x: torch.Tensor) = b.OfDense plan (g.t().mm x)

        { b with
            Name = $"{b.Name}, dense"
            Spmm = fun plan values bias x -> torch.nn.functional.linear (x, b.ToDense plan values, bias)
            SpmmT = spmmT
            Sddmm = sddmm
            Gradients = Backend.gradientsBy spmmT sddmm
            Conv = DenseConvolution.conv b.ToDense
            ConvT = DenseConvolution.convT b.ToDense
            ConvSddmm = DenseConvolution.sddmm b.OfDense
            Chain = ValueNone
            Recurrence = ValueNone }

    /// <summary>One of two, by the samples of a call and the sparsity of its pattern.</summary>
    let faster (ofDense: Backend) (ofSparse: Backend) : Backend =
        let choose (plan: SpmmPlan) (samples: torch.Tensor) =
            match Arithmetic.faster plan.Connectivity.Sparsity (int samples.shape[0]) with
            | Arithmetic.Dense -> ofDense
            | _ -> ofSparse

        let chooseConvolution (call: ConvCall) =
            if call.Plan.Pattern.Sparsity < Arithmetic.breakEvenOfConvolutions then
                ofDense
            else
                ofSparse

        { ofSparse with
            Name = $"{ofSparse.Name}, or {ofDense.Name}"
            Chain = ValueNone // each product is one or the other
            Spmm = fun plan values bias x -> (choose plan x).Spmm plan values bias x
            SpmmT = fun plan values g -> (choose plan g).SpmmT plan values g
            Sddmm = fun plan g x -> (choose plan x).Sddmm plan g x
            Gradients = fun plan values x g wantsBias -> (choose plan g).Gradients plan values x g wantsBias
            Conv = fun call values bias x -> (chooseConvolution call).Conv call values bias x
            ConvT = fun call values g -> (chooseConvolution call).ConvT call values g
            ConvSddmm = fun call g x -> (chooseConvolution call).ConvSddmm call g x }

    /// Kernels on libtorch's threads, as many as torch.get_num_threads() says at the time of the call.
    let private policies: CpuPolicies =
        { Products = OpenMpTeam.machineFor
          TopK = OpenMpTeam.topKFor }

    /// Kernels on so many threads and at one width, whatever the work: for tests.
    let forced (policy: ExecutionPolicy) : CpuPolicies =
        { Products = fun _ _ -> policy
          TopK = fun _ _ -> policy }

    /// What could compute, the best first; each is made when it is asked.
    let private candidates (arithmetic: Arithmetic) : (unit -> Backend) list =
        let kernels () = CpuBackend.backend policies
        let portable () = PortableBackend.backend

        match arithmetic with
        | Arithmetic.Dense -> [ (fun () -> dense (kernels ())); (fun () -> dense (portable ())) ]
        | Arithmetic.Faster ->
            [ fun () -> faster (dense (kernels ())) (kernels ())
              fun () -> faster (dense (portable ())) (portable ()) ]
        | Arithmetic.SparseActivations -> [ (fun () -> CpuBackend.skippingZeros policies); kernels; portable ]
        | _ -> [ kernels; portable ]

    /// The first that takes a dtype on a device, by way of float32 too where it does not take half precision itself. What
    /// nobody accepts is torch's to compute, or to refuse.
    let rec private firstThatAccepts
        (candidates: (unit -> Backend) list)
        (dtype: torch.ScalarType)
        (device: DeviceType)
        : Backend =
        match candidates with
        | [] -> PortableBackend.backend
        | make :: others ->
            let backend = make ()

            if backend.Accepts dtype device then
                backend
            else
                let widened = inFloat32 backend

                if widened.Accepts dtype device then
                    widened
                else
                    firstThatAccepts others dtype device

    /// <summary>The backends of one dtype on one device, by the number of the arithmetic; each is chosen once, when it is
    /// first asked for.</summary>
    [<Sealed>]
    type OfPlace(dtype: torch.ScalarType, device: DeviceType) =
        let chosen: (Backend | null)[] = Array.zeroCreate 4

        member _.Item
            with get (arithmetic: int): Backend =
                match chosen[arithmetic] with
                | null ->
                    // Two threads may choose at once: all that they can choose are alike.
                    let backend =
                        firstThatAccepts (candidates (enum<Arithmetic> arithmetic)) dtype device

                    chosen[arithmetic] <- backend
                    backend
                | backend -> backend

        /// How many arithmetics there are.
        member _.Length: int = chosen.Length

    /// By dtype and device together: a number is a key that .NET has compiled before.
    let private places = ConcurrentDictionary<int, OfPlace>()

    /// <summary>The backend of each arithmetic, by its number, for tensors of a dtype on a device.</summary>
    let ofPlace (dtype: torch.ScalarType) (device: DeviceType) : OfPlace =
        let key = (int device <<< 8) ||| (int dtype &&& 255)

        match places.TryGetValue key with
        | true, known -> known // functions ask at each call: no closure for them
        | _ -> places.GetOrAdd(key, OfPlace(dtype, device))

    /// <summary>The backend for a tensor of a real floating dtype, and others like it.</summary>
    let ofTensor (t: torch.Tensor) : Backend =
        (ofPlace t.dtype t.device_type)[int Arithmetic.Sparse]
