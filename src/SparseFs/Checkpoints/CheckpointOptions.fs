namespace SparseFs

open System.Collections.Generic

/// <summary>How a file is to hold the patterns of sparse layers.</summary>
type PatternLayout =
    /// <summary>As state_dict does: <c>weight</c> [nnz], <c>row_ptr</c> [out_features + 1] and <c>col_idx</c> [nnz],
    /// I32.</summary>
    | Csr = 0
    /// <summary>As COO tensors have it: <c>values</c> [nnz] and <c>indices</c> [2, nnz], I64, rows first.</summary>
    | Coo = 1

/// <summary>How a model is to be loaded.</summary>
type LoadOptions =
    {
        /// <summary>How the file holds the weights of sparse layers.</summary>
        Form: WeightForm
        /// <summary>Whether the file must have exactly the model's names.</summary>
        IsStrict: bool
        /// <summary>Whether floats of another width are converted to the model's dtype; otherwise they are refused.</summary>
        Converts: bool
        /// <summary>What names of the file lose at their start, each as often as it stands there; empty for none. A model that
        /// was saved inside of PyTorch's wrappers has <c>module.</c> (DataParallel) or <c>_orig_mod.</c> (torch.compile; this
        /// one is taken out of the middle of names too).</summary>
        Prefixes: string list
    }

/// <summary>What a load that is not strict has passed over.</summary>
type LoadReport =
    {
        /// <summary>Names of the model that the file does not have; those tensors are as they were.</summary>
        Missing: string[]
        /// <summary>Names of the file that the model does not have.</summary>
        Unexpected: string[]
    }

/// <summary>Where a training run stands, beside its model, its optimizer and its rewirer.</summary>
type TrainingProgress =
    {
        /// <summary>The caller's count of steps, 0 or more.</summary>
        Step: int64
        /// <summary>What the caller draws batches from, or whatever else.</summary>
        Seed: Seed
        /// <summary>The caller's own texts.</summary>
        Notes: IReadOnlyDictionary<string, string>
    }
