namespace SparseFs

open SparseFs.OnnxMessages
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules

/// <summary>Modules of sequences, images and volumes as ONNX's operators: convolutions, batch norms and pools.</summary>
module internal OnnxImages =

    let private refuse (message: string) : exn = OnnxBuilder.Refusal message

    let private batchNorm (b: OnnxBuilder) (name: string) (norm: NormBase) : unit =
        if b.Shape[0] <> norm.num_features then
            raise (
                refuse $"expected {norm.num_features} channels into '{b.Label name}', got {OnnxBuilder.Shown b.Shape}"
            )

        match norm.running_mean, norm.running_var with
        | null, _
        | _, null -> raise (refuse $"expected running statistics in '{b.Label name}', got a batch norm without them")
        | mean, variance ->
            let vector (what: string) (t: torch.Tensor) =
                b.Constant($"{b.Label name}.{what}", name, [| norm.num_features |], t)

            let affine (what: string) (usual: float) (t: torch.Tensor | null) =
                match t with
                | null ->
                    use all =
                        torch.full (norm.num_features, Scalars.Of usual, dtype = mean.dtype, device = torch.CPU)

                    vector what all
                | t -> vector what t

            let scale, shift = TorchNulls.affineOf norm

            b.Add(
                name,
                "BatchNormalization",
                [ b.Current
                  affine "weight" 1.0 scale
                  affine "bias" 0.0 shift
                  vector "running_mean" mean
                  vector "running_var" variance ],
                [ OnnxMessage.float "epsilon" (float32 norm.eps) ]
            )

    /// A window of torch's pools: sizes that are not given are the kernel's, or none.
    let private pool
        (b: OnnxBuilder)
        (name: string)
        (op: string)
        (kernel: int64[])
        (stride: int64[])
        (padding: int64[])
        (dilation: int64[])
        (isCeil: bool)
        (attributes: AttributeProto list)
        : unit =
        let margins = Array.append padding padding
        let struct (inputs, sizes) = OnnxConvolutions.channels b name kernel.Length

        let output =
            OnnxConvolutions.windows b name sizes kernel stride dilation margins isCeil

        b.Add(
            name,
            op,
            [ b.Current ],
            [ OnnxMessage.integers "kernel_shape" kernel
              OnnxMessage.integers "strides" stride
              OnnxMessage.integers "pads" margins
              OnnxMessage.integer "ceil_mode" (if isCeil then 1L else 0L) ]
            @ attributes
        )

        b.Shape <- Array.append [| inputs |] output

    /// One size for each dimension of a kernel; torch's pools may have none, or one for all.
    let private each (kernel: int64[]) (usual: int64[]) (sizes: int64[] | null) : int64[] =
        match sizes with
        | null -> usual
        | sizes when sizes.Length = 0 -> usual
        | sizes when sizes.Length = 1 -> Array.create kernel.Length sizes[0]
        | sizes -> sizes

    let private zeros (kernel: int64[]) = Array.create kernel.Length 0L
    let private ones (kernel: int64[]) = Array.create kernel.Length 1L

    let private maxPool b name (kernel: int64[]) stride padding dilation isCeil : unit =
        let dilation = each kernel (ones kernel) dilation
        let stride, padding = each kernel kernel stride, each kernel (zeros kernel) padding
        pool b name "MaxPool" kernel stride padding dilation isCeil [ OnnxMessage.integers "dilations" dilation ]

    let private averagePool b name (kernel: int64[]) stride padding isCeil countsMargins : unit =
        let stride, padding = each kernel kernel stride, each kernel (zeros kernel) padding

        let counts =
            OnnxMessage.integer "count_include_pad" (if countsMargins then 1L else 0L)

        pool b name "AveragePool" kernel stride padding (ones kernel) isCeil [ counts ]

    /// Windows of one size that cover the input, where there are such.
    let private adaptive (b: OnnxBuilder) (name: string) (output: int64[]) : unit =
        let dimensions = b.Shape.Length - 1

        let output =
            if output.Length = 1 then
                Array.create dimensions output[0]
            else
                output

        let struct (_, sizes) = OnnxConvolutions.channels b name output.Length

        if Array.exists2 (fun size wanted -> wanted < 1L || size % wanted <> 0L) sizes output then
            raise (
                refuse
                    $"expected sizes that divide those of the input in '{b.Label name}', got {Shape.sizes output} for {OnnxBuilder.Shown b.Shape}"
            )

        let kernel = Array.map2 (/) sizes output
        averagePool b name kernel kernel null false true

    let private unflatten (b: OnnxBuilder) (name: string) (layer: Unflatten) : unit =
        let sizes = layer.unflattened_size

        if
            layer.dim <> 1L
            || b.Shape.Length = 0
            || Array.exists (fun size -> size < 1L) sizes
        then
            raise (
                refuse
                    $"expected Unflatten of dimension 1 into given sizes in '{b.Label name}', got dimension {layer.dim}"
            )

        if Array.fold (*) 1L sizes <> b.Shape[0] then
            raise (refuse $"expected sizes of {b.Shape[0]} numbers in '{b.Label name}', got {Shape.sizes sizes}")

        b.Shape <- Array.append sizes b.Shape[1..]
        // Of a shape, 0 is the size that there is: the batch's.
        let shape = b.Integers($"{b.Label name}.shape", name, Array.append [| 0L |] b.Shape)
        b.Add(name, "Reshape", [ b.Current; shape ], [])

    let private ofNullable (n: System.Nullable<int64>) : int64[] | null =
        if n.HasValue then [| n.Value |] else null

    /// Adds a module of these kinds; false if it is of another.
    let tryAdd (b: OnnxBuilder) (isSparse: bool) (name: string) (m: torch.nn.Module) : bool =
        match m with
        | :? SparseConv as layer ->
            OnnxConvolutions.sparse b isSparse name layer
            true
        | :? Conv1d
        | :? Conv2d
        | :? Conv3d
        | :? ConvTranspose1d
        | :? ConvTranspose2d
        | :? ConvTranspose3d ->
            OnnxConvolutions.dense b name (m :?> Convolution)
            true
        | :? BatchNorm1d
        | :? BatchNorm2d
        | :? BatchNorm3d ->
            batchNorm b name (m :?> NormBase)
            true
        | :? MaxPool1d as p ->
            maxPool
                b
                name
                [| p.kernel_size |]
                (ofNullable p.stride)
                (ofNullable p.padding)
                (ofNullable p.dilation)
                p.ceil_mode

            true
        | :? MaxPool2d as p ->
            maxPool b name p.kernel_size p.stride p.padding p.dilation p.ceil_mode
            true
        | :? MaxPool3d as p ->
            maxPool b name p.kernel_size p.stride p.padding p.dilation p.ceil_mode
            true
        | :? AvgPool2d as p when not p.divisor_override.HasValue && not p.ceil_mode ->
            averagePool b name p.kernel_size p.stride p.padding p.ceil_mode p.count_include_pad
            true
        | :? AdaptiveAvgPool1d as p ->
            adaptive b name [| p.output_size |]
            true
        | :? AdaptiveAvgPool2d as p ->
            adaptive b name p.output_size
            true
        | :? AdaptiveAvgPool3d as p ->
            adaptive b name p.output_size
            true
        | :? Unflatten as layer ->
            unflatten b name layer
            true
        | _ -> false
