/// Recurrent modules beside torch's own.
module SparseFs.Tests.RecurrentTwins

open System
open Expecto
open SparseFs
open TorchSharp

type Kind =
    | Lstm
    | Gru
    | Rnn

/// What a recurrent module is made with, and what it is called with.
type Sizes =
    { Kind: Kind
      Inputs: int
      Hidden: int
      Layers: int
      HasBias: bool
      IsBatchFirst: bool
      IsBidirectional: bool
      Sparsity: float
      Steps: int
      Batch: int }

    member s.Sequence =
        if s.IsBatchFirst then
            [| int64 s.Batch; int64 s.Steps; int64 s.Inputs |]
        else
            [| int64 s.Steps; int64 s.Batch; int64 s.Inputs |]

    member s.State =
        [| int64 (s.Layers * (if s.IsBidirectional then 2 else 1))
           int64 s.Batch
           int64 s.Hidden |]

    /// Of each sample, not in order; one has all steps.
    member s.Lengths: int64[] =
        let random = Random(s.Steps * 100 + s.Batch)

        Array.init s.Batch (fun sample ->
            if sample = s.Batch / 2 then
                int64 s.Steps
            else
                int64 (random.Next(1, s.Steps + 1)))

/// A module as functions: of sequences, hidden state and cells, and of lengths too. Results are outputs, hidden state, and of an LSTM cells.
type Twin =
    { Module: torch.nn.Module
      Call: torch.Tensor -> torch.Tensor -> torch.Tensor -> torch.Tensor list
      CallLengths: int64[] -> torch.Tensor -> torch.Tensor -> torch.Tensor -> torch.Tensor list }

let private packed (s: Sizes) (lengths: int64[]) (x: torch.Tensor) =
    torch.nn.utils.rnn.pack_padded_sequence (x, torch.tensor lengths, s.IsBatchFirst, false)

let private padded (s: Sizes) (y: torch.nn.utils.rnn.PackedSequence) : torch.Tensor =
    let struct (y, _) = torch.nn.utils.rnn.pad_packed_sequence (y, s.IsBatchFirst)
    y

let private three (struct (y: 'y, h: torch.Tensor, c: torch.Tensor)) = y, [ h; c ]
let private two (struct (y: 'y, h: torch.Tensor)) = y, [ h ]
let private together (y: torch.Tensor, states: torch.Tensor list) = y :: states

/// A sparse module.
let sparse (s: Sizes) (dtype: torch.ScalarType) : (string -> SparseLinear) * Twin =
    let seed = Seed.ofInt 5

    match s.Kind with
    | Lstm ->
        let m =
            new SparseLSTM(
                s.Inputs,
                s.Hidden,
                numLayers = s.Layers,
                hasBias = s.HasBias,
                batchFirst = s.IsBatchFirst,
                bidirectional = s.IsBidirectional,
                sparsity = s.Sparsity,
                seed = seed,
                dtype = dtype
            )

        m.Matrix,
        { Module = m
          Call = fun x h c -> m.call (x, struct (h, c)) |> three |> together
          CallLengths = fun lengths x h c -> m.call (x, lengths, struct (h, c)) |> three |> together }
    | Gru ->
        let m =
            new SparseGRU(
                s.Inputs,
                s.Hidden,
                numLayers = s.Layers,
                hasBias = s.HasBias,
                batchFirst = s.IsBatchFirst,
                bidirectional = s.IsBidirectional,
                sparsity = s.Sparsity,
                seed = seed,
                dtype = dtype
            )

        m.Matrix,
        { Module = m
          Call = fun x h _ -> m.call (x, h) |> two |> together
          CallLengths = fun lengths x h _ -> m.call (x, lengths, h) |> two |> together }
    | Rnn ->
        let m =
            new SparseRNN(
                s.Inputs,
                s.Hidden,
                numLayers = s.Layers,
                nonlinearity =
                    (if s.HasBias then
                         RecurrentNonlinearity.Tanh
                     else
                         RecurrentNonlinearity.ReLU),
                hasBias = s.HasBias,
                batchFirst = s.IsBatchFirst,
                bidirectional = s.IsBidirectional,
                sparsity = s.Sparsity,
                seed = seed,
                dtype = dtype
            )

        m.Matrix,
        { Module = m
          Call = fun x h _ -> m.call (x, h) |> two |> together
          CallLengths = fun lengths x h _ -> m.call (x, lengths, h) |> two |> together }

/// A sparse module by way of packed sequences.
let ofPacked (s: Sizes) (m: torch.nn.Module) (lengths: int64[]) (x: torch.Tensor) (h: torch.Tensor) (c: torch.Tensor) =
    let x = packed s lengths x

    let y, states =
        match m with
        | :? SparseLSTM as m -> m.call (x, struct (h, c)) |> three
        | :? SparseGRU as m -> m.call (x, h) |> two
        | m -> (m :?> SparseRNN).call(x, h) |> two

    padded s y :: states

/// torch's own, with the numbers of a sparse one, and zeros where that has no weights.
let dense (s: Sizes) (dtype: torch.ScalarType) (matrixOf: string -> SparseLinear) (like: Twin) : Twin =
    let inputs, hidden, layers = int64 s.Inputs, int64 s.Hidden, int64 s.Layers

    let twin =
        match s.Kind with
        | Lstm ->
            let m =
                torch.nn.LSTM(
                    inputs,
                    hidden,
                    layers,
                    s.HasBias,
                    s.IsBatchFirst,
                    bidirectional = s.IsBidirectional,
                    dtype = dtype
                )

            { Module = m
              Call = fun x h c -> m.call (x, struct (h, c)) |> three |> together
              CallLengths =
                fun lengths x h c ->
                    let y, states = m.call (packed s lengths x, struct (h, c)) |> three
                    padded s y :: states }
        | Gru ->
            let m =
                torch.nn.GRU(
                    inputs,
                    hidden,
                    layers,
                    s.HasBias,
                    s.IsBatchFirst,
                    bidirectional = s.IsBidirectional,
                    dtype = dtype
                )

            { Module = m
              Call = fun x h _ -> m.call (x, h) |> two |> together
              CallLengths =
                fun lengths x h _ ->
                    let y, states = m.call (packed s lengths x, h) |> two
                    padded s y :: states }
        | Rnn ->
            let m =
                torch.nn.RNN(
                    inputs,
                    hidden,
                    layers,
                    nonLinearity =
                        (if s.HasBias then
                             torch.nn.NonLinearities.Tanh
                         else
                             torch.nn.NonLinearities.ReLU),
                    bias = s.HasBias,
                    batchFirst = s.IsBatchFirst,
                    bidirectional = s.IsBidirectional,
                    dtype = dtype
                )

            { Module = m
              Call = fun x h _ -> m.call (x, h) |> two |> together
              CallLengths =
                fun lengths x h _ ->
                    let y, states = m.call (packed s lengths x, h) |> two
                    padded s y :: states }

    use _ = torch.no_grad ()
    let own = like.Module.state_dict ()

    for struct (name, p) in twin.Module.named_parameters () do
        if name.StartsWith "weight" then
            p.copy_ ((matrixOf (name.Substring "weight_".Length)).weightMatrix()) |> ignore
        else
            p.copy_ own[name] |> ignore

    twin

/// A sparse module of some dtype with the numbers of another one.
let alike (s: Sizes) (dtype: torch.ScalarType) (like: Twin) : (string -> SparseLinear) * Twin =
    let matrixOf, twin = sparse s dtype
    use _ = torch.no_grad ()
    let numbers = like.Module.state_dict ()

    for struct (name, p) in twin.Module.named_parameters () do
        p.copy_ numbers[name] |> ignore

    matrixOf, twin

/// Numbers in [−1, 1) that are the same for everyone.
let numbers (seed: int64) (shape: int64[]) (dtype: torch.ScalarType) : torch.Tensor =
    use generator = new torch.Generator()
    generator.manual_seed seed |> ignore

    (torch.rand (shape, dtype = torch.ScalarType.Float64, generator = generator))
        .mul(2.0.ToScalar())
        .sub(1.0.ToScalar())
        .to_type
        dtype

/// Leaves that a module is called with, by name: sequences, hidden state, and of an LSTM cells.
let arguments (s: Sizes) (dtype: torch.ScalarType) : torch.Tensor * torch.Tensor * torch.Tensor =
    let leaf seed shape =
        (numbers seed shape dtype).requires_grad_ true

    leaf 1L s.Sequence, leaf 2L s.State, leaf 3L s.State

/// A weighted sum of results.
let weighted (results: torch.Tensor list) : torch.Tensor =
    results
    |> List.mapi (fun i y -> (numbers (int64 (100 + i)) y.shape y.dtype).mul(y).sum())
    |> List.reduce (fun a b -> a.add b)

/// Results, and the gradients of a weighted sum of them for inputs, states and parameters, by name.
let derivatives
    (s: Sizes)
    (twin: Twin)
    (dtype: torch.ScalarType)
    (call: torch.Tensor -> torch.Tensor -> torch.Tensor -> torch.Tensor list)
    : (string * torch.Tensor) list =
    let x, h, c = arguments s dtype
    let results = call x h c
    SparseOps.backward (weighted results)

    [ for i, y in List.indexed results do
          $"result {i}", y
      "dx", x.PresentGrad
      "dh", h.PresentGrad
      if s.Kind = Lstm then
          "dc", c.PresentGrad
      for struct (name, p) in twin.Module.named_parameters () do
          $"d {name}", p.PresentGrad ]

let floats (t: torch.Tensor) : float[] =
    t.detach().to_type(torch.ScalarType.Float64).contiguous().data<float>().ToArray()

/// Gradients of sparse weights in their cells, and dense ones where there are slots.
let comparable (matrixOf: string -> SparseLinear) (found: (string * torch.Tensor) list) : (string * float[]) list =
    [ for name, t in found do
          let inCells =
              if name.StartsWith "d weight_" then
                  let pattern = (matrixOf (name.Substring "d weight_".Length)).Connectivity

                  if t.dim () = 2L then
                      t.mul (SparseOps.toDense pattern (torch.ones (int64 pattern.Nnz, dtype = t.dtype)))
                  else
                      SparseOps.toDense pattern t
              else
                  t

          name, floats inCells ]

/// Sums of another order may lead so many times as far away as one evaluation of that precision does.
let private slack = 16.0

/// Each result is as near to that of float64 as an evaluation of some roundoff is, up to the order of its sums: another one in float32 says how
/// far its roundoff leads, and other roundoffs lead as much farther as they are. A result of a few numbers may be near by luck: so each may
/// be as far away, in parts of its largest number, as the farthest; and its terms, which may cancel, are as large as the largest result.
let expectNear
    (case: string)
    (roundoff: float)
    (exact: (string * float[]) list)
    (inFloat32: (string * float[]) list)
    (got: (string * float[]) list)
    =
    let found, near = dict got, dict inFloat32

    let sizeOf (wanted: float[]) =
        wanted |> Array.fold (fun most x -> max most (abs x)) 0.0

    let awayOf (name: string) (wanted: float[]) =
        Array.map2 (fun (a: float) b -> abs (a - b)) wanted near[name]
        |> Array.fold max 0.0

    let farthest =
        exact
        |> List.map (fun (name, wanted) ->
            match sizeOf wanted with
            | 0.0 -> 0.0
            | size -> awayOf name wanted / size)
        |> List.fold max 0.0

    let largest = exact |> List.map (snd >> sizeOf) |> List.fold max 0.0

    for name, wanted in exact do
        let size = sizeOf wanted

        let ofFloat32 =
            max (awayOf name wanted) (farthest * size) + Oracle.float32Roundoff * largest

        let bound = slack * ofFloat32 * (roundoff / Oracle.float32Roundoff)
        Expect.equal found[name].Length wanted.Length $"{case}: length of {name}"

        for i in 0 .. wanted.Length - 1 do
            if not (abs (found[name][i] - wanted[i]) <= bound) then
                failtest $"{case}, {name}[{i}]: expected {wanted[i]} within {bound}, got {found[name][i]}"
