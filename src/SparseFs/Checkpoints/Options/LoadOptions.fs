namespace SparseFs

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

    override o.ToString() =
        String.concat
            ", "
            [ invariant $"form {o.Form}"
              if o.IsStrict then "strict" else "not strict"
              if o.Converts then
                  "converting dtypes"
              match o.Prefixes with
              | [] -> ()
              | prefixes -> $"""without the prefixes {String.concat ", " prefixes}""" ]
