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

    /// <summary>How many weights the linear layers of a network store; biases and LayerNorm are not counted.</summary>
    let weights (network: Sequential) : int64 =
        Seq.sum
            [ for layer in network.children () do
                  match layer with
                  | :? SparseLinear as layer -> layer.weight.numel ()
                  | :? Linear as layer -> layer.weight.numel ()
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
