namespace SparseFs.Torch

open SparseFs

/// A layer as one line of text: from its pattern, whether it has a bias, what its pattern was drawn from, and how it multiplies.
type internal LayerText = Connectivity -> bool -> Seed option -> Arithmetic -> string

/// <summary>Sparse layers as one line of text.</summary>
[<RequireQualifiedAccess>]
module internal LayerText =

    /// What is said of a layer that is used after its end.
    [<Literal>]
    let disposed =
        "the layer has been disposed of, by its own Dispose or by that of a model that held it: dispose of it after its last use"

    let ofLinear (c: Connectivity) (hasBias: bool) (seed: Seed option) (arithmetic: Arithmetic) : string =
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
