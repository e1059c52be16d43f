namespace SparseFs.Torch

open SparseFs
open SparseFs.Kernels
open TorchSharp

/// <summary>What draws the patterns and numbers of a recurrent module.</summary>
[<NoComparison; NoEquality>]
type internal RecurrentStart =
    {
        Settings: LayerSettings
        /// Of the matrices that take inputs, and of a projection.
        Sparsity: float
        Topology: int -> int -> int -> Seed -> Connectivity
        /// Of the matrices that take the hidden state.
        StateSparsity: float
        StateTopology: int -> int -> int -> Seed -> Connectivity
        Seed: Seed option
    }

    /// What is not said is as the other kind of matrix, or usual.
    static member Of
        (settings: LayerSettings, sparsity: float option, stateSparsity: float option, topology, stateTopology, seed)
        : RecurrentStart =
        let sparsity = defaultArg sparsity 0.9
        let topology = defaultArg topology Topology.uniform

        { Settings = settings
          Sparsity = sparsity
          Topology = topology
          StateSparsity = defaultArg stateSparsity sparsity
          StateTopology = defaultArg stateTopology topology
          Seed = seed }

/// <summary>The matrices of one layer and direction of a recurrent module.</summary>
/// <remarks>The biases are those of ih and hh. Projection is an LSTM's with a proj_size, or null.</remarks>
[<NoComparison; NoEquality>]
type internal RecurrentMatrices =
    { Suffix: string
      OfInputs: SparseLinear
      OfState: SparseLinear
      Projection: SparseLinear | null }

    /// By their names in the module.
    member m.Named: struct (string * SparseLinear) list =
        [ struct ($"ih{m.Suffix}", m.OfInputs)
          struct ($"hh{m.Suffix}", m.OfState)
          match m.Projection with
          | null -> ()
          | projection -> struct ($"hr{m.Suffix}", projection) ]

[<RequireQualifiedAccess>]
module internal RecurrentMatrices =

    /// torch draws all of a recurrent module's numbers within 1 / √hidden_size, also those that meet another number of inputs.
    let channels (inputs: int) (hidden: int) : LayerChannels =
        { LayerChannels.Linear with
            Gain = sqrt (float inputs / float hidden) }

    /// Layer after layer, in each its directions.
    let suffixes (s: RecurrentSettings) : struct (int * string) list =
        [ for layer in 0 .. s.Layers - 1 do
              struct (layer, $"_l{layer}")

              if s.IsBidirectional then
                  struct (layer, $"_l{layer}_reverse") ]

    /// A matrix, whose tensors the module's state has as weight_ih_l0 and the like.
    let private named (name: string) (suffix: string) (layer: SparseLinear) : SparseLinear =
        layer.StateName <- StateName.InHolder("", $"_{name}{suffix}")
        layer

    /// Those of a layer and direction, whose matrices are made by their inputs, their outputs and whether they have biases.
    let ofMaker
        (s: RecurrentSettings)
        (make: string -> int -> int -> bool -> SparseLinear)
        (struct (layer, suffix): struct (int * string))
        : RecurrentMatrices =
        let rows = Cell.gates s.Cell * s.HiddenSize

        { Suffix = suffix
          OfInputs = make "ih" (s.InputSizeOf layer) rows s.HasBias |> named "ih" suffix
          OfState = make "hh" s.OutputSize rows s.HasBias |> named "hh" suffix
          Projection =
            if s.ProjSize = 0 then
                null
            else
                make "hr" s.HiddenSize s.ProjSize false |> named "hr" suffix }

    /// Draws each matrix, in turn from the children of a seed.
    let private maker (s: RecurrentSettings) (start: RecurrentStart) =
        let matrices = ref 0

        fun (name: string) (inputs: int) (outputs: int) (hasBias: bool) ->
            let isOfState = name = "hh"
            let seed = start.Seed |> Option.map (Seed.child matrices.Value)
            matrices.Value <- matrices.Value + 1
            let channels = channels inputs s.HiddenSize

            let drawn =
                LayerStart.ofTopology
                    { start.Settings with
                        HasBias = hasBias }
                    channels
                    inputs
                    outputs
                    (if isOfState then start.StateSparsity else start.Sparsity)
                    (if isOfState then start.StateTopology else start.Topology)
                    seed

            new SparseLinear(channels, drawn)

    /// All of a module, drawn.
    let draw (s: RecurrentSettings) (start: RecurrentStart) : RecurrentMatrices list =
        suffixes s |> List.map (ofMaker s (maker s start))

    /// Those of a cell, drawn.
    let drawCell (s: RecurrentSettings) (start: RecurrentStart) : RecurrentMatrices =
        ofMaker s (maker s start) (struct (0, ""))
