namespace SparseFs

open System
open SparseFs.Kernels
open SparseFs.Torch
open TorchSharp

/// <summary>Multiplying with a sparse matrix, as differentiable functions of a pattern and its values.</summary>
/// <remarks>
/// W is the [rows, cols] matrix that has <c>values</c> (length nnz, slot order) at the pattern. The three operations are
/// each other's derivatives, so gradients of any order are right; one that nobody asks for is not computed. float32 on
/// the CPU runs on the library's kernels, with torch.get_num_threads() threads and results that do not depend on their
/// number; any other device, and float64, on torch's operations; half and bfloat16 are computed in float32 and rounded
/// once. Inputs may be of any rank, views, transposed, or empty.
/// </remarks>
[<RequireQualifiedAccess>]
module SparseOps =

    let private checkValues (c: Connectivity) (values: torch.Tensor) =
        if isNull (box c) then
            nullArg "connectivity"

        TensorView.checkFloating "values" values
        TensorView.checkVector "values" values c.Nnz

    /// Flattens [*, features] to [N, features], applies, and gives the leading dimensions back.
    let private onSamples
        (name: string)
        (x: torch.Tensor)
        (layer: obj | null)
        (features: int)
        (called: string)
        (outputs: int)
        (apply: torch.Tensor -> torch.Tensor)
        =
        let n = TensorView.checkSamples name x layer features called
        DeferredDispose.Release()
        BackwardFailure.Raise()
        use _ = torch.NewDisposeScope()

        if x.dim () = 2L then
            (apply x).MoveToOuterDisposeScope()
        else
            let shape = x.shape
            let y = apply (x.reshape (int64 n, int64 features))
            shape[shape.Length - 1] <- int64 outputs
            (y.view shape).MoveToOuterDisposeScope()

    /// A layer's product, of numbers that are known to fit. Errors ask the layer's name for its text.
    let internal ofLayer
        (layer: LayerName)
        (op: SparseOperator)
        (numbers: LayerNumbers)
        (x: torch.Tensor)
        : torch.Tensor =
        let c = op.Connectivity

        if isNull (box x) then
            nullArg "x"

        TensorView.checkPlace "x" x layer "weight" numbers.Dtype numbers.Device
        BackwardFailure.Raise numbers.Failure

        onSamples "x" x layer c.Cols "in_features" c.Rows (fun x ->
            SpmmFunction.Apply(op, numbers.Leaf, numbers.BiasLeaf, x))

    let private linearBy
        (backendOf: torch.Tensor -> Backend)
        (c: Connectivity)
        (values: torch.Tensor)
        (bias: torch.Tensor | null)
        (x: torch.Tensor)
        =
        checkValues c values

        match bias with
        | null -> ()
        | bias ->
            TensorView.checkAlike "bias" bias "values" values
            TensorView.checkVector "bias" bias c.Rows

        TensorView.checkAlike "x" x "values" values
        let op = SparseOperator(c, backendOf values)
        onSamples "x" x null c.Cols "cols" c.Rows (fun x -> SpmmFunction.Apply(op, values, bias, x))

    let private spmmTBy
        (backendOf: torch.Tensor -> Backend)
        (c: Connectivity)
        (values: torch.Tensor)
        (g: torch.Tensor)
        =
        checkValues c values
        TensorView.checkAlike "g" g "values" values
        let op = SparseOperator(c, backendOf values)
        onSamples "g" g null c.Rows "rows" c.Cols (fun g -> BilinearFunction<SpmmT>.Apply(op, values, g))

    let private sddmmBy (backendOf: torch.Tensor -> Backend) (c: Connectivity) (g: torch.Tensor) (x: torch.Tensor) =
        if isNull (box c) then
            nullArg "connectivity"

        TensorView.checkFloating "g" g
        TensorView.checkAlike "x" x "g" g
        let n = TensorView.checkSamples "g" g null c.Rows "rows"
        let samplesOfX = TensorView.checkSamples "x" x null c.Cols "cols"

        if n <> samplesOfX then
            raise (ArgumentException($"expected g's {n} samples, got {samplesOfX}", "x"))

        DeferredDispose.Release()
        BackwardFailure.Raise()
        use _ = torch.NewDisposeScope()

        let flat (t: torch.Tensor) (features: int) =
            if t.dim () = 2L then
                t
            else
                t.reshape (int64 n, int64 features)

        let op = SparseOperator(c, backendOf g)
        BilinearFunction<Sddmm>.Apply(op, flat g c.Rows, flat x c.Cols).MoveToOuterDisposeScope()

    let internal linearWith (backend: Backend) = linearBy (fun _ -> backend)
    let internal spmmTWith (backend: Backend) = spmmTBy (fun _ -> backend)
    let internal sddmmWith (backend: Backend) = sddmmBy (fun _ -> backend)

    /// <summary>x · Wᵀ + bias, as torch.nn.functional.linear.</summary>
    /// <param name="connectivity">The pattern of W, shape [rows, cols].</param>
    /// <param name="values">Shape [nnz], in slot order.</param>
    /// <param name="bias">Shape [rows], or null for none.</param>
    /// <param name="x">Shape [*, cols], of the dtype and on the device of values.</param>
    /// <returns>Shape [*, rows].</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype or a device is not as said.</exception>
    /// <example><code>
    /// let pattern = Topology.uniform 300 784 23_520 seed
    /// let values, bias = torch.randn (23520L, requires_grad = true), torch.zeros (300L, requires_grad = true)
    /// let y = SparseOps.linear pattern values bias x
    /// y.shape // = [|32L; 300L|]
    /// </code></example>
    [<CompiledName "Linear">]
    let linear
        (connectivity: Connectivity)
        (values: torch.Tensor)
        (bias: torch.Tensor | null)
        (x: torch.Tensor)
        : torch.Tensor =
        linearBy Backends.ofTensor connectivity values bias x

    /// <summary>x · Wᵀ.</summary>
    /// <param name="connectivity">The pattern of W, shape [rows, cols].</param>
    /// <param name="values">Shape [nnz], in slot order.</param>
    /// <param name="x">Shape [*, cols], of the dtype and on the device of values.</param>
    /// <returns>Shape [*, rows]. Derivatives for an upstream u: <c>sddmm u x</c> and <c>spmmT values u</c>.</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype or a device is not as said.</exception>
    /// <example><code>
    /// let pattern = Connectivity.ofPairs 2 4 [| 0; 1; 1 |] [| 3; 0; 2 |]
    /// let values, x = torch.tensor [| 1.0f; 10.0f; 100.0f |], torch.tensor [| 1.0f; 2.0f; 3.0f; 4.0f |]
    /// let y = SparseOps.spmm pattern values x
    /// y.data&lt;float32>().ToArray() // = [|4.0f; 310.0f|]
    /// </code></example>
    [<CompiledName "Spmm">]
    let spmm (connectivity: Connectivity) (values: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        linearBy Backends.ofTensor connectivity values null x

    /// <summary>g · W.</summary>
    /// <param name="connectivity">The pattern of W, shape [rows, cols].</param>
    /// <param name="values">Shape [nnz], in slot order.</param>
    /// <param name="g">Shape [*, rows], of the dtype and on the device of values.</param>
    /// <returns>Shape [*, cols]. Derivatives for an upstream u: <c>sddmm g u</c> and <c>spmm values u</c>.</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype or a device is not as said.</exception>
    /// <example><code>
    /// let pattern = Connectivity.ofPairs 2 4 [| 0; 1; 1 |] [| 3; 0; 2 |]
    /// let back = SparseOps.spmmT pattern (torch.tensor [| 1.0f; 10.0f; 100.0f |]) (torch.tensor [| 1.0f; 2.0f |])
    /// back.data&lt;float32>().ToArray() // = [|20.0f; 0.0f; 200.0f; 1.0f|]
    /// </code></example>
    [<CompiledName "SpmmT">]
    let spmmT (connectivity: Connectivity) (values: torch.Tensor) (g: torch.Tensor) : torch.Tensor =
        spmmTBy Backends.ofTensor connectivity values g

    /// <summary>The product gᵀ · x at the pattern only: a sampled dense-dense product.</summary>
    /// <param name="connectivity">The pattern, shape [rows, cols].</param>
    /// <param name="g">Shape [*, rows].</param>
    /// <param name="x">Shape [*, cols], as many samples as g, of its dtype and on its device.</param>
    /// <returns>Shape [nnz], in slot order. Derivatives for an upstream u: <c>spmm u x</c> and <c>spmmT u g</c>.</returns>
    /// <exception cref="T:System.ArgumentException">A shape, a dtype or a device is not as said.</exception>
    /// <example><code>
    /// // The gradient of a sparse layer's weights, from that of its outputs and from its inputs.
    /// let gradient = SparseOps.sddmm layer.Connectivity (torch.ones (32L, 300L)) x
    /// gradient.shape // = [|23520L|]
    /// </code></example>
    [<CompiledName "Sddmm">]
    let sddmm (connectivity: Connectivity) (g: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        sddmmBy Backends.ofTensor connectivity g x

    /// <summary>W as a dense matrix: the values at the pattern, 0 elsewhere; not differentiable.</summary>
    /// <param name="connectivity">The pattern, shape [rows, cols].</param>
    /// <param name="values">Shape [nnz], in slot order.</param>
    /// <returns>A new tensor [rows, cols], of the dtype and on the device of values.</returns>
    /// <exception cref="T:System.ArgumentException">values is not a floating [nnz] tensor.</exception>
    /// <example><code>
    /// let pattern = Connectivity.ofPairs 2 3 [| 0; 1 |] [| 2; 0 |]
    /// let weight = SparseOps.toDense pattern (torch.tensor [| 0.5f; 2.0f |])
    /// weight.reshape(-1L).data&lt;float32>().ToArray() // = [|0.0f; 0.0f; 0.5f; 2.0f; 0.0f; 0.0f|]
    /// </code></example>
    [<CompiledName "ToDense">]
    let toDense (connectivity: Connectivity) (values: torch.Tensor) : torch.Tensor =
        checkValues connectivity values
        use _ = torch.no_grad ()
        use _ = torch.NewDisposeScope()
        ((Backends.ofTensor values).ToDense (SpmmPlans.planOf connectivity) values).MoveToOuterDisposeScope()

    /// <summary>loss.backward(), whose exception says why where a backward of this library is what failed.</summary>
    /// <param name="loss">A scalar that has a gradient.</param>
    /// <exception cref="T:System.InvalidOperationException">A backward of this library failed: the inner exception is the
    /// original one, with its stack.</exception>
    /// <remarks>Tensor.backward() itself ends in libtorch's words ("CSharpNode returned an invalid gradient"); the reason is
    /// then raised by the next call of this library on the thread.</remarks>
    /// <example><code>
    /// let loss = torch.nn.functional.cross_entropy (model.call x, labels)
    /// SparseOps.backward loss
    /// </code></example>
    [<CompiledName "Backward">]
    let backward (loss: torch.Tensor) : unit =
        ArgumentNullException.ThrowIfNull(loss, nameof loss)
        BackwardFailure.Raise()

        try
            loss.backward ()
        with _ ->
            match BackwardFailure.Take(loss.device_type <> DeviceType.CPU) with
            | null -> reraise ()
            | reason -> raise (BackwardFailure.Of reason)
