namespace SparseFs.Torch

open System
open SparseFs
open SparseFs.Kernels

/// <summary>Shapes of the tensors of a noted pass: what a file or a state has is checked against them before it reaches a kernel.</summary>
module internal PassShapes =

    let private ofConvolution (g: ConvGeometry) (samples: int64) (input: Extent) : struct (int64[] * int64[]) =
        let shape (channels: int) (size: Extent) =
            [| samples
               int64 channels
               int64 size.Depth
               int64 size.Height
               int64 size.Width |]

        struct (shape g.OutChannels (g.Output input), shape g.InChannels input)

    /// <summary>Of upstream gradients and inputs, where there are inputs of a shape.</summary>
    /// <returns>Where the layer takes no such inputs, those of no samples of the smallest inputs that it takes, which differ.</returns>
    let ofInput (layer: LayerDescription) (inputs: int64[] voption) : struct (int64[] * int64[]) =
        match layer.Convolution with
        | ValueNone ->
            let samples =
                match inputs with
                | ValueSome [| samples; _ |] when samples <= int64 Int32.MaxValue -> samples
                | _ -> 0L

            struct ([| samples; layer.DenseShape[0] |], [| samples; layer.DenseShape[1] |])
        | ValueSome g ->
            // Sequences and images have one pixel in each dimension before their own.
            let own = layer.DenseShape.Length - 2

            let takes (shape: int64[]) =
                shape |> Array.forall (fun size -> size <= int64 Int32.MaxValue)
                && shape[2 .. 4 - own] |> Array.forall ((=) 1L)
                && g.Takes(Extent.of3 (int shape[2]) (int shape[3]) (int shape[4]))

            match inputs with
            | ValueSome shape when shape.Length = 5 && takes shape ->
                ofConvolution g shape[0] (Extent.of3 (int shape[2]) (int shape[3]) (int shape[4]))
            | _ ->
                Extent.map3 (fun reach before after -> max 1 (reach - before - after)) g.Reach g.Before g.After
                |> ofConvolution g 0L
