namespace SparseFs.Torch

open System
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>Describes torch's poolings as operations.</summary>
[<RequireQualifiedAccess>]
module internal PoolingModules =

    let private ints (numbers: int64[]) : int[] =
        numbers |> Array.map (fun n -> int (min n (int64 Int32.MaxValue)))

    let private pool
        (b: DescriptionBuilder)
        (place: string)
        (x: DescribedValue)
        (operator': string)
        (numbers: (string * bool) list)
        (sizes: (string * int64[]) list)
        =
        let dimensions = (snd sizes.Head).Length
        TorchModules.checkRank place x (dimensions + 2) $"a batch of channels of {dimensions} dimensions"

        b.Keep(
            place,
            x,
            { Operation.Named operator' with
                Numbers = [ for name, flag in numbers -> name, (if flag then 1.0 else 0.0) ]
                Sizes = [ for name, sizes in sizes -> name, ints sizes ] }
        )

    /// Numbers of a module, which may have one for all dimensions, or none.
    let private all (kernel: int64[]) (otherwise: int64) (sizes: int64[] | null) : int64[] =
        match sizes with
        | null -> Array.create kernel.Length otherwise
        | sizes when sizes.Length = 1 -> Array.create kernel.Length sizes[0]
        | sizes -> sizes

    let private maxPool b place x (kernel: int64[]) (stride: int64[] | null) (padding: int64[] | null) dilation isCeil =
        pool
            b
            place
            x
            "max_pool"
            [ "ceil", isCeil ]
            [ "kernel", kernel
              "stride", (if isNull stride then kernel else all kernel 1L stride)
              "dilation", all kernel 1L dilation
              "padding", all kernel 0L padding ]

    let private meanPool
        b
        place
        x
        (kernel: int64[])
        (stride: int64[] | null)
        (padding: int64[] | null)
        isCeil
        countsPadding
        (divisor: Nullable<int64>)
        =
        if divisor.HasValue then
            TorchModules.refuse $"expected no divisor_override in '{TorchModules.label place}'"

        pool
            b
            place
            x
            "avg_pool"
            [ "ceil", isCeil; "count_include_pad", countsPadding ]
            [ "kernel", kernel
              "stride", (if isNull stride then kernel else all kernel 1L stride)
              "padding", all kernel 0L padding ]

    let private one (size: Nullable<int64>) : int64[] | null =
        if size.HasValue then [| size.Value |] else null

    /// What a pooling makes of a value, if the module is one.
    let tryAdd (b: DescriptionBuilder) (place: string) (m: torch.nn.Module) (x: DescribedValue) =
        match m with
        | :? MaxPool1d as p ->
            maxPool b place x [| p.kernel_size |] (one p.stride) (one p.padding) (one p.dilation) p.ceil_mode
            |> ValueSome
        | :? MaxPool2d as p -> ValueSome(maxPool b place x p.kernel_size p.stride p.padding p.dilation p.ceil_mode)
        | :? MaxPool3d as p -> ValueSome(maxPool b place x p.kernel_size p.stride p.padding p.dilation p.ceil_mode)
        | :? AvgPool1d as p ->
            let none = Nullable<int64>()

            meanPool b place x [| p.kernel_size |] (one p.stride) (one p.padding) p.ceil_mode p.count_include_pad none
            |> ValueSome
        | :? AvgPool2d as p ->
            meanPool b place x p.kernel_size p.stride p.padding p.ceil_mode p.count_include_pad p.divisor_override
            |> ValueSome
        | :? AvgPool3d as p ->
            meanPool b place x p.kernel_size p.stride p.padding p.ceil_mode p.count_include_pad p.divisor_override
            |> ValueSome
        | :? AdaptiveAvgPool1d as p ->
            ValueSome(pool b place x "adaptive_avg_pool" [] [ "output", [| p.output_size |] ])
        | :? AdaptiveAvgPool2d as p -> ValueSome(pool b place x "adaptive_avg_pool" [] [ "output", p.output_size ])
        | :? AdaptiveAvgPool3d as p -> ValueSome(pool b place x "adaptive_avg_pool" [] [ "output", p.output_size ])
        | _ -> ValueNone
