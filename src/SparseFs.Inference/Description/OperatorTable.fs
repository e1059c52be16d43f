namespace SparseFs.Inference

/// What an operator is described by.
[<NoComparison>]
type internal OperatorForm =
    {
        Operator: string
        /// How many inputs it may have.
        Inputs: int list
        /// All of them are there.
        Numbers: string list
        /// May be there.
        OptionalNumbers: string list
        /// All of them are there.
        Sizes: string list
        /// All of them are there.
        Tensors: string list
        /// May be there.
        OptionalTensors: string list
    }

/// <summary>The operators of version 1: docs/format.md says what they compute.</summary>
[<RequireQualifiedAccess>]
module internal OperatorTable =

    let private form name numbers tensors optional =
        { Operator = name
          Inputs = [ 1 ]
          Numbers = numbers
          OptionalNumbers = []
          Sizes = []
          Tensors = tensors
          OptionalTensors = optional }

    let private alone name = form name [] [] []

    /// By element, without numbers and tensors.
    let plain: string list = [ "relu"; "gelu"; "gelu_tanh"; "silu"; "sigmoid"; "tanh" ]

    let private channels = [ "in_channels"; "out_channels"; "groups" ]
    let private stencil = [ "kernel"; "stride"; "dilation"; "before"; "after" ]

    /// Where the weights of a matrix are, and the scales of small ones.
    let private pattern (suffix: string) =
        [ for role in [ "row_ptr"; "col_idx"; "counts"; "deltas"; "offsets"; "bitmap"; "scale" ] -> role + suffix ]

    let private products =
        let ofFeatures = [ "in_features"; "out_features" ]

        [ form "linear" ofFeatures [ "weight" ] [ "bias" ]
          { form "sparse_linear" ofFeatures [ "weight" ] ("bias" :: pattern "") with
              OptionalNumbers = [ "group" ] }
          { form "conv" channels [ "weight" ] [ "bias" ] with
              Sizes = stencil }
          { form "sparse_conv" channels [ "weight" ] ("bias" :: pattern "") with
              OptionalNumbers = [ "group" ]
              Sizes = stencil } ]

    let private pixels =
        [ for name in [ "pad_reflect"; "pad_replicate"; "pad_circular" ] do
              { alone name with
                  Sizes = [ "before"; "after" ] }
          { form "max_pool" [ "ceil" ] [] [] with
              Sizes = [ "kernel"; "stride"; "dilation"; "padding" ] }
          { form "avg_pool" [ "ceil"; "count_include_pad" ] [] [] with
              Sizes = [ "kernel"; "stride"; "padding" ] }
          { alone "adaptive_avg_pool" with
              Sizes = [ "output" ] } ]

    let private rows =
        let winners = [ "exponential"; "additive"; "target" ]

        [ form "batch_norm" [ "features"; "epsilon" ] [ "running_mean"; "running_var" ] [ "weight"; "bias" ]
          form "layer_norm" [ "features"; "epsilon" ] [] [ "weight"; "bias" ]
          form "rms_norm" [ "features"; "epsilon" ] [] [ "weight" ]
          { form "k_winners" [ "k" ] [] [ "duty_cycle" ] with
              OptionalNumbers = winners }
          { form "k_winners_2d" [ "k"; "local" ] [] [ "duty_cycle" ] with
              OptionalNumbers = winners }
          form "leaky_relu" [ "slope" ] [] []
          alone "softmax"
          alone "log_softmax"
          alone "flatten"
          { alone "reshape" with
              Sizes = [ "shape" ] }
          form "part" [ "first"; "count" ] [] []
          for name in [ "add"; "multiply"; "concat" ] do
              { alone name with Inputs = [ 2 ] }
          for name in plain do
              alone name ]

    let private sequences =
        let recurrent = [ "in_features"; "units"; "reverse" ]
        let weights = [ "weight_ih"; "weight_hh" ]

        let groups = [ "group_ih"; "group_hh" ]
        let optional = pattern "_ih" @ pattern "_hh" @ [ "bias_ih"; "bias_hh" ]

        [ form "embedding" [ "count"; "features" ] [ "weight" ] []
          form "position_embedding" [ "count"; "features" ] [ "weight" ] []
          { form "attention" [ "heads"; "causal" ] [] [] with
              Inputs = [ 1; 3 ] }
          { form "lstm" recurrent weights ("weight_hr" :: pattern "_hr" @ optional) with
              OptionalNumbers = "projection" :: "group_hr" :: groups }
          for name in [ "gru"; "rnn_tanh"; "rnn_relu" ] do
              { form name recurrent weights optional with
                  OptionalNumbers = groups }
          alone "last_token"
          alone "mean_of_tokens" ]

    let all: OperatorForm list = products @ pixels @ rows @ sequences

    let tryFind (name: string) : OperatorForm option =
        all |> List.tryFind (fun f -> f.Operator = name)
