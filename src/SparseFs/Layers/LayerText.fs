namespace SparseFs.Torch

open SparseFs

/// <summary>A sparse layer as one line of text.</summary>
module internal LayerText =

    /// What is said of a layer that is used after its end.
    [<Literal>]
    let disposed =
        "the layer has been disposed of, by its own Dispose or by that of a model that held it: dispose of it after its last use"

    let ofLayer (c: Connectivity) (hasBias: bool) (seed: Seed option) (arithmetic: Arithmetic) : string =
        let sparsity =
            c.Sparsity.ToString("0.######", System.Globalization.CultureInfo.InvariantCulture)

        let parts =
            [ $"in_features={c.Cols}"
              $"out_features={c.Rows}"
              $"nnz={c.Nnz}"
              $"sparsity={sparsity}"
              $"bias={hasBias}"
              match seed with
              | Some seed -> $"seed={Seed.text seed}"
              | None -> ()
              if arithmetic <> Arithmetic.Sparse then
                  $"arithmetic={arithmetic}" ]

        $"""SparseLinear({String.concat ", " parts})"""
