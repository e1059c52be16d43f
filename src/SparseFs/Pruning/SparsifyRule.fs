namespace SparseFs

open SparseFs.Torch
open TorchSharp

/// <summary>Which layers of a model are replaced, and by what.</summary>
[<NoComparison; NoEquality>]
type SparsifyRule =
    {
        /// <summary>Whether a layer of this dotted name is wanted.</summary>
        Wanted: string -> bool
        /// <summary>The layers that may be replaced: those that it has, and that are wanted. Budgets count no others.</summary>
        Layers: Layers
        /// <summary>Layers with fewer cells stay dense; 0 for none.</summary>
        MinCells: int64
        /// <summary>How many weights stay, of the layers that can be replaced.</summary>
        Budget: SparsifyBudget
        /// <summary>Where a batch size is given, a layer is replaced only if its forward and backward for so many samples
        /// is measured to be faster. It does not say how large images are: with convolutions, give Input.</summary>
        FasterAt: int voption
        /// <summary>Where an input of the model is given, a layer is replaced only if its forward and backward for what it sees of
        /// that input is measured to be faster, and FasterAt is not looked at; null for none.</summary>
        Input: torch.Tensor | null
        /// <summary>Rows whose columns stay or go together, 1 for each by itself: the new layers have row groups of that size,
        /// as <c>Topology.rowGroups</c> draws them. No group has rows of two groups of a convolution's channels: where these have
        /// no multiple of it, it is the largest number that divides both.</summary>
        RowGroup: int
        /// <summary>Whether the cells of a convolution's kernels stay or go together: the new layers have whole kernels, as
        /// <c>Topology.inKernels</c> draws them.</summary>
        WholeKernels: bool
        /// <summary>What the weights of a group's column, or of a kernel, are worth together.</summary>
        GroupNorm: RowGroupNorm
    }

    override r.ToString() =
        String.concat
            ", "
            [ r.Budget.ToString()
              if r.MinCells > 0L then
                  $"layers of {r.MinCells} cells or more"
              match r.FasterAt with
              | ValueSome samples -> $"where it is faster for {samples} samples"
              | ValueNone -> ()
              match r.Input with
              | null -> ()
              | input -> $"where it is faster for an input [{Shape.text input.shape}]"
              if r.RowGroup <> 1 then
                  $"in groups of {r.RowGroup} rows by {r.GroupNorm}"
              if r.WholeKernels then
                  $"in whole kernels by {r.GroupNorm}" ]
