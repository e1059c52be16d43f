namespace SparseFs.Torch

open System
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>What a module has and does by itself, without the modules inside it.</summary>
[<NoComparison; NoEquality>]
type internal LayerCosts =
    {
        Weights: int64
        Cells: int64
        Parameters: int64
        DenseParameters: int64
        Bytes: int64
        /// Multiply-adds for each element that multiplies, of this layer and of its dense twin; none where the kind is not known.
        MultiplyAdds: (struct (float * float)) option
        /// How many elements multiply for an output of a shape: its own, or those of a transposed convolution's input.
        Elements: int64[] -> float
    }

module internal LayerCosts =

    let private numel (t: torch.Tensor) = t.numel ()
    let private bytes (t: torch.Tensor) = t.numel () * t.element_size ()

    /// A view of a layer's pattern: row pointers and columns of 32 bits.
    let private patternBytes (c: Connectivity) = 4L * (int64 c.Rows + 1L + int64 c.Nnz)

    let private all (output: int64[]) : float =
        output |> Array.fold (fun n size -> n * float size) 1.0

    let private elementsOf (s: ConvSettings) (output: int64[]) : float =
        if s.IsTransposed then
            let pixels =
                ConvInputs.extentOf s.Dimensions output[output.Length - s.Dimensions ..]
                |> s.Geometry.Output

            all output[.. output.Length - s.Dimensions - 2]
            * float s.InChannels
            * float pixels.Pixels
        else
            all output

    let private ofSparse (layer: SparseLayer) : LayerCosts =
        let c, weight = layer.Connectivity, layer.weight
        let bias = layer.bias

        let ofBias (f: torch.Tensor -> int64) =
            match bias with
            | null -> 0L
            | bias -> f bias

        let cells = int64 c.Rows * int64 c.Cols

        { Weights = int64 c.Nnz
          Cells = cells
          Parameters = int64 c.Nnz + ofBias numel
          DenseParameters = cells + ofBias numel
          Bytes = bytes weight + ofBias bytes + patternBytes c
          MultiplyAdds = Some(struct (float c.Nnz / float (max 1 c.Rows), float c.Cols))
          Elements =
            match layer with
            | :? SparseConv as conv -> elementsOf conv.Settings
            | _ -> all }

    /// Weights that multiply, and multiply-adds for each element of the output; a kind that is not known has none.
    let private products (m: torch.nn.Module) : struct (int64 * float option) =
        match m with
        | :? Linear as l -> struct (l.weight.numel (), Some(float (l.weight.size 1)))
        | :? Convolution as c ->
            let weight =
                m.named_parameters (false)
                |> Seq.pick (fun struct (name, p) -> if name = "weight" then Some p else None)
            // [out_channels, in_channels / groups, kernel...], the channels the other way round of a transposed one
            struct (weight.numel (), Some(float (weight.numel ()) / float (max 1L (weight.size 0))))
        | :? Embedding
        | :? EmbeddingBag -> struct (0L, Some 0.0) // rows are looked up
        | _ when Seq.isEmpty (m.named_parameters false) -> struct (0L, Some 0.0)
        // Elementwise scales are no products.
        | :? LayerNorm
        | :? BatchNorm1d
        | :? BatchNorm2d
        | :? BatchNorm3d
        | :? GroupNorm
        | :? PReLU -> struct (0L, Some 0.0)
        | _ -> struct (0L, None)

    let of' (m: torch.nn.Module) : LayerCosts =
        match m with
        | :? SparseLayer as layer -> ofSparse layer
        | _ ->
            let parameters =
                [ for struct (_, p) in m.named_parameters false -> p :> torch.Tensor ]

            let buffers = [ for struct (_, b) in m.named_buffers false -> b ]
            let struct (weights, multiplyAdds) = products m
            let count = List.sumBy numel parameters

            { Weights = weights
              Cells = weights
              Parameters = count
              DenseParameters = count
              Bytes = List.sumBy bytes (parameters @ buffers)
              MultiplyAdds = multiplyAdds |> Option.map (fun n -> struct (n, n))
              Elements =
                match m with
                | :? ConvolutionTranspose as c -> elementsOf (ConvLayers.settingsOf c)
                | _ -> all }
