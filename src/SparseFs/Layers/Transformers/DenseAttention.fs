namespace SparseFs.Torch

open System
open System.Collections.Generic
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>Between torch's attention and a sparse one.</summary>
/// <remarks>TorchSharp's module says nothing of itself: sizes and biases are read from the parameters' names and shapes; heads and dropout have to be
/// told, and heads are proved by a call with a small input.</remarks>
[<RequireQualifiedAccess>]
module internal DenseAttention =

    let private refuse (message: string) =
        raise (ArgumentException(message, "dense"))

    /// The matrices of an attention, each with the pattern that a rule gives its weight; its parameters' names begin with a prefix.
    let ofParameters
        (parameters: Dictionary<string, Parameter>)
        (prefix: string)
        (patternOf: torch.Tensor -> Connectivity)
        : AttentionProjections =
        let find (name: string) : Parameter | null =
            match parameters.TryGetValue(prefix + name) with
            | true, p -> p
            | _ -> null

        for name in [ "bias_k"; "bias_v" ] do
            if parameters.ContainsKey(prefix + name) then
                refuse $"expected an attention without biases of keys and values, got one with {name}"

        let channels =
            { LayerChannels.Linear with
                HasZeroBias = true }

        let layer (weight: Parameter) (bias: Parameter | null) =
            DenseMatrices.ofWeight channels (patternOf weight) weight bias

        let needed (name: string) : Parameter =
            match find name with
            | null -> refuse $"expected a parameter {name}, got none of that name"
            | p -> p

        let outputs = layer (needed "out_proj.weight") (find "out_proj.bias")

        match find "in_proj_weight" with
        | NonNull packed ->
            { Inputs = [ layer packed (find "in_proj_bias") ]
              Bias = null
              Outputs = outputs }
        | _ ->
            let bias: Parameter | null =
                match find "in_proj_bias" with
                | null -> null
                | bias -> new Parameter(bias.detach().clone().DetachFromDisposeScope(), bias.requires_grad)

            { Inputs = [ for part in [ "q"; "k"; "v" ] -> layer (needed $"{part}_proj_weight") null ]
              Bias = bias
              Outputs = outputs }

    let private featuresOf (p: AttentionProjections) = int p.Outputs.out_features

    /// What the matrices make of inputs, tokens first.
    let private attend
        (p: AttentionProjections)
        (heads: int)
        (query: torch.Tensor)
        (key: torch.Tensor)
        (value: torch.Tensor)
        =
        let i =
            { Query = query.transpose (0L, 1L)
              Key = key.transpose (0L, 1L)
              Value = value.transpose (0L, 1L) }

        let call = AttentionCall.Of(int64 heads, false)

        let struct (y, _) =
            Attention.run call (AttentionProjections.project p p.Bias i) null 0.0 false

        (p.Outputs.call y).transpose(0L, 1L)

    let private dispose (p: AttentionProjections) =
        for layer in p.Outputs :: p.Inputs do
            layer.Dispose()

    /// <summary>The matrices of a sparse module, which keep the largest magnitudes.</summary>
    /// <param name="dense">torch's module.</param>
    /// <param name="heads">Its heads.</param>
    /// <param name="sparsity">Of each matrix.</param>
    let ofDense (dense: MultiheadAttention) (heads: int) (sparsity: float) : AttentionProjections =
        use _ = torch.NewDisposeScope() // the parameters of what is made are in none
        use _ = torch.no_grad ()
        Sparsity.check (nameof sparsity) sparsity
        let parameters = DenseMatrices.parameters dense
        // Of all weights, so that nothing else can differ.
        let whole = ofParameters parameters "" DenseMatrices.all
        let wasTraining = dense.training
        dense.eval ()

        try
            TransformerSizes.checkHeads "numHeads" (featuresOf whole) heads
            let like = whole.Outputs.weight

            let probe tokens features =
                DenseMatrices.probe [| tokens; 2L; features |] like

            let features =
                if whole.IsPacked then
                    Array.create 3 (int64 (featuresOf whole))
                else
                    [| for layer in whole.Inputs -> layer.in_features |]

            let query, key, value =
                probe 3L features[0], probe 4L features[1], probe 4L features[2]

            // libtorch's module refuses keys and values of two sizes.
            if features[1] = features[2] then
                let wanted, _ = dense.call (query, key, value)

                if not (DenseMatrices.close (attend whole heads query key value) wanted) then
                    let got = "another result for a small input than with the same weights"
                    refuse $"expected an attention of {heads} heads, got {got}"
        finally
            dense.train wasTraining
            dispose whole

        ofParameters parameters "" (DenseMatrices.largest sparsity)

    /// Gives parameters of a dense module, whose names begin with a prefix, the numbers of a sparse one, and zeros where no weight exists.
    let intoParameters
        (parameters: Dictionary<string, Parameter>)
        (prefix: string)
        (p: AttentionProjections)
        (bias: Parameter | null)
        : unit =
        for struct (name, layer) in p.Named do
            let key (tensor: string) =
                match layer.StateName with
                | StateName.InHolder(before, after) -> prefix + StateName.inHolder before after tensor
                | StateName.Nested -> $"{prefix}{name}.{tensor}"

            let own: Parameter | null =
                match layer.bias with
                | null -> null
                | _ -> parameters[key "bias"]

            DenseMatrices.into parameters[key "weight"] own layer

        match bias with
        | null -> ()
        | bias -> parameters[prefix + "in_proj_bias"].copy_ bias |> ignore
