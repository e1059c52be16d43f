namespace SparseFs

open System
open System.Collections.Generic
open SparseFs.Torch
open TorchSharp

/// <summary>Tables of what a model consists of: layers, shapes, weights, parameters, bytes and operations.</summary>
/// <remarks>Operations are those of products (SparseLinear, Linear, convolutions), two for each multiply-add; biases,
/// activations, norms and pooling count as none, and a module with weights whose kind is not known is shown with "-".</remarks>
[<RequireQualifiedAccess>]
module Summary =

    type private Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

    let private modulesOf (model: torch.nn.Module) = List.ofArray (ModuleTree.all model)

    let private row (shapes: Dictionary<torch.nn.Module, int64[]>) (name: string) (m: torch.nn.Module) : SummaryRow =
        let costs = LayerCosts.of' m

        let shape: IReadOnlyList<int64> | null =
            match shapes.TryGetValue m with
            | true, shape -> shape
            | _ -> null

        let flops (part: struct (float * float) -> float) : Nullable<int64> =
            match costs.MultiplyAdds, shape with
            | Some adds, _ when part adds = 0.0 && shapes.Count > 0 -> Nullable 0L
            | Some adds, NonNull shape ->
                Nullable(int64 (Math.Round(2.0 * part adds * costs.Elements(Array.ofSeq shape))))
            | _ -> Nullable()

        { Name = name
          Kind = m.GetType().Name
          OutputShape = shape
          Weights = costs.Weights
          Cells = costs.Cells
          Parameters = costs.Parameters
          DenseParameters = costs.DenseParameters
          Bytes = costs.Bytes
          Flops = flops (fun (struct (sparse, _)) -> sparse)
          DenseFlops = flops (fun (struct (_, dense)) -> dense) }

    let private table (shapes: Dictionary<torch.nn.Module, int64[]>) (model: torch.nn.Module) =
        ModelSummary [| for struct (name, m) in modulesOf model -> row shapes name m |]

    /// <summary>The model's modules and sizes; shapes and operations need an input.</summary>
    /// <param name="model">Any module; it is only read.</param>
    /// <exception cref="T:System.ArgumentNullException">model is null.</exception>
    /// <example><code>
    /// let summary = Summary.ofModel model
    /// printfn $"{summary}"
    /// </code></example>
    [<CompiledName "OfModel">]
    let ofModel (model: torch.nn.Module) : ModelSummary =
        ArgumentNullException.ThrowIfNull(model, nameof model)
        table (Dictionary()) model

    /// <summary>The model's modules and sizes, with the shapes and operations of one pass over an input.</summary>
    /// <param name="input">What the model takes, such as one batch.</param>
    /// <param name="model">Runs once in evaluation mode without gradients; its modes, its buffers and torch's generator are
    /// then as before. No other thread may use it meanwhile.</param>
    /// <exception cref="T:System.ArgumentNullException">An argument is null.</exception>
    /// <exception cref="T:System.ArgumentException">The model does not take the input.</exception>
    /// <example><code>
    /// let x = torch.zeros (64L, 784L)
    /// let atBatch = Summary.ofInput x (new SparseLinear(784, 2000, seed = Seed.ofInt 1))
    /// atBatch.Flops = System.Nullable(2L * 64L * 156_800L) // = true
    /// </code></example>
    [<CompiledName "OfInput">]
    let ofInput (input: torch.Tensor) (model: torch.nn.Module<torch.Tensor, torch.Tensor>) : ModelSummary =
        ArgumentNullException.ThrowIfNull(input, nameof input)
        ArgumentNullException.ThrowIfNull(model, nameof model)
        let modules = [ for struct (_, m) in modulesOf model -> m ]
        table (SeenShapes.ofOutputs model modules input) model

    /// <summary>As <c>ofInput</c>, over zeros of a shape, of the model's own dtype and on its device.</summary>
    /// <param name="shape">The input's shape, the batch first, such as [ 64L; 784L ].</param>
    /// <param name="model">As in <c>ofInput</c>.</param>
    /// <exception cref="T:System.ArgumentNullException">An argument is null.</exception>
    /// <exception cref="T:System.ArgumentException">The model does not take inputs of this shape.</exception>
    /// <example><code>
    /// let perImage = Summary.ofShape [ 1L; 784L ] (new SparseLinear(784, 2000, seed = Seed.ofInt 1))
    /// perImage.Rows[0].OutputShape |> List.ofSeq // = [1L; 2000L]
    /// </code></example>
    [<CompiledName "OfShape">]
    let ofShape (shape: int64 seq) (model: torch.nn.Module<torch.Tensor, torch.Tensor>) : ModelSummary =
        ArgumentNullException.ThrowIfNull(shape, nameof shape)
        ArgumentNullException.ThrowIfNull(model, nameof model)

        use input =
            match Seq.tryHead (model.parameters ()) with
            | Some p when p.is_floating_point () -> torch.zeros (Array.ofSeq shape, dtype = p.dtype, device = p.device)
            | _ -> torch.zeros (Array.ofSeq shape)

        ofInput input model
