namespace SparseFs.Torch

open SparseFs
open TorchSharp

/// <summary>Describes sparse layers, K-winners and blocks of them as operations.</summary>
[<RequireQualifiedAccess>]
module internal SparseModules =

    /// Roles and names of a sparse layer's tensors, each role with something behind it.
    let private tensors (place: string) (layer: SparseLayer) (suffix: string) : (string * string) list =
        [ for role in
              [ "weight"
                "row_ptr"
                "col_idx"
                if not (isNull layer.bias) then
                    "bias" ] do
              role + suffix, StateName.key layer.StateName place role ]

    let linear (b: DescriptionBuilder) (place: string) (layer: SparseLinear) (x: DescribedValue) : DescribedValue =
        TorchModules.checkFloat32 place layer.weight

        b.Keep(
            place,
            x,
            { Operation.Named "sparse_linear" with
                Numbers =
                    [ "in_features", float layer.in_features
                      "out_features", float layer.out_features ]
                Tensors = tensors place layer "" }
        )

    /// What of a K-winners module does not follow from its sizes.
    let private boost (place: string) (winners: KWinnersBase) (target: float) : Operation =
        let strength = float (Boost.strength winners.Boost)

        let ofKind =
            match winners.Options.Boost with
            | Boost.None -> ValueNone
            | Boost.Exponential _ -> ValueSome "exponential"
            | Boost.Additive _ -> ValueSome "additive"

        match ofKind with
        | ValueNone -> Operation.Named "k_winners"
        | ValueSome kind ->
            { Operation.Named "k_winners" with
                Numbers = [ kind, strength; "target", target ]
                Tensors = [ "duty_cycle", TorchModules.tensorOf place "duty_cycle" ] }

    let private winners (b: DescriptionBuilder) (place: string) (m: KWinners) (x: DescribedValue) =
        let own = boost place m (float m.K / float m.Features)

        b.Keep(
            place,
            x,
            { own with
                Numbers = ("k", float m.KAtInference) :: own.Numbers }
        )

    let private winners2d (b: DescriptionBuilder) (place: string) (m: KWinners2d) (x: DescribedValue) =
        match b.TryShape m with
        | ValueSome [| _; channels; height; width |] ->
            let trained = m.KOf(int height, int width)

            let candidates = if m.IsLocal then channels else channels * height * width

            let k = KWinners.atInference (int candidates) m.Options.InferenceFactor trained
            let own = boost place m (float trained / float candidates)
            let isLocal = if m.IsLocal then 1.0 else 0.0

            b.Keep(
                place,
                x,
                { own with
                    Operator = "k_winners_2d"
                    Numbers = ("k", float k) :: ("local", isLocal) :: own.Numbers }
            )
        | _ ->
            TorchModules.refuse
                $"the sample did not go through '{TorchModules.label place}' by its call: images have to be known for the number of winners"

    let private pair (b: DescriptionBuilder) (name: string) (operator': string) (x: DescribedValue) y =
        b.Add(name, [ x; y ], Operation.Named operator', x.Rank, x.HasTokens)

    let private activate (b: DescriptionBuilder) (place: string) (activation: FeedForwardActivation) hidden x =
        let name = TorchModules.tensorOf place "activation"

        let alone (operator': string) x =
            b.Keep(name, x, Operation.Named operator')

        match activation with
        | FeedForwardActivation.GELU -> alone "gelu" x
        | FeedForwardActivation.GELUTanh -> alone "gelu_tanh" x
        | FeedForwardActivation.ReLU -> alone "relu" x
        | FeedForwardActivation.SiLU -> alone "silu" x
        | _ ->
            // SwiGLU: SiLU of the first half times the second one.
            let half (first: int64) =
                b.Keep(
                    name,
                    x,
                    { Operation.Named "part" with
                        Numbers = [ "first", float first; "count", float hidden ] }
                )

            pair b name "multiply" (alone "silu" (half 0L)) (half hidden)

    let private inside (place: string) (name: string) = TorchModules.tensorOf place name

    let private feedForward (b: DescriptionBuilder) (place: string) (m: SparseFeedForward) (x: DescribedValue) =
        let first = linear b (inside place "linear1") m.linear1 x

        let between =
            match m.winners with
            | null -> activate b place m.activation m.linear2.in_features first
            | own -> winners b (inside place "winners") own first

        linear b (inside place "linear2") m.linear2 between

    /// Self-attention of normalized or other inputs.
    let private attention
        (b: DescriptionBuilder)
        (place: string)
        (m: SparseMultiheadAttention)
        (isCausal: bool)
        (x: DescribedValue)
        =
        if not m.batch_first then
            TorchModules.refuse
                $"expected the batch first in '{TorchModules.label place}': make the module with batchFirst = true"

        let struct (projections, bias) = m.Projections

        if not projections.IsPacked || not (isNull bias) then
            TorchModules.refuse
                $"expected one size of queries, keys and values in '{TorchModules.label place}': self-attention alone can be deployed"

        if not x.HasTokens || x.Rank <> 3 then
            TorchModules.refuse $"expected [batch, tokens, features] in '{TorchModules.label place}'"

        let packed = linear b (inside place "in_proj") m.in_proj x

        let y =
            b.Keep(
                inside place "attention",
                packed,
                { Operation.Named "attention" with
                    Numbers = [ "heads", float m.num_heads; "causal", (if isCausal then 1.0 else 0.0) ] }
            )

        linear b (inside place "out_proj") m.out_proj y

    let private block (b: DescriptionBuilder) (place: string) (m: SparseTransformerBlock) (x: DescribedValue) =
        let add = pair b (inside place "add") "add"

        let middle =
            TorchModules.layerNorm b (inside place "norm1") m.norm1 x
            |> attention b (inside place "attn") m.attn true
            |> add x

        TorchModules.layerNorm b (inside place "norm2") m.norm2 middle
        |> feedForward b (inside place "ff") m.ff
        |> add middle

    let private encoderLayer
        (b: DescriptionBuilder)
        (place: string)
        (m: SparseTransformerEncoderLayer)
        (x: DescribedValue)
        =
        let add = pair b (inside place "add") "add"
        let norm1 = TorchModules.layerNorm b (inside place "norm1") m.norm1
        let norm2 = TorchModules.layerNorm b (inside place "norm2") m.norm2
        let attend = attention b (inside place "self_attn") m.self_attn false

        let feed x =
            linear b (inside place "linear1") m.linear1 x
            |> activate b place m.Activation m.linear2.in_features
            |> linear b (inside place "linear2") m.linear2

        if m.norm_first then
            let middle = add x (attend (norm1 x))
            add middle (feed (norm2 middle))
        else
            let middle = norm1 (add x (attend x))
            norm2 (add middle (feed middle))

    /// The matrices of one direction of a recurrent layer.
    let private direction
        (b: DescriptionBuilder)
        (place: string)
        (s: RecurrentSettings)
        (m: RecurrentMatrices)
        (x: DescribedValue)
        =
        let isReverse = m.Suffix.EndsWith("_reverse", System.StringComparison.Ordinal)

        let operator' =
            match s.Cell with
            | Kernels.Cell.Lstm -> "lstm"
            | Kernels.Cell.Gru -> "gru"
            | Kernels.Cell.Relu -> "rnn_relu"
            | _ -> "rnn_tanh"

        for struct (name, layer) in m.Named do
            TorchModules.checkFloat32 (inside place name) layer.weight

        let own =
            { Operation.Named operator' with
                Numbers =
                    [ "in_features", float m.OfInputs.in_features
                      "units", float s.HiddenSize
                      "reverse", (if isReverse then 1.0 else 0.0)
                      if s.ProjSize > 0 then
                          "projection", float s.ProjSize ]
                Tensors =
                    [ for struct (name, layer) in m.Named do
                          // ih_l0, hh_l0, hr_l0 of the module.
                          yield! tensors (inside place name) layer ("_" + name.Substring(0, 2)) ] }

        b.Keep(TorchModules.label place + m.Suffix, x, own)

    let private recurrent
        (b: DescriptionBuilder)
        (place: string)
        (s: RecurrentSettings)
        (matrices: RecurrentMatrices list)
        (x: DescribedValue)
        =
        if not s.IsBatchFirst then
            TorchModules.refuse
                $"expected the batch first in '{TorchModules.label place}': make the module with batchFirst = true"

        if not x.HasTokens || x.Rank <> 3 then
            TorchModules.refuse $"expected [batch, tokens, features] in '{TorchModules.label place}'"

        matrices
        |> List.chunkBySize s.Directions
        |> List.fold
            (fun x layer ->
                match layer |> List.map (fun m -> direction b place s m x) with
                | [ forward; back ] -> pair b (TorchModules.label place + ".concat") "concat" forward back
                | directions -> directions.Head)
            x

    /// What one of this library's modules makes of a value, if it can be deployed.
    let tryAdd
        (b: DescriptionBuilder)
        (place: string)
        (m: torch.nn.Module)
        (x: DescribedValue)
        : DescribedValue voption =
        match m with
        | :? SparseLinear as layer -> ValueSome(linear b place layer x)
        | :? SparseConv as conv ->
            TorchModules.checkFloat32 place conv.weight
            ValueSome(TorchModules.convolution b place conv.Settings "sparse_conv" (tensors place conv "") x)
        | :? KWinners as m -> ValueSome(winners b place m x)
        | :? KWinners2d as m -> ValueSome(winners2d b place m x)
        | :? SparseFeedForward as m -> ValueSome(feedForward b place m x)
        | :? SparseMultiheadAttention as m -> ValueSome(attention b place m false x)
        | :? SparseTransformerBlock as m -> ValueSome(block b place m x)
        | :? SparseTransformerEncoderLayer as m -> ValueSome(encoderLayer b place m x)
        | :? SparseLSTM as m -> ValueSome(recurrent b place m.Settings m.Matrices x)
        | :? SparseGRU as m -> ValueSome(recurrent b place m.Settings m.Matrices x)
        | :? SparseRNN as m -> ValueSome(recurrent b place m.Settings m.Matrices x)
        | _ -> ValueNone

    /// Whether a module takes tokens.
    let takesTokens (m: torch.nn.Module) : bool =
        match m with
        | :? SparseMultiheadAttention
        | :? SparseLSTM
        | :? SparseGRU
        | :? SparseRNN -> true
        | _ -> false
