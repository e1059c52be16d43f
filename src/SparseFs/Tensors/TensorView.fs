namespace SparseFs.Torch

#nowarn "9" // this is where tensors become addresses; everything is checked here

open System
open Microsoft.FSharp.NativeInterop
open SparseFs
open TorchSharp

/// <summary>What a tensor must be before a kernel sees it, and its address.</summary>
module internal TensorView =

    /// <exception cref="T:System.ArgumentException">It is not a real floating dtype.</exception>
    let checkDtype (name: string) (dtype: torch.ScalarType) =
        match dtype with
        | torch.ScalarType.Float16
        | torch.ScalarType.BFloat16
        | torch.ScalarType.Float32
        | torch.ScalarType.Float64 -> ()
        | other ->
            raise (
                ArgumentException(
                    $"expected a real floating dtype, got {other}: Float16, BFloat16, Float32 or Float64",
                    name
                )
            )

    /// <summary>A device that parameters are to be made on.</summary>
    /// <exception cref="T:System.ArgumentException">It is CUDA's, and torch has none.</exception>
    let checkDevice (name: string) (device: torch.Device) =
        if device.``type`` = DeviceType.CUDA && not (torch.cuda.is_available ()) then
            let cure =
                "the program that runs needs the package TorchSharp-cuda-linux or TorchSharp-cuda-windows, and the machine "
                + "a card of NVIDIA's; torch.CPU is always there"

            raise (ArgumentException($"expected a device that torch has here, got {device}: {cure}", name))

    /// <exception cref="T:System.ArgumentException">The tensor is null, or not of a real floating dtype.</exception>
    let checkFloating (name: string) (t: torch.Tensor) =
        if isNull (box t) then
            nullArg name

        checkDtype name t.dtype

    /// <summary>Where and of what a tensor is, beside another or the parameters of a layer.</summary>
    /// <param name="name">The argument.</param>
    /// <param name="t">The tensor.</param>
    /// <param name="layer">The layer, which errors ask for its text, or null.</param>
    /// <param name="reference">The other tensor's name, or that of the layer's parameter.</param>
    /// <param name="dtype">The dtype of that.</param>
    /// <param name="device">The device of that.</param>
    /// <exception cref="T:System.ArgumentException">The dtype or the device is another.</exception>
    let checkPlace
        (name: string)
        (t: torch.Tensor)
        (layer: obj | null)
        (reference: string)
        (dtype: torch.ScalarType)
        (device: torch.Device)
        =
        if t.dtype <> dtype then
            raise (Misfit.dtype name t.dtype layer reference dtype)

        if t.device_type <> device.``type`` || t.device_index <> device.index then
            raise (Misfit.device name t.device layer reference device)

    /// <exception cref="T:System.ArgumentException">The dtype or the device is not that of the reference.</exception>
    let checkAlike (name: string) (t: torch.Tensor) (referenceName: string) (reference: torch.Tensor) =
        if isNull (box t) then
            nullArg name

        checkPlace name t null referenceName reference.dtype reference.device

    /// <exception cref="T:System.ArgumentException">The shape is not [length].</exception>
    let checkVector (name: string) (t: torch.Tensor) (length: int) =
        if t.dim () <> 1L || t.shape[0] <> int64 length then
            raise (ArgumentException($"expected shape [{length}], got {Shape.text t.shape}", name))

    /// <summary>The number of samples N of a tensor [*, features].</summary>
    /// <param name="name">The argument.</param>
    /// <param name="t">The tensor.</param>
    /// <param name="layer">The layer, which errors ask for its text, or null.</param>
    /// <param name="features">The last dimension that is expected.</param>
    /// <param name="called">What errors call that: in_features.</param>
    /// <exception cref="T:System.ArgumentException">It has no dimension, its last is not features, or N exceeds 2^31 − 1.</exception>
    let checkSamples (name: string) (t: torch.Tensor) (layer: obj | null) (features: int) (called: string) : int =
        let shape = t.shape

        if shape.Length = 0 || shape[shape.Length - 1] <> int64 features then
            raise (Misfit.features name shape layer features called)

        let mutable samples = 1L

        for i in 0 .. shape.Length - 2 do
            samples <- samples * shape[i]

        if samples > int64 Int32.MaxValue then
            raise (ArgumentException($"expected at most {Int32.MaxValue} samples, got {samples}", name))

        int samples

    /// The tensor itself, or a contiguous copy that the open DisposeScope owns.
    let contiguous (t: torch.Tensor) : torch.Tensor =
        if t.is_contiguous () then t else t.contiguous ()

    /// The same, or null where there is none.
    let contiguousOrNull (t: torch.Tensor | null) : torch.Tensor | null =
        match t with
        | null -> null
        | t -> contiguous t

    let private first (t: torch.Tensor) : nativeptr<float32> =
        use storage = t.storage<float32>()
        NativePtr.ofNativeInt (storage.data_ptr () + nativeint (t.storage_offset ()) * 4n)

    /// <summary>As floats, of a tensor whose last dimension alone has to be contiguous.</summary>
    /// <exception cref="T:System.ArgumentException">Not float32, not on the CPU, or its last dimension is not contiguous.</exception>
    let rows (name: string) (t: torch.Tensor) : nativeptr<float32> =
        if
            t.dtype <> torch.ScalarType.Float32
            || t.device_type <> DeviceType.CPU
            || t.stride (int (t.dim ()) - 1) <> 1L
        then
            let got =
                $"{t.dtype} on {t.device} with a last stride of {t.stride (int (t.dim ()) - 1)}"

            raise (
                ArgumentException($"expected a Float32 tensor on the CPU whose rows are contiguous, got {got}", name)
            )

        first t

    /// <summary>The address of the first element; keep the tensor alive while it is used.</summary>
    /// <exception cref="T:System.ArgumentException">Not float32, not on the CPU, or not contiguous.</exception>
    /// <remarks>Storage.data_ptr does not know the offset of a view, so it is added here.</remarks>
    let floats (name: string) (t: torch.Tensor) : nativeptr<float32> =
        if
            t.dtype <> torch.ScalarType.Float32
            || t.device_type <> DeviceType.CPU
            || not (t.is_contiguous ())
        then
            let got = $"{t.dtype} on {t.device}, contiguous: {t.is_contiguous ()}"
            raise (ArgumentException($"expected a contiguous Float32 tensor on the CPU, got {got}", name))

        first t

    /// <summary>As floats, of an int32 tensor.</summary>
    /// <exception cref="T:System.ArgumentException">Not int32, not on the CPU, or not contiguous.</exception>
    let ints (name: string) (t: torch.Tensor) : nativeptr<int> =
        if
            t.dtype <> torch.ScalarType.Int32
            || t.device_type <> DeviceType.CPU
            || not (t.is_contiguous ())
        then
            let got = $"{t.dtype} on {t.device}, contiguous: {t.is_contiguous ()}"
            raise (ArgumentException($"expected a contiguous Int32 tensor on the CPU, got {got}", name))

        use storage = t.storage<int>()
        NativePtr.ofNativeInt (storage.data_ptr () + nativeint (t.storage_offset ()) * 4n)

    /// Whether an int32 tensor holds just these numbers; compared where they lie.
    let holdInts (name: string) (t: torch.Tensor) (expected: int[]) : bool =
        let found = ints name t

        let isEqual =
            t.numel () = expected.LongLength
            && ReadOnlySpan<int>(NativePtr.toVoidPtr found, expected.Length).SequenceEqual(ReadOnlySpan expected)

        GC.KeepAlive t
        isEqual

    /// The address, or null where there is no tensor.
    let intsOrNull (name: string) (t: torch.Tensor | null) : nativeptr<int> =
        match t with
        | null -> NativePtr.ofNativeInt 0n
        | t -> ints name t

    /// The address, or null where there is no tensor.
    let floatsOrNull (name: string) (t: torch.Tensor | null) : nativeptr<float32> =
        match t with
        | null -> NativePtr.ofNativeInt 0n
        | t -> floats name t

    /// <summary>Copies a tensor's numbers to the start of an array.</summary>
    /// <exception cref="T:System.ArgumentException">As floats, or the array is shorter.</exception>
    let copyTo (target: float32[]) (t: torch.Tensor) =
        let address = floats "t" t
        ReadOnlySpan<float32>(NativePtr.toVoidPtr address, int (t.numel ())).CopyTo(target.AsSpan())
        GC.KeepAlive t

    /// <summary>Copies a one-dimensional integer tensor, of any integer dtype and on any device, into an array.</summary>
    /// <exception cref="T:System.ArgumentException">Another dtype, another rank, or a value outside int32.</exception>
    let toInts (name: string) (t: torch.Tensor) : int[] =
        if isNull (box t) then
            nullArg name

        if t.dim () <> 1L then
            raise (ArgumentException($"expected one dimension, got shape {Shape.text t.shape}", name))

        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()

        match t.dtype with
        | torch.ScalarType.Int32 -> t.cpu().data<int>().ToArray()
        | torch.ScalarType.Int64
        | torch.ScalarType.Int16
        | torch.ScalarType.Int8
        | torch.ScalarType.Byte ->
            let wide = t.cpu().to_type(torch.ScalarType.Int64).data<int64>().ToArray()

            wide
            |> Array.map (fun value ->
                if value < int64 Int32.MinValue || value > int64 Int32.MaxValue then
                    raise (ArgumentException($"expected 32-bit integers, got {value}", name))

                int value)
        | other -> raise (ArgumentException($"expected an integer dtype, got {other}", name))
