/// Networks that are drawn, of every kind of module that can be deployed.
module SparseFs.Tests.DrawnNetworks

open System
open SparseFs
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules

type Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

/// Batch statistics that training would have left.
let drawStatistics (random: Random) (norm: NormBase) : unit =
    let draw (t: torch.Tensor | null) (low: float) =
        match t with
        | null -> ()
        | t ->
            use _ = torch.no_grad ()

            t.copy_ (torch.tensor [| for _ in 1L .. t.numel () -> float32 (low + random.NextDouble()) |])
            |> ignore

    draw norm.running_mean -0.5
    draw norm.running_var 0.3
    let weight, bias = TorchNulls.affineOf norm
    draw weight 0.5
    draw bias -0.5

let private pick (random: Random) (all: 'a list) : 'a = all[random.Next all.Length]

let private winnersOptions (random: Random) : KWinnersOptions =
    { KWinnersOptions.defaults with
        Winners = WinnerCount.Sparsity(0.5 * random.NextDouble())
        Boost = pick random [ Boost.None; Boost.Exponential 1.5; Boost.Additive 0.5 ]
        InferenceFactor = pick random [ 1.0; 1.5 ] }

/// Convolutions, poolings, norms and paddings over [channels, pixels...], and the shape of a sample.
let pixels (random: Random) : Sequential * int64[] =
    let dimensions = random.Next(1, 4)
    let mutable channels = random.Next(1, 5)

    let size =
        Array.init dimensions (fun _ -> int64 (random.Next(6, if dimensions = 3 then 8 else 13)))

    let input = Array.append [| int64 channels |] size

    let conv () : Layer =
        let groups = pick random [ 1; 1; channels ]
        let outputs = groups * random.Next(1, 4)
        let before = channels
        channels <- outputs
        let kernel, dilation = random.Next(1, 4), random.Next(1, 3)
        let stride = if random.Next 3 = 0 then 2 else 1
        let padding = random.Next 3
        let seed = Seed.ofInt (random.Next())

        let mode =
            if dimensions = 2 && padding > 0 then
                pick
                    random
                    [ PaddingModes.Zeros
                      PaddingModes.Reflect
                      PaddingModes.Replicate
                      PaddingModes.Circular ]
            else
                PaddingModes.Zeros

        let size (n: int) : ConvSize = ConvSize.op_Implicit n
        let around: ConvPadding = ConvPadding.op_Implicit padding

        match dimensions, random.Next 3 with
        | 1, 0 ->
            torch.nn.Conv1d(
                int64 before,
                int64 outputs,
                int64 kernel,
                int64 stride,
                int64 padding,
                int64 dilation,
                groups = int64 groups
            )
        | 2, 0 ->
            torch.nn.Conv2d(
                int64 before,
                int64 outputs,
                int64 kernel,
                int64 stride,
                int64 padding,
                int64 dilation,
                groups = int64 groups
            )
        | 3, 0 ->
            torch.nn.Conv3d(
                int64 before,
                int64 outputs,
                int64 kernel,
                int64 stride,
                int64 padding,
                int64 dilation,
                groups = int64 groups
            )
        | 1, _ ->
            new SparseConv1d(
                before,
                outputs,
                size kernel,
                stride = size stride,
                padding = around,
                dilation = size dilation,
                groups = groups,
                sparsity = 0.45,
                seed = seed
            )
        | 2, _ ->
            new SparseConv2d(
                before,
                outputs,
                size kernel,
                stride = size stride,
                padding = around,
                dilation = size dilation,
                groups = groups,
                paddingMode = mode,
                sparsity = 0.45,
                seed = seed
            )
        | _ ->
            new SparseConv3d(
                before,
                outputs,
                size kernel,
                stride = size stride,
                padding = around,
                dilation = size dilation,
                groups = groups,
                sparsity = 0.45,
                seed = seed
            )

    let norm () : Layer =
        let norm: NormBase =
            match dimensions with
            | 1 -> torch.nn.BatchNorm1d(int64 channels)
            | 2 -> torch.nn.BatchNorm2d(int64 channels)
            | _ -> torch.nn.BatchNorm3d(int64 channels)

        drawStatistics random norm
        norm

    let pool () : Layer =
        let isCeil, padding = random.Next 2 = 0, random.Next 2

        match dimensions, random.Next 3 with
        | 1, 0 -> torch.nn.MaxPool1d(2L, Nullable 2L, Nullable(int64 padding), ceil_mode = isCeil)
        | 2, 0 -> torch.nn.MaxPool2d(3L, Nullable 2L, Nullable(int64 padding), ceil_mode = isCeil)
        | 3, 0 -> torch.nn.MaxPool3d(2L, Nullable 2L, Nullable(int64 padding), ceil_mode = isCeil)
        | 1, 1 -> torch.nn.AvgPool1d(2L, Nullable 1L, int64 padding, ceil_mode = isCeil)
        | 2, 1 ->
            torch.nn.AvgPool2d(
                3L,
                Nullable 2L,
                Nullable(int64 padding),
                ceil_mode = isCeil,
                count_include_pad = (random.Next 2 = 0)
            )
        | 3, 1 -> torch.nn.AvgPool3d(2L, Nullable 1L, Nullable(int64 padding), ceil_mode = isCeil)
        | 1, _ -> torch.nn.AdaptiveAvgPool1d 3L
        | 2, _ -> torch.nn.AdaptiveAvgPool2d [| 3L; 2L |]
        | _ -> torch.nn.AdaptiveAvgPool3d [| 2L; 3L; 2L |]

    let isFlat = dimensions < 3 && random.Next 3 = 0

    let layers =
        [| if isFlat then
               struct ("image", torch.nn.Unflatten(1L, input) :> Layer)
           for i in 0 .. random.Next(1, 5) do
               let layer: Layer =
                   match random.Next 6 with
                   | _ when i = 0 -> conv ()
                   | 0
                   | 1 -> conv ()
                   | 2 -> norm ()
                   | 3 -> pool ()
                   | 4 -> torch.nn.ReLU()
                   | _ when dimensions = 2 ->
                       new KWinners2d(channels, options = winnersOptions random, local = (random.Next 2 = 0))
                   | _ -> torch.nn.Tanh()

               struct ($"layer{i}", layer)
           if random.Next 2 = 0 then
               struct ("flat", torch.nn.Flatten() :> Layer) |]

    torch.nn.Sequential layers, (if isFlat then [| Array.fold (*) 1L input |] else input)

/// Embedding, positions, and whatever goes over tokens.
type Tokens(seed: int) as this =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("Tokens")
    let random = Random seed
    let heads = random.Next(1, 4)
    let features = heads * random.Next(1, 6)
    let count = random.Next(2, 20)
    let embedding = torch.nn.Embedding(int64 count, int64 features)
    let positions = torch.nn.Embedding(12L, int64 features)
    let seedOf (i: int) = Seed.ofInt (seed + i)

    let block (i: int) : Layer =
        match random.Next 3 with
        | 0 ->
            new SparseTransformerBlock(
                features,
                heads,
                activation =
                    pick
                        random
                        [ FeedForwardActivation.GELU
                          FeedForwardActivation.SwiGLU
                          FeedForwardActivation.ReLU ],
                sparsity = 0.45,
                seed = seedOf i
            )
        | 1 -> new SparseFeedForward(features, hidden = 7, sparsity = 0.3, seed = seedOf i)
        | _ -> torch.nn.LayerNorm(int64 features)

    let blocks =
        torch.nn.ModuleList<Layer>([| for i in 0 .. random.Next 3 -> block i |])

    let ofLast = random.Next 3 = 0
    let head = torch.nn.Linear(int64 features, int64 count)
    do this.RegisterComponents()

    member _.Count = count

    override _.forward x =
        let h = embedding.call(x).add(positions.call (torch.arange x.shape[1]))
        let h = blocks |> Seq.fold (fun (h: torch.Tensor) block -> block.call h) h
        let h = if ofLast then h.select (1L, -1L) else h
        head.call h

    interface IDeployable with
        member _.Describe(graph, x) =
            let h =
                graph.AddPositions("positions", positions, graph.Call("embedding", embedding, x))

            let h =
                blocks
                |> Seq.indexed
                |> Seq.fold (fun h (i, block) -> graph.Call($"blocks.{i}", block, h)) h

            graph.Call("head", head, (if ofLast then graph.LastToken h else h))

/// Encoder layers over vectors.
type Encoder(seed: int) as this =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("Encoder")
    let random = Random seed
    let heads = random.Next(1, 3)
    let features = heads * random.Next(1, 5)

    let layer =
        new SparseTransformerEncoderLayer(
            features,
            heads,
            dimFeedforward = 9,
            batchFirst = true,
            normFirst = (random.Next 2 = 0),
            activation =
                pick
                    random
                    [ FeedForwardActivation.ReLU
                      FeedForwardActivation.GELUTanh
                      FeedForwardActivation.SiLU ],
            sparsity = 0.45,
            seed = Seed.ofInt seed
        )

    let scale = new Parameter(torch.rand (int64 features))
    do this.RegisterComponents()

    member _.Features = features

    override _.forward x =
        let y: torch.Tensor = layer.call x

        let y =
            y.div(y.square().mean([| -1L |], true).add(torch.tensor 0.0078125f).sqrt()).mul scale

        y.mean [| 1L |]

    interface IDeployable with
        member _.Describe(graph, x) =
            graph.Call("layer", layer, x)
            |> fun y -> graph.RmsNorm("scale", scale, 0.0078125, y)
            |> graph.MeanOfTokens

/// One of the recurrent modules, and a layer behind it.
type Recurrent(seed: int, isOneWay: bool) as this =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("Recurrent")
    let random = Random seed
    let inputs, units, layers = random.Next(1, 6), random.Next(2, 20), random.Next(1, 3)
    let bidirectional = not isOneWay && random.Next 2 = 0
    let directions = if bidirectional then 2 else 1
    let kind = random.Next 4
    let projection = if kind = 0 && random.Next 2 = 0 then 1 else 0
    let own = Seed.ofInt seed

    let lstm: SparseLSTM | null =
        if kind = 0 then
            new SparseLSTM(
                inputs,
                units,
                numLayers = layers,
                bidirectional = bidirectional,
                projSize = projection,
                batchFirst = true,
                sparsity = 0.45,
                seed = own
            )
        else
            null

    let gru: SparseGRU | null =
        if kind = 1 then
            new SparseGRU(
                inputs,
                units,
                numLayers = layers,
                bidirectional = bidirectional,
                batchFirst = true,
                sparsity = 0.45,
                seed = own
            )
        else
            null

    let rnn: SparseRNN | null =
        if kind > 1 then
            let nonlinearity =
                if kind = 2 then
                    RecurrentNonlinearity.Tanh
                else
                    RecurrentNonlinearity.ReLU

            new SparseRNN(
                inputs,
                units,
                nonlinearity = nonlinearity,
                numLayers = layers,
                bidirectional = bidirectional,
                batchFirst = true,
                sparsity = 0.45,
                seed = own
            )
        else
            null

    let outputs = directions * (if projection > 0 then projection else units)
    let head = torch.nn.Linear(int64 outputs, 3L)

    do
        match lstm, gru, rnn with
        | NonNull lstm, _, _ -> this.register_module ("inner", lstm)
        | _, NonNull gru, _ -> this.register_module ("inner", gru)
        | _, _, NonNull rnn -> this.register_module ("inner", rnn)
        | _ -> ()

        this.register_module ("head", head)

    member _.Inputs = inputs

    override _.forward x =
        let y =
            match lstm, gru, rnn with
            | NonNull lstm, _, _ ->
                let struct (y, _, _) = lstm.call x
                y
            | _, NonNull gru, _ ->
                let struct (y, _) = gru.call x
                y
            | _, _, NonNull rnn ->
                let struct (y, _) = rnn.call x
                y
            | _ -> x

        head.call y

    interface IDeployable with
        member _.Describe(graph, x) =
            let inner: torch.nn.Module =
                match lstm, gru, rnn with
                | NonNull lstm, _, _ -> lstm
                | _, NonNull gru, _ -> gru
                | _, _, NonNull rnn -> rnn
                | _ -> head

            graph.Call("head", head, graph.Call("inner", inner, x))
