namespace SparseFs.Inference

/// What an operator is described by.
[<NoComparison>]
type internal OperatorForm =
    {
        Operator: string
        /// All of them are there.
        Numbers: string list
        Tensors: string list
        /// May be there.
        OptionalTensors: string list
    }

/// <summary>The operators of version 1, each with one input: docs/format.md says what they compute.</summary>
[<RequireQualifiedAccess>]
module internal OperatorTable =

    let private form name numbers tensors optional =
        { Operator = name
          Numbers = numbers
          Tensors = tensors
          OptionalTensors = optional }

    /// By element, without numbers and tensors.
    let plain: string list = [ "relu"; "gelu"; "gelu_tanh"; "silu"; "sigmoid"; "tanh" ]

    let all: OperatorForm list =
        [ form "linear" [ "in_features"; "out_features" ] [ "weight" ] [ "bias" ]
          form "sparse_linear" [ "in_features"; "out_features" ] [ "weight"; "row_ptr"; "col_idx" ] [ "bias" ]
          form "batch_norm" [ "features"; "epsilon" ] [ "running_mean"; "running_var" ] [ "weight"; "bias" ]
          form "layer_norm" [ "features"; "epsilon" ] [] [ "weight"; "bias" ]
          form "leaky_relu" [ "slope" ] [] []
          form "softmax" [] [] []
          form "log_softmax" [] [] []
          form "flatten" [] [] []
          for name in plain do
              form name [] [] [] ]

    let tryFind (name: string) : OperatorForm option =
        all |> List.tryFind (fun f -> f.Operator = name)
