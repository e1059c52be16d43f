namespace SparseFs.Inference

open SparseFs
open SparseFs.Kernels

/// <summary>From a description and its tensors to steps: sizes are checked, batch norms become weights where they follow a product, what works
/// number by number works in place, and buffers are used again.</summary>
[<RequireQualifiedAccess>]
module internal Compiler =

    let private lower (l: Lowering) (node: NetworkNode) : unit =
        match node.Operator with
        | "linear"
        | "sparse_linear" -> RowOperators.product l node
        | "conv"
        | "sparse_conv" -> PixelOperators.convolution l node
        | "max_pool"
        | "avg_pool" -> PixelOperators.pooling l node
        | "adaptive_avg_pool" -> PixelOperators.adaptive l node
        | "pad_reflect"
        | "pad_replicate"
        | "pad_circular" -> PixelOperators.pad l node
        | "batch_norm" -> RowOperators.batchNorm l node
        | "layer_norm"
        | "rms_norm"
        | "softmax"
        | "log_softmax" -> RowOperators.byRows l node
        | "k_winners" -> RowOperators.winners l node
        | "k_winners_2d" -> RowOperators.winners2d l node
        | "flatten" -> RowOperators.flatten l node
        | "reshape" -> RowOperators.reshape l node
        | "add"
        | "multiply" -> RowOperators.pair l node
        | "part" -> RowOperators.part l node
        | "concat" -> RowOperators.concat l node
        | "embedding" -> SequenceOperators.embedding l node
        | "position_embedding" -> SequenceOperators.positions l node
        | "attention" -> SequenceOperators.attention l node
        | "lstm"
        | "gru"
        | "rnn_tanh"
        | "rnn_relu" -> SequenceOperators.recurrent l node
        | "last_token"
        | "mean_of_tokens" -> SequenceOperators.oneOf l node
        | _ -> RowOperators.element l node

    /// <exception cref="T:SparseFs.CheckpointException">Sizes or tensors do not fit, or a pattern is none.</exception>
    let run (file: ModelFile) (network: NetworkDescription) (kernels: CpuKernels) : CompiledNetwork =
        let l = Lowering(file, network, kernels)

        let refuse (reason: string) : 'a =
            file.Refuse(CheckpointProblem.Mismatch, NetworkDescription.Key, reason)

        let sources =
            network.Inputs
            |> Array.map (fun input ->
                if not (l.IsAsked input.Name) then
                    refuse (invariant $"nothing takes the input '{input.Name}'")

                let buffer = l.Acquire(input.Size, input.Shape.HasTokens)

                l.Values[input.Name] <-
                    { Shape = input.Shape
                      Buffer = buffer
                      IsTokens = input.IsTokens }

                buffer)

        for node in network.Nodes do
            if not (l.IsAsked node.Name) then
                l.Refuse(node, "nothing takes its output")

            lower l node

        for output in network.Outputs do
            let value = l.Values[output.Value]

            if
                value.IsTokens
                || value.Shape.Sizes <> output.Shape.Sizes
                || value.Shape.HasTokens <> output.Shape.HasTokens
            then
                refuse (
                    invariant
                        $"output '{output.Name}': expected {output.Shape.Text}, as it says, got {value.Shape.Text}"
                )

        l.Result sources
