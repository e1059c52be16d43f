namespace SparseFs.Torch

open System
open System.Collections.Generic
open SparseFs
open SparseFs.Kernels
open TorchSharp
open TorchSharp.Modules

/// <summary>A recurrent module of torch's as sparse ones are made of it.</summary>
[<NoComparison; NoEquality>]
type internal DenseRecurrent =
    {
        Module: torch.nn.Module
        /// What a sparse one is called.
        Kind: string
        Gates: int
        /// Outputs and last states, the hidden state first, of sequences and zeros before them.
        Run: torch.Tensor -> torch.Tensor list
    }

/// <summary>Between torch's recurrent modules and sparse ones.</summary>
/// <remarks>TorchSharp's modules say nothing of themselves: sizes, layers, directions and biases are read from the parameters' names and shapes,
/// and the rest is found by calls with a small input.</remarks>
[<RequireQualifiedAccess>]
module internal RecurrentConversion =

    let private refuse (message: string) =
        raise (ArgumentException(message, "dense"))

    let ofLstm (dense: LSTM) : DenseRecurrent =
        ArgumentNullException.ThrowIfNull(dense, nameof dense)

        { Module = dense
          Kind = "SparseLSTM"
          Gates = 4
          Run =
            fun x ->
                let struct (y, h, c) = dense.call x
                [ y; h; c ] }

    let ofGru (dense: GRU) : DenseRecurrent =
        ArgumentNullException.ThrowIfNull(dense, nameof dense)

        { Module = dense
          Kind = "SparseGRU"
          Gates = 3
          Run =
            fun x ->
                let struct (y, h) = dense.call x
                [ y; h ] }

    let ofRnn (dense: RNN) : DenseRecurrent =
        ArgumentNullException.ThrowIfNull(dense, nameof dense)

        { Module = dense
          Kind = "SparseRNN"
          Gates = 1
          Run =
            fun x ->
                let struct (y, h) = dense.call x
                [ y; h ] }

    /// Steps and samples of the small input, which are told apart by them.
    let private steps, private samples = 3L, 2L

    let private probe (inputs: int) (like: torch.Tensor) : torch.Tensor =
        DenseMatrices.probe [| steps; samples; int64 inputs |] like

    /// Whether the module takes the batch first.
    let private isBatchFirst (dense: DenseRecurrent) (inputs: int) (like: torch.Tensor) : bool =
        let results = dense.Run(probe inputs like)
        results[1].shape[1] = steps

    let private settingsOf (dense: DenseRecurrent) (dropout: float option) (parameters: Dictionary<string, Parameter>) =
        let first =
            match parameters.TryGetValue "weight_ih_l0" with
            | true, p -> p
            | _ -> refuse $"expected parameters of {dense.Kind}'s dense twin, got none named weight_ih_l0"

        let layers =
            Seq.initInfinite (fun layer -> parameters.ContainsKey $"weight_ih_l{layer}")
            |> Seq.takeWhile id
            |> Seq.length

        let inputs, hidden = int first.shape[1], int first.shape[0] / dense.Gates

        let cell =
            match dense.Gates with
            | 4 -> Cell.Lstm
            | 3 -> Cell.Gru
            | _ -> Cell.Tanh

        RecurrentSettings.make
            dense.Kind
            cell
            inputs
            hidden
            (Some layers)
            (Some(parameters.ContainsKey "bias_ih_l0"))
            (Some(isBatchFirst dense inputs first))
            dropout
            (Some(parameters.ContainsKey "weight_ih_l0_reverse"))
            None

    /// The matrices of a module, each with the pattern that a rule gives it by its name and weight.
    let private matrices
        (s: RecurrentSettings)
        (parameters: Dictionary<string, Parameter>)
        (patternOf: string -> torch.Tensor -> Connectivity)
        : RecurrentMatrices list =
        RecurrentMatrices.suffixes s
        |> List.map (fun struct (layer, suffix) ->
            let make (name: string) (_: int) (_: int) (hasBias: bool) =
                let weight = parameters[$"weight_{name}{suffix}"]

                let bias: Parameter | null =
                    if hasBias then parameters[$"bias_{name}{suffix}"] else null

                let c: Connectivity = patternOf name weight
                DenseMatrices.ofWeight (RecurrentMatrices.channels c.Cols s.HiddenSize) c weight bias

            RecurrentMatrices.ofMaker s make (struct (layer, suffix)))

    /// <summary>What a sparse module is, and its matrices, which keep the largest magnitudes of each of the dense ones'.</summary>
    /// <param name="dense">The dense module.</param>
    /// <param name="cells">What its units may do; the first that agrees with it.</param>
    /// <param name="sparsity">Of the matrices that take inputs.</param>
    /// <param name="stateSparsity">Of those that take the hidden state.</param>
    /// <param name="dropout">Between layers, which the dense module does not tell.</param>
    let ofDense
        (dense: DenseRecurrent)
        (cells: Cell list)
        (sparsity: float)
        (stateSparsity: float)
        (dropout: float option)
        : struct (RecurrentSettings * RecurrentMatrices list) =
        use _ = torch.NewDisposeScope() // the parameters of what is made are in none
        use _ = torch.no_grad ()
        Sparsity.check (nameof sparsity) sparsity
        Sparsity.check "recurrentSparsity" stateSparsity
        let parameters = DenseMatrices.parameters dense.Module
        let wasTraining = dense.Module.training
        dense.Module.eval ()

        try
            let s = settingsOf dense dropout parameters

            let agrees (cell: Cell) =
                // Of all weights, so that nothing else can differ.
                let whole = matrices s parameters (fun _ weight -> DenseMatrices.all weight)

                try
                    let x = probe s.InputSize parameters["weight_ih_l0"]

                    let inputs = RecurrentInputs.make { s with Cell = cell } dense.Module x null

                    let found =
                        RecurrentLayers.run { s with Cell = cell } false whole inputs { Hidden = null; Cells = null }

                    let wanted = dense.Run x

                    DenseMatrices.close found.Outputs wanted[0]
                    && (match found.Last.Hidden with
                        | null -> false
                        | h -> DenseMatrices.close h wanted[1])
                finally
                    for m in whole do
                        for struct (_, layer) in m.Named do
                            layer.Dispose()

            match List.tryFind agrees cells with
            | None ->
                refuse
                    $"expected a module that computes as its type says, got another result for a small input than {dense.Kind} gives with the same weights"
            | Some cell ->
                let s = { s with Cell = cell }

                struct (s,
                        matrices s parameters (fun name weight ->
                            DenseMatrices.largest (if name = "hh" then stateSparsity else sparsity) weight))
        finally
            dense.Module.train wasTraining

    /// <summary>Gives a dense module the numbers of a sparse one, and zeros where no weight exists.</summary>
    let intoDense (dense: torch.nn.Module) (matrices: RecurrentMatrices list) (isTraining: bool) : unit =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let parameters = DenseMatrices.parameters dense

        for m in matrices do
            for struct (name, layer) in m.Named do
                let bias: Parameter | null =
                    match layer.bias with
                    | null -> null
                    | _ -> parameters[$"bias_{name}"]

                DenseMatrices.into parameters[$"weight_{name}"] bias layer

        dense.train isTraining
