namespace SparseFs.Torch

open System
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// Sparse layers of dense ones, by a rule that says what stays.
module internal PrunedLayer =

    let linear (dense: Linear) : DenseLayer =
        ArgumentNullException.ThrowIfNull(dense, nameof dense)
        let dense = DenseLayer.ofLinear dense
        DenseLayer.check (nameof dense) dense
        dense

    let convolution (dense: Convolution) : DenseLayer =
        ArgumentNullException.ThrowIfNull(dense, nameof dense)

        match DenseLayer.tryOf dense with
        | ValueNone ->
            raise (
                ArgumentException(
                    $"expected a Conv1d, 2d or 3d, or a ConvTranspose, got {dense.GetName()}",
                    nameof dense
                )
            )
        | ValueSome dense ->
            DenseLayer.check (nameof dense) dense

            match DenseLayer.whyNot dense with
            | "" -> dense
            | why -> raise (ArgumentException(why, nameof dense))

    /// Of a dense layer that is checked when the pattern has been.
    let ofPattern (sizes: string) (c: Connectivity) (dense: unit -> DenseLayer) : SparseLayer =
        ArgumentNullException.ThrowIfNull(c, "connectivity")
        let dense = dense ()

        if (dense.Rows, dense.Cols) <> (int64 c.Rows, int64 c.Cols) then
            let expected = $"{sizes} = [{dense.Rows}, {dense.Cols}]"
            raise (ArgumentException($"expected shape {expected}, got [{c.Rows}, {c.Cols}]", "connectivity"))

        DenseLayer.sparse c dense

    /// The largest norms of a layer's groups, whose sizes have been checked.
    let ofLargest (group: DenseLayer -> SlotGroup) (sparsity: float) (dense: DenseLayer) : SparseLayer =
        let weight = DenseLayer.matrix dense
        let group = group dense
        let rows, cols = Array2D.length1 weight, Array2D.length2 weight
        let nnz = Sparsity.nnzOfLayer rows cols sparsity
        let pattern = GroupMagnitude.ofLayer group nnz weight

        if pattern.Nnz = 0 && nnz > 0 then
            let wanted =
                if group.Cells = 1 then
                    $"a column of a group, got {nnz} in a layer [{rows}, {cols}] in groups of {group.Rows}"
                else
                    $"a kernel, got {nnz} in a layer [{rows}, {cols}] with kernels of {group.Cells} cells in groups of {group.Rows}"

            let got = $"expected slots for {wanted}"

            raise (ArgumentException($"{got}: take smaller groups or a lower sparsity", nameof sparsity))

        DenseLayer.sparse pattern dense

    /// A slot wherever a mask of the weight's shape is true.
    let ofMask (sizes: string) (mask: torch.Tensor) (dense: unit -> DenseLayer) : SparseLayer =
        ArgumentNullException.ThrowIfNull(mask, nameof mask)
        let dense = dense ()

        if mask.dtype <> torch.ScalarType.Bool then
            raise (
                ArgumentException(
                    $"expected Bool, got {mask.dtype}: mask.ne(0.0.ToScalar()), in C# mask.ne(0)",
                    nameof mask
                )
            )

        if mask.shape <> dense.Weight.shape then
            let wanted, got = Shape.text dense.Weight.shape, Shape.text mask.shape
            raise (ArgumentException($"expected shape {sizes} = {wanted}, got {got}", nameof mask))

        use _ = torch.NewDisposeScope()
        let pairs = mask.reshape(dense.Rows, dense.Cols).nonzero().t().contiguous()
        DenseLayer.sparse (Coo.toConnectivity (int dense.Rows) (int dense.Cols) pairs) dense
