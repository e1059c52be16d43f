namespace SparseFs.Torch

open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>The matrices of an attention.</summary>
[<NoComparison; NoEquality>]
type internal AttentionProjections =
    {
        /// One for queries, keys and values below each other, or one for each.
        Inputs: SparseLinear list
        /// That of three matrices, [3 · features]; one matrix has its own.
        Bias: Parameter | null
        Outputs: SparseLinear
    }

    member p.IsPacked: bool = p.Inputs.Length = 1

    /// By their names in the module.
    member p.Named: struct (string * SparseLinear) list =
        [ for name, layer in
              List.zip
                  (if p.IsPacked then
                       [ "in_proj" ]
                   else
                       [ "q_proj"; "k_proj"; "v_proj" ])
                  p.Inputs do
              struct (name, layer)
          struct ("out_proj", p.Outputs) ]

/// <summary>What draws the matrices of an attention.</summary>
[<NoComparison; NoEquality>]
type internal AttentionStart =
    {
        /// Whose bias and rule are left out.
        Settings: LayerSettings
        HasBias: bool
        /// The rule of queries, keys and values.
        Init: Init
        Sparsity: float
        Topology: int -> int -> int -> Seed -> Connectivity
        Seed: Seed option
    }

[<RequireQualifiedAccess>]
module internal AttentionProjections =

    /// Drawn, for so many features of queries, keys and values.
    let draw (features: int) (kdim: int) (vdim: int) (start: AttentionStart) : AttentionProjections =
        let channels =
            { LayerChannels.Linear with
                HasZeroBias = true }

        let layer (index: int) (hasBias: bool) (init: Init) (inputs: int) (outputs: int) =
            let settings =
                { start.Settings with
                    HasBias = hasBias
                    Init = init }

            let seed = start.Seed |> Option.map (Seed.child index)

            new SparseLinear(
                channels,
                LayerStart.ofTopology settings channels inputs outputs start.Sparsity start.Topology seed
            )

        let outputs () =
            layer 1 start.HasBias Init.FanIn features features

        if kdim = features && vdim = features then
            { Inputs = [ layer 0 start.HasBias start.Init features (3 * features) ]
              Bias = null
              Outputs = outputs () }
        else
            let own =
                [ layer 0 false start.Init features features
                  layer 2 false start.Init kdim features
                  layer 3 false start.Init vdim features ]

            let bias: Parameter | null =
                if not start.HasBias then
                    null
                else
                    let like = own.Head.weight

                    let zeros =
                        torch.zeros (3L * int64 features, dtype = like.dtype, device = like.device)

                    new Parameter(zeros.DetachFromDisposeScope())

            { Inputs = own
              Bias = bias
              Outputs = outputs () }

    /// A part of the packed projection, or of the bias of separate ones.
    let private third (t: torch.Tensor) (index: int64) (dimension: int64) : torch.Tensor =
        let size = t.shape[int dimension] / 3L
        t.narrow (dimension, index * size, size)

    /// Queries, keys and values, [batch, tokens, features]; the bias as it is now.
    let project (p: AttentionProjections) (bias: Parameter | null) (i: AttentionInputs) : AttentionTensors =
        match p.Inputs with
        | [ packed ] ->
            if obj.ReferenceEquals(i.Query, i.Key) && obj.ReferenceEquals(i.Key, i.Value) then
                Packed(packed.call i.Query)
            else
                let ofKey = packed.call i.Key

                let ofValue =
                    if obj.ReferenceEquals(i.Key, i.Value) then
                        ofKey
                    else
                        packed.call i.Value

                let part (t: torch.Tensor) index = third t index 2L
                Apart(part (packed.call i.Query) 0L, part ofKey 1L, part ofValue 2L)
        | own ->
            let project (index: int) (t: torch.Tensor) =
                let y = own[index].call t

                match bias with
                | null -> y
                | bias -> y.add (third bias (int64 index) 0L)

            Apart(project 0 i.Query, project 1 i.Key, project 2 i.Value)

    /// A module of them as one line of text.
    let text (p: AttentionProjections) (features: int) (heads: int) (dropout: float) (isBatchFirst: bool) : string =
        let said =
            [ string features
              string heads
              if dropout > 0.0 then
                  invariant $"dropout={dropout}"
              if isBatchFirst then
                  "batch_first=True"
              for struct (name, layer) in p.Named do
                  $"{name}={layer}" ]

        $"""SparseMultiheadAttention({System.String.Join(", ", said)})"""
