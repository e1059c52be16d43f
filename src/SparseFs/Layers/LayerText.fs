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

    let private sparsityOf (c: Connectivity) =
        c.Sparsity.ToString("0.######", System.Globalization.CultureInfo.InvariantCulture)

    /// What is said of every layer, behind its sizes.
    let private rest (seed: Seed option) (arithmetic: Arithmetic) =
        [ match seed with
          | Some seed -> $"seed={Seed.text seed}"
          | None -> ()
          if arithmetic <> Arithmetic.Sparse then
              $"arithmetic={arithmetic}" ]

    let ofLinear (c: Connectivity) (hasBias: bool) (seed: Seed option) (arithmetic: Arithmetic) : string =
        let parts =
            [ $"in_features={c.Cols}"
              $"out_features={c.Rows}"
              $"nnz={c.Nnz}"
              $"sparsity={sparsityOf c}"
              $"bias={hasBias}" ]

        $"""SparseLinear({String.concat ", " (parts @ rest seed arithmetic)})"""

    /// A convolution, whose sizes are written as PyTorch writes them.
    let ofConvolution (kind: string) (sizes: string list) : LayerText =
        fun c hasBias seed arithmetic ->
            let parts =
                [ $"nnz={c.Nnz}"
                  $"sparsity={sparsityOf c}"
                  if not hasBias then
                      "bias=False" ]

            $"""{kind}({String.concat ", " (sizes @ parts @ rest seed arithmetic)})"""
