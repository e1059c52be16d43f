namespace Digits

open SparseFs
open TorchSharp
open TorchSharp.Modules

type private Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

/// <summary>The network of SparseLinear's notebook, 784-2000-LayerNorm-ReLU-10, and its dense twin.</summary>
/// <remarks>As there, both linear layers of the sparse network are sparse, and k-winners may stand in place of ReLU.</remarks>
[<RequireQualifiedAccess>]
module Network =

    [<Literal>]
    let private Hidden = 2000

    /// The name of the layer that takes the pixels.
    [<Literal>]
    let Input = "input"

    let private network (hidden: int) (winners: float option) (input: Layer) (output: Layer) : Sequential =
        let activation =
            match winners with
            | Some sparsity -> struct ("winners", new KWinners(hidden, KWinnersOptions.ofSparsity sparsity) :> Layer)
            | None -> struct ("relu", torch.nn.ReLU() :> Layer)

        torch.nn.Sequential(
            [| struct (Input, input)
               struct ("norm", torch.nn.LayerNorm(int64 hidden) :> Layer)
               activation
               struct ("output", output) |]
        )

    /// The topologies that the demo knows, by name; each is made for rows, columns and slots.
    let topologies: (string * (int -> int -> int -> Seed -> Connectivity)) list =
        [ "uniform", Topology.uniform
          // Uniform within each layer, Erdős–Rényi-Kernel between them.
          "erk", Topology.uniform
          "small-world", Topology.smallWorld
          // The nearest whole number of slots for each row.
          "constant-fan-in",
          (fun rows cols nnz seed -> Topology.constantFanIn rows cols (int (round (float nnz / float rows))) seed)
          "banded", (fun rows cols nnz _ -> Topology.banded rows cols nnz) ]

    /// <summary>784-2000-10 with only a part of the weights.</summary>
    /// <param name="topology">One of <c>topologies</c>.</param>
    /// <param name="sparsity">The part of the weights that do not exist, in [0, 1).</param>
    /// <param name="winners">The part of the hidden units that k-winners silence, in [0, 1); none for ReLU.</param>
    /// <param name="seed">Draws which do; torch.manual_seed governs their initial values.</param>
    let sparse (topology: string) (sparsity: float) (winners: float option) (seed: Seed) : Sequential =
        let ofInput, ofOutput = Seed.split seed
        let _, generate = topologies |> List.find (fun (name, _) -> name = topology)

        let shapes = [| [| Hidden; Idx.Pixels |]; [| Idx.Classes; Hidden |] |]

        let counts =
            if topology = "erk" then
                SparsityDistribution.counts SparsityDistribution.ErdosRenyiKernel [||] sparsity shapes
            else
                [| for shape in shapes -> Sparsity.nnz shape[0] shape[1] sparsity |]

        let layer (index: int) (seed: Seed) =
            let rows, cols = shapes[index][0], shapes[index][1]
            let nnz = counts[index]
            new SparseLinear(generate rows cols nnz seed)

        network Hidden winners (layer 0 ofInput) (layer 1 ofOutput)

    /// <summary>The sparse layer that takes the pixels.</summary>
    let input (sparse: Sequential) : SparseLinear =
        sparse.named_children ()
        |> Seq.pick (fun (struct (name, layer)) ->
            match layer with
            | :? SparseLinear as layer when name = Input -> Some layer
            | _ -> None)

    /// <summary>784-hidden-10 with every weight.</summary>
    /// <param name="hidden">Hidden units; with 200 of them there are as many weights as the sparse network has at 0.9.</param>
    /// <param name="winners">As for the sparse one.</param>
    let denseOf (hidden: int) (winners: float option) : Sequential =
        network hidden winners (torch.nn.Linear(Idx.Pixels, hidden)) (torch.nn.Linear(hidden, Idx.Classes))

    /// <summary>784-2000-10 with every weight.</summary>
    /// <param name="winners">As for the sparse one.</param>
    let dense (winners: float option) : Sequential = denseOf Hidden winners

    /// Three convolutions of 3 × 3, each with normalisation, ReLU and pooling, and a linear layer.
    let private convolutional (first: Layer) (second: Layer) (third: Layer) (output: Layer) : Sequential =
        let block (name: string) (channels: int64) (conv: Layer) : struct (string * Layer) list =
            [ struct (name, conv)
              struct ($"{name}_norm", torch.nn.BatchNorm2d channels)
              struct ($"{name}_relu", torch.nn.ReLU())
              struct ($"{name}_pool", torch.nn.MaxPool2d 2L) ]

        torch.nn.Sequential(
            [| struct ("image", torch.nn.Unflatten(1L, [| 1L; int64 Idx.Side; int64 Idx.Side |]) :> Layer)
               yield! block "first" 32L first
               yield! block "second" 64L second
               yield! block "third" 128L third
               struct ("flat", torch.nn.Flatten())
               struct ("output", output) |]
        )

    /// Pixels a side that three poolings leave.
    [<Literal>]
    let private Left = 3

    /// <summary>A small convolutional network of 32, 64 and 128 channels, all of it sparse but the first convolution, whose few
    /// weights see the pixels.</summary>
    /// <param name="sparsity">The part of the weights of the other layers that do not exist, in [0, 1), shared out by
    /// Erdős–Rényi-Kernel.</param>
    /// <param name="seed">Draws which do; torch.manual_seed governs their initial values.</param>
    let sparseCnn (sparsity: float) (seed: Seed) : Sequential =
        let shapes =
            [| [| 64; 32; 3; 3 |]
               [| 128; 64; 3; 3 |]
               [| Idx.Classes; 128 * Left * Left |] |]

        let counts =
            SparsityDistribution.counts SparsityDistribution.ErdosRenyiKernel [||] sparsity shapes

        let pattern (index: int) =
            let rows = shapes[index][0]
            let cols = shapes[index] |> Array.tail |> Array.reduce (*)
            Topology.uniform rows cols counts[index] (Seed.child index seed)

        convolutional
            (torch.nn.Conv2d(1L, 32L, 3L, padding = 1L))
            (new SparseConv2d(pattern 0, 32, 3, padding = 1))
            (new SparseConv2d(pattern 1, 64, 3, padding = 1))
            (new SparseLinear(pattern 2))

    /// The same with every weight.
    let denseCnn () : Sequential =
        convolutional
            (torch.nn.Conv2d(1L, 32L, 3L, padding = 1L))
            (torch.nn.Conv2d(32L, 64L, 3L, padding = 1L))
            (torch.nn.Conv2d(64L, 128L, 3L, padding = 1L))
            (torch.nn.Linear(int64 (128 * Left * Left), int64 Idx.Classes))

    /// <summary>How many weights the linear layers and convolutions of a network store; biases and normalisation are not counted.</summary>
    let weights (network: Sequential) : int64 =
        Seq.sum
            [ for layer in network.children () do
                  match layer with
                  | :? SparseLayer as layer -> layer.weight.numel ()
                  | :? Linear as layer -> layer.weight.numel ()
                  | :? Convolution as layer -> layer.weight.numel ()
                  | _ -> () ]

    /// <summary>The entropy of the k-winners of a network as a part of what it can be; none without k-winners.</summary>
    let entropy (network: Sequential) : float option =
        network.children ()
        |> Seq.tryPick (fun layer ->
            match layer with
            | :? KWinners as winners -> Some(winners.Entropy() / winners.MaxEntropy())
            | _ -> None)

    /// <summary>How many bytes a checkpoint of a network holds: every parameter, and the patterns of sparse layers.</summary>
    let bytes (network: Sequential) : int64 =
        network.state_dict().Values
        |> Seq.sumBy (fun tensor -> tensor.numel () * tensor.element_size ())
