namespace SparseFs

open SparseFs.OnnxMessages
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules

/// <summary>Convolutions as ONNX's operators, and the sizes of what windows give.</summary>
module internal OnnxConvolutions =

    let private refuse (message: string) : exn = OnnxBuilder.Refusal message

    /// Channels and sizes of what comes in, of so many spatial dimensions.
    let channels (b: OnnxBuilder) (name: string) (dimensions: int) : struct (int64 * int64[]) =
        if b.Shape.Length <> dimensions + 1 then
            let names = [ "D"; "H"; "W" ][3 - dimensions ..] |> String.concat ", "

            raise (
                refuse
                    $"expected an input [N, C, {names}] of '{b.Label name}', got {OnnxBuilder.Shown b.Shape}: say the model's InputShape"
            )

        struct (b.Shape[0], b.Shape[1..])

    /// Sizes of what comes out of a window that is moved over what comes in.
    let windows
        (b: OnnxBuilder)
        (name: string)
        (sizes: int64[])
        (kernel: int64[])
        (stride: int64[])
        (dilation: int64[])
        (margins: int64[])
        (isCeil: bool)
        : int64[] =
        Array.init sizes.Length (fun i ->
            let padded = sizes[i] + margins[i] + margins[i + sizes.Length]
            let free = padded - dilation[i] * (kernel[i] - 1L) - 1L

            if free < 0L then
                raise (
                    refuse
                        $"expected an input that '{b.Label name}' fits into, got {OnnxBuilder.Shown b.Shape} for a kernel of {Shape.sizes kernel}"
                )

            let steps =
                if isCeil then
                    (free + stride[i] - 1L) / stride[i]
                else
                    free / stride[i]

            // As torch has it: a last window begins within the input or its first margin.
            if isCeil && steps * stride[i] >= sizes[i] + margins[i] then
                steps
            else
                steps + 1L)

    let private numbers (size: ConvSize) : int64[] =
        size.Numbers.ToArray() |> Array.map int64

    /// Margins that are no zeros are an operator of their own.
    let private pad (b: OnnxBuilder) (name: string) (mode: PaddingModes) (margins: int64[]) (sizes: int64[]) : unit =
        let half = margins.Length / 2
        let none = [| 0L; 0L |]
        let all = Array.concat [ none; margins[.. half - 1]; none; margins[half..] ]
        let pads = b.Integers($"{b.Label name}.pads", name, all)

        let mode =
            match mode with
            | PaddingModes.Reflect -> "reflect"
            | PaddingModes.Replicate -> "edge"
            | _ -> "wrap"

        b.Add(name, "Pad", [ b.Current; pads ], [ OnnxMessage.text "mode" mode ])

        b.Shape <-
            Array.append [| b.Shape[0] |] (Array.init sizes.Length (fun i -> sizes[i] + margins[i] + margins[i + half]))

    let private convolution
        (b: OnnxBuilder)
        (name: string)
        (s: ConvSettings)
        (weight: unit -> string)
        (bias: torch.Tensor | null)
        : unit =
        let struct (inputs, sizes) = channels b name s.Dimensions
        let g = s.Geometry

        if inputs <> int64 s.InChannels then
            raise (refuse $"expected {s.InChannels} channels into '{b.Label name}', got {OnnxBuilder.Shown b.Shape}")

        let margins =
            Array.append (numbers (s.SizeOf g.Before)) (numbers (s.SizeOf g.After))

        let own =
            if s.PaddingMode = PaddingModes.Zeros then
                margins
            else
                pad b name s.PaddingMode margins sizes
                Array.zeroCreate margins.Length

        let kernel, stride, dilation =
            numbers (s.SizeOf g.Kernel), numbers (s.SizeOf g.Stride), numbers (s.SizeOf g.Dilation)

        let behind = numbers (s.SizeOf s.OutputPadding)

        let output =
            if s.IsTransposed then
                let smallest =
                    (ConvTransposeForward.smallest g (ConvInputs.extentOf s.Dimensions sizes))[3 - s.Dimensions ..]

                let output = Array.map2 (+) smallest behind

                if output |> Array.exists (fun size -> size < 1L) then
                    raise (
                        refuse
                            $"expected an input of which '{b.Label name}' leaves an output, got {OnnxBuilder.Shown b.Shape}"
                    )

                output
            else
                windows b name b.Shape[1..] kernel stride dilation own false

        let weight = weight ()

        let bias =
            match bias with
            | null -> []
            | bias -> [ b.Constant($"{b.Label name}.bias", name, [| int64 s.OutChannels |], bias) ]

        b.Add(
            name,
            (if s.IsTransposed then "ConvTranspose" else "Conv"),
            [ b.Current; weight ] @ bias,
            [ OnnxMessage.integers "kernel_shape" kernel
              OnnxMessage.integers "strides" stride
              OnnxMessage.integers "dilations" dilation
              OnnxMessage.integers "pads" own
              OnnxMessage.integer "group" (int64 g.Groups)
              if s.IsTransposed then
                  OnnxMessage.integers "output_padding" behind ]
        )

        b.Shape <- Array.append [| int64 s.OutChannels |] output

    let dense (b: OnnxBuilder) (name: string) (layer: Convolution) : unit =
        let weight () =
            b.Constant($"{b.Label name}.weight", name, layer.weight.shape, layer.weight)

        convolution b name (ConvLayers.settingsOf layer) weight layer.bias

    let sparse (b: OnnxBuilder) (isSparse: bool) (name: string) (layer: SparseConv) : unit =
        layer.Versions.Read(fun version ->
            let shape = layer.Description.DenseShape
            let c, values = version.Connectivity, version.Numbers.Values

            let weight () =
                if isSparse then
                    b.SparseConstant($"{b.Label name}.weight", name, shape, c, values)
                else
                    use matrix = SparseOps.toDense c values
                    b.Constant($"{b.Label name}.weight", name, shape, matrix)

            convolution b name layer.Settings weight version.Numbers.BiasValues)
