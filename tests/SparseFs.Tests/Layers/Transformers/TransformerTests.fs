module SparseFs.Tests.TransformerTests

open System
open Expecto
open FsCheck.FSharp
open SparseFs
open SparseFs.Torch
open SparseFs.Tests.CheckpointFiles
open SparseFs.Tests.RecurrentTwins
open TorchSharp

let private wide, private narrow =
    torch.ScalarType.Float64, torch.ScalarType.Float32

let private precisions = [ narrow, Oracle.float32Roundoff; wide, 2.0 ** -53.0 ]

let private law name count (body: Random -> unit) =
    testPropertyWithConfig
        { FsCheckConfig.defaultConfig with
            maxTest = count }
        name
        (Prop.forAll (Arb.fromGen (Gen.choose (0, 1_000_000))) (fun seed ->
            use _ = torch.NewDisposeScope()
            body (Random seed)))

/// Parameters of another module of the same sizes and patterns.
let private takeNumbers (from: torch.nn.Module) (into: torch.nn.Module) =
    use _ = torch.no_grad ()
    let numbers = from.state_dict ()

    for struct (name, p) in into.named_parameters () do
        p.copy_ numbers[name] |> ignore

/// Results by name, with the gradients of a weighted sum of them for inputs and parameters.
let private derivativesOf
    (m: torch.nn.Module)
    (inputs: torch.Tensor list)
    (call: torch.Tensor list -> torch.Tensor list)
    : (string * float[]) list =
    let leaves = inputs |> List.map (fun t -> t.detach().clone().requires_grad_ true)
    let results = call leaves
    SparseOps.backward (weighted results)

    [ for i, y in List.indexed results do
          $"result {i}", floats y
      for i, x in List.indexed leaves do
          $"dx {i}", floats x.PresentGrad
      for struct (name, p) in m.named_parameters () do
          match p.grad with
          | null -> ()
          | g -> $"d {name}", floats g ]

/// What torch's own operations make of sparse layers that multiply by way of dense copies: the same function in another way.
let private byTorch (m: torch.nn.Module) =
    for struct (_, child) in m.named_modules () do
        match child with
        | :? SparseLinear as layer -> layer.Arithmetic <- Arithmetic.Dense
        | _ -> ()

    m

/// A module is, in both precisions, what torch's operations make of it in float64.
let private holds
    (case: string)
    (make: torch.ScalarType -> 'm)
    (inputs: torch.ScalarType -> torch.Tensor list)
    (call: 'm -> torch.Tensor list -> torch.Tensor list)
    =
    let first = make wide :> torch.nn.Module

    let found (dtype: torch.ScalarType) (isTorchs: bool) =
        let m = make dtype
        takeNumbers first m

        if isTorchs then
            byTorch m |> ignore

        derivativesOf m (inputs dtype) (call m)

    let exact, rough = found wide true, found narrow true

    for dtype, roundoff in precisions do
        found dtype false |> expectNear $"{dtype} of {case}" roundoff exact rough

let private activations =
    [| FeedForwardActivation.GELU
       FeedForwardActivation.GELUTanh
       FeedForwardActivation.ReLU
       FeedForwardActivation.SiLU
       FeedForwardActivation.SwiGLU |]

/// A language model as users write it.
type Gpt(blocks: SparseTransformerBlock list) as this =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("Gpt")
    let tokens = torch.nn.Embedding(11L, 8L)
    let blocks = torch.nn.ModuleList<SparseTransformerBlock>(Array.ofList blocks)
    let norm = torch.nn.LayerNorm 8L

    let head =
        new SparseLinear(8, 11, sparsity = 0.5, hasBias = false, seed = Seed.ofInt 4)

    do this.RegisterComponents()

    override _.forward x =
        let mutable h = tokens.call x

        for block in blocks do
            h <- block.call h

        head.call (norm.call h)

    member _.Next(x: torch.Tensor, caches: KeyValueCache[]) =
        let mutable h = tokens.call x

        for block, cache in Seq.zip blocks caches do
            h <- block.call (h, cache)

        head.call (norm.call h)

/// A layer that is replaced beside modules that are not.
type Mixed() as this =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("Mixed")
    let recurrent = torch.nn.LSTM(3L, 4L)
    let attention = torch.nn.MultiheadAttention(4L, 2L)
    let encoder = torch.nn.TransformerEncoderLayer(4L, 2L, 8L)

    let head: torch.nn.Module<torch.Tensor, torch.Tensor> = torch.nn.Linear(4L, 2L)

    do this.RegisterComponents()

    override _.forward x =
        let struct (h, _, _) = recurrent.call x
        let y, _ = attention.call (h, h, h)
        head.call (encoder.call (y, null, null))

let private gpt (seed: int) =
    new Gpt([ for i in 0..1 -> new SparseTransformerBlock(8, 2, sparsity = 0.6, seed = Seed.ofInt (seed + i)) ])

let private words (step: int) =
    let random = Random step
    torch.tensor(Array.init (3 * 9) (fun _ -> int64 (random.Next 11))).view(3L, 9L)

let private train (model: Gpt) (optimizer: torch.optim.Optimizer) (rewirer: Rewirer) (step: int) =
    use _ = torch.NewDisposeScope()
    optimizer.zero_grad ()
    let x = words step
    let y = model.call x
    SparseOps.backward (torch.nn.functional.cross_entropy (y.view (-1L, 11L), x.view -1L))
    rewirer.Step() |> ignore

[<Tests>]
let tests =
    testList
        "Transformers"
        [ law "a feed-forward part is its operations, values and gradients" 40 (fun random ->
              let features, hidden = random.Next(3, 20), random.Next(3, 40)
              let activation = activations[random.Next activations.Length]
              let n = [| 1; 5; 17; 70; 131 |][random.Next 5]
              let hasBias = random.Next 2 = 0

              holds
                  $"{features} {hidden} {activation} N={n}"
                  (fun dtype ->
                      new SparseFeedForward(
                          features,
                          hidden,
                          activation,
                          hasBias = hasBias,
                          sparsity = 0.5,
                          seed = Seed.ofInt 3,
                          dtype = dtype
                      ))
                  (fun dtype -> [ numbers 1L [| int64 n; int64 features |] dtype ])
                  (fun m x -> [ m.call x.Head ]))

          law "a block is its operations, values and gradients" 20 (fun random ->
              let heads = random.Next(1, 4)
              let features = heads * random.Next(1, 6) * 2
              let activation = activations[random.Next activations.Length]
              let batch, tokens = random.Next(1, 4), [| 1; 2; 7; 40 |][random.Next 4]

              holds
                  $"{features} {heads} {activation}, {batch} of {tokens}"
                  (fun dtype ->
                      new SparseTransformerBlock(
                          features,
                          heads,
                          activation = activation,
                          sparsity = 0.4,
                          seed = Seed.ofInt 3,
                          dtype = dtype
                      ))
                  (fun dtype -> [ numbers 1L [| int64 batch; int64 tokens; int64 features |] dtype ])
                  (fun m x -> [ m.call x.Head ]))

          law "attention is torch's with zeros" 40 (fun random ->
              let heads = random.Next(1, 4)
              let features = heads * random.Next(1, 5)
              let batch, queries, keys = random.Next(1, 4), random.Next(1, 6), random.Next(2, 6)
              let isCross = random.Next 2 = 0

              let kdim, vdim =
                  (if isCross then features + 1 else features), (if isCross then features + 1 else features)

              let hasBias = random.Next 2 = 0

              let make (dtype: torch.ScalarType) =
                  new SparseMultiheadAttention(
                      features,
                      heads,
                      hasBias = hasBias,
                      kdim = kdim,
                      vdim = vdim,
                      sparsity = (if features > 2 then 0.4 else 0.0),
                      seed = Seed.ofInt 3,
                      dtype = dtype
                  )

              let m = make wide

              let dense =
                  torch.nn.MultiheadAttention(
                      int64 features,
                      int64 heads,
                      bias = hasBias,
                      kdim = Nullable(int64 kdim),
                      vdim = Nullable(int64 vdim)
                  )

              let dense = dense.``to`` wide

              let layers =
                  dict
                      [ for struct (name, child) in m.named_modules () do
                            match child with
                            | :? SparseLinear as layer -> name, layer
                            | _ -> () ]

              let matrix (name: string) =
                  if name = "out_proj.weight" then
                      layers["out_proj"].weightMatrix()
                  else
                      layers[name.Substring(0, name.Length - "_weight".Length)].weightMatrix()

              (use _ = torch.no_grad ()
               let own = m.state_dict ()

               // Biases that are not 0.
               for struct (name, p) in m.named_parameters () do
                   if name.EndsWith "bias" then
                       p.copy_ (numbers 9L p.shape wide) |> ignore

               for struct (name, p) in dense.named_parameters () do
                   if name.EndsWith "weight" then
                       p.copy_ (matrix name) |> ignore
                   else
                       p.copy_ own[name] |> ignore)

              let query = numbers 1L [| int64 queries; int64 batch; int64 features |] wide
              let key = numbers 2L [| int64 keys; int64 batch; int64 kdim |] wide
              let value = numbers 3L [| int64 keys; int64 batch; int64 vdim |] wide

              let padding: torch.Tensor | null =
                  if random.Next 2 = 0 then
                      null
                  else
                      let mask =
                          torch.zeros ([| int64 batch; int64 keys |], dtype = torch.ScalarType.Bool)

                      // The first key is always seen.
                      for sample in 0 .. batch - 1 do
                          for key in 1 .. keys - 1 do
                              if random.Next 3 = 0 then
                                  mask[int64 sample, int64 key] <- torch.tensor true

                      mask

              let mask: torch.Tensor | null =
                  if random.Next 2 = 0 then
                      null
                  else
                      numbers 4L [| int64 queries; int64 keys |] wide

              /// The same for each sample and head, as libtorch's module in C++ does not take it.
              let forEach: torch.Tensor | null =
                  match mask with
                  | null -> null
                  | mask -> mask.expand (int64 (batch * heads), -1L, -1L)

              let struct (y, weights) = m.Attend(query, key, value, padding, true, mask)

              let struct (alone, none) = m.Attend(query, key, value, padding, false, forEach)
              Expect.isNull (box none) "no weights where none are wanted"

              let wanted =
                  dense.call (query, key, value, Unchecked.nonNull padding, true, Unchecked.nonNull mask)

              let struct (yd, wd) = wanted.ToValueTuple()
              let case = $"{features} {heads}, {batch} of {queries} and {keys}, cross {isCross}"

              // Sums of a dozen products of numbers below 2, twice.
              let near what (a: torch.Tensor) (b: torch.Tensor) =
                  Expect.equal a.shape b.shape $"{what}: shape, {case}"
                  Expect.isLessThan (a.sub(b).abs().max().item<float>()) 1e-12 $"{what}, {case}"

              near "outputs" y yd
              near "outputs without weights" alone yd
              near "weights" (present "weights" weights) wd

              // The same in float32.
              holds
                  case
                  (fun dtype ->
                      let m = make dtype
                      m)
                  (fun dtype -> [ query.to_type dtype; key.to_type dtype; value.to_type dtype ])
                  (fun m x ->
                      let struct (y, _) = m.Attend(x[0], x[1], x[2])
                      [ y ]))

          test "an encoder layer and an attention are torch's, from dense modules and back" {
              use _ = torch.NewDisposeScope()

              // Sums of a few dozen products of numbers of about 1, in float32, through a few steps.
              let near (what: string) (a: torch.Tensor) (b: torch.Tensor) =
                  Expect.isLessThan (a.sub(b).abs().max().item<float32>()) 1e-5f what

              let x = numbers 1L [| 5L; 3L; 8L |] narrow

              for activation, ours in
                  [ torch.nn.Activations.ReLU, FeedForwardActivation.ReLU
                    torch.nn.Activations.GELU, FeedForwardActivation.GELU ] do
                  let dense = torch.nn.TransformerEncoderLayer(8L, 2L, 12L, 0.1, activation)
                  let sparse = SparseTransformerEncoderLayer.ofDense (dense, 2, 0.0, 0.1)
                  Expect.isTrue sparse.training "the flag"
                  let back = sparse.toDense ()
                  let pruned = SparseTransformerEncoderLayer.ofDense (dense, 2, 0.5, 0.1)

                  for m in [ dense :> torch.nn.Module; sparse; back; pruned ] do
                      m.eval ()

                  near $"{ours}" (dense.call x) (sparse.call x)
                  near $"{ours} back" (dense.call x) (back.call x)
                  near $"{ours} pruned and back" (pruned.call x) ((pruned.toDense ()).call x)
                  Expect.equal pruned.linear1.Connectivity.Nnz 48 "half of the weights"

                  let padding = torch.zeros ([| 3L; 5L |], dtype = torch.ScalarType.Bool)
                  padding[1L, 4L] <- torch.tensor true
                  let mask = numbers 2L [| 5L; 5L |] narrow
                  near $"{ours} with masks" (dense.call (x, mask, padding)) (sparse.Encode(x, mask, padding))

              for kdim in [ 8L; 6L ] do
                  let dense =
                      torch.nn.MultiheadAttention(8L, 4L, kdim = Nullable kdim, vdim = Nullable kdim)

                  let sparse = SparseMultiheadAttention.ofDense (dense, 4, 0.0, 0.0)
                  let key = numbers 2L [| 4L; 3L; kdim |] narrow
                  let wanted, _ = dense.call (x, key, key)
                  let struct (y, _) = sparse.Attend(x, key, key)
                  near $"attention, keys of {kdim}" wanted y
                  let again, _ = (sparse.toDense ()).call(x, key, key)
                  near $"and back, keys of {kdim}" wanted again

                  let e =
                      Expect.throwsC (fun () -> SparseMultiheadAttention.ofDense (dense, 2, 0.0, 0.0) |> ignore) id

                  Expect.stringContains e.Message "an attention of 2 heads" "other heads"
          }

          test "an encoder layer's gradients are its operations', in both orders of normalization" {
              use _ = torch.NewDisposeScope()

              for isNormFirst in [ false; true ] do
                  holds
                      $"norm first {isNormFirst}"
                      (fun dtype ->
                          new SparseTransformerEncoderLayer(
                              8,
                              2,
                              dimFeedforward = 20,
                              dropout = 0.0,
                              normFirst = isNormFirst,
                              batchFirst = true,
                              sparsity = 0.5,
                              seed = Seed.ofInt 2,
                              dtype = dtype
                          ))
                      (fun dtype -> [ numbers 1L [| 3L; 7L; 8L |] dtype ])
                      (fun m x -> [ m.call x.Head ])
          }

          test "a causal call sees no later token, with or without other masks" {
              use _ = torch.NewDisposeScope()

              use m =
                  new SparseMultiheadAttention(8, 2, batchFirst = true, sparsity = 0.5, dtype = wide)

              let x = numbers 1L [| 2L; 5L; 8L |] wide
              let later = x.clone ()
              later[torch.TensorIndex.Colon, torch.TensorIndex.Slice(Nullable 3L, Nullable())] <- torch.tensor 7.0
              let padding = torch.zeros ([| 2L; 5L |], dtype = torch.ScalarType.Bool)
              padding[1L, 1L] <- torch.tensor true
              let bias = numbers 2L [| 5L; 5L |] wide

              for what, call in
                  [ "alone", (fun (x: torch.Tensor) -> m.Attend(x, x, x, isCausal = true))
                    "padded", (fun x -> m.Attend(x, x, x, padding, isCausal = true))
                    "biased", (fun x -> m.Attend(x, x, x, attnMask = bias, isCausal = true))
                    "weights", (fun x -> m.Attend(x, x, x, padding, true, bias, true)) ] do
                  let struct (a, _), struct (b, _) = call x, call later
                  let until (t: torch.Tensor) = t.narrow (1L, 0L, 3L)
                  // Sums of another order at most.
                  Expect.isLessThan ((until a).sub(until b).abs().max().item<float>()) 1e-14 what
                  Expect.isGreaterThan (a.sub(b).abs().max().item<float>()) 1e-3 $"{what}: later tokens differ"
          }

          test "a block has second derivatives" {
              use _ = torch.NewDisposeScope()

              let make dtype =
                  new SparseTransformerBlock(6, 2, sparsity = 0.4, seed = Seed.ofInt 3, dtype = dtype)

              let first = make wide

              let found (dtype: torch.ScalarType) (isTorchs: bool) =
                  let m = make dtype
                  takeNumbers first m

                  if isTorchs then
                      byTorch m |> ignore

                  let x = (numbers 1L [| 2L; 5L; 6L |] dtype).requires_grad_ true

                  let asked =
                      [ "x", x
                        for struct (name, p) in m.named_parameters () do
                            name, p :> torch.Tensor ]

                  // Those of attention have a test of their own.
                  let loss = weighted [ m.ff.call x ]

                  let ofFf =
                      asked |> List.filter (fun (name, _) -> name = "x" || name.StartsWith "ff.")

                  let leaves = ofFf |> List.map snd |> Array.ofList

                  let g =
                      torch.autograd.grad ([| loss |], leaves, retain_graph = true, create_graph = true)

                  let again =
                      g |> Seq.map (fun g -> g.mul(g).sum()) |> Seq.reduce (fun a b -> a.add b)

                  let gg = torch.autograd.grad ([| again |], leaves, allow_unused = true)

                  [ for (name, _), g, gg in Seq.zip3 ofFf g gg do
                        $"d {name}", floats g

                        if not gg.IsInvalid then
                            $"dd {name}", floats gg ]

              found narrow false
              |> expectNear "block" Oracle.float32Roundoff (found wide true) (found narrow true)
          }

          test "attention has second derivatives" {
              for isCausal in [ false; true ] do
                  for kdim in [ 6; 4 ] do
                      use _ = torch.NewDisposeScope()

                      let make dtype =
                          new SparseMultiheadAttention(
                              6,
                              2,
                              kdim = kdim,
                              vdim = kdim,
                              batchFirst = true,
                              sparsity = 0.3,
                              seed = Seed.ofInt 3,
                              dtype = dtype
                          )

                      let first = make wide

                      // torch's attention on the CPU has none: where weights are asked for, plain operations compute.
                      let found (dtype: torch.ScalarType) (needWeights: bool) =
                          let m = make dtype
                          takeNumbers first m
                          let x = (numbers 1L [| 2L; 5L; 6L |] dtype).requires_grad_ true
                          let other = (numbers 2L [| 2L; 7L; 4L |] dtype).requires_grad_ true
                          let keys = if kdim = 6 then x else other

                          let struct (y, _) =
                              m.Attend(x, keys, keys, isCausal = isCausal, needWeights = needWeights)

                          let asked =
                              [ "x", x
                                if kdim <> 6 then
                                    "keys", keys
                                for struct (name, p) in m.named_parameters () do
                                    name, p :> torch.Tensor ]

                          let leaves = asked |> List.map snd |> Array.ofList

                          let g =
                              torch.autograd.grad (
                                  [| weighted [ y ] |],
                                  leaves,
                                  retain_graph = true,
                                  create_graph = true
                              )

                          let again =
                              g |> Seq.map (fun g -> g.mul(g).sum()) |> Seq.reduce (fun a b -> a.add b)

                          let gg = torch.autograd.grad ([| again |], leaves, allow_unused = true)

                          [ for (name, _), g, gg in Seq.zip3 asked g gg do
                                $"d {name}", floats g

                                if not gg.IsInvalid then
                                    $"dd {name}", floats gg ]

                      found narrow false
                      |> expectNear
                          $"causal {isCausal}, kdim {kdim}"
                          Oracle.float32Roundoff
                          (found wide true)
                          (found narrow true)
          }

          test "a cache gives what the whole sequence gives" {
              use _ = torch.NewDisposeScope()
              use _ = torch.no_grad ()
              use model = gpt 1
              model.eval ()
              let x = words 1
              let whole = model.call x
              use first = new KeyValueCache(9)
              use second = new KeyValueCache(9)
              let caches = [| first; second |]

              for round in 1..2 do
                  let parts =
                      [ model.Next(x.narrow (1L, 0L, 4L), caches)
                        for at in 4L .. 6L do
                            model.Next(x.narrow (1L, at, 1L), caches)
                        model.Next(x.narrow (1L, 7L, 2L), caches) ]

                  let away = torch.cat(Array.ofList parts, 1L).sub(whole).abs().max().item<float32>()
                  // Sums of a few dozen numbers of about 1 in another order, through two blocks.
                  Expect.isLessThan away 1e-5f $"round {round}"
                  Expect.equal first.Length 9 "tokens"

                  let e =
                      Expect.throwsC (fun () -> model.Next(x.narrow (1L, 0L, 1L), caches) |> ignore) id

                  Expect.stringContains e.Message "at most the 9 tokens" "a full cache"

                  for cache in caches do
                      cache.Reset()
          }

          test "dropout is dropped in training alone" {
              use _ = torch.NewDisposeScope()
              use block = new SparseTransformerBlock(8, 2, dropout = 1.0, sparsity = 0.5)
              let x = numbers 1L [| 2L; 3L; 8L |] narrow
              Expect.isTrue (block.call(x).equal(x).all().item<bool>()) "nothing but the residual"
              block.eval ()
              Expect.isFalse (block.call(x).equal(x).all().item<bool>()) "all of it"
          }

          test "K-winners stand between the layers where they are asked for" {
              use _ = torch.NewDisposeScope()

              use ff =
                  new SparseFeedForward(6, 20, winners = KWinnersOptions.ofK 3, sparsity = 0.5, seed = Seed.ofInt 1)

              ff.eval () // in training they count wins
              let x = numbers 1L [| 5L; 6L |] narrow
              let hidden = (present "winners" ff.winners).call(ff.linear1.call x)
              let wanted = ff.linear2.call hidden
              Expect.isTrue (ff.call(x).equal(wanted).all().item<bool>()) "outputs"
              Expect.isTrue (ff.state_dict().ContainsKey "winners.duty_cycle") "their state"

              use block =
                  new SparseTransformerBlock(6, 2, hidden = 20, winners = KWinnersOptions.ofK 3, sparsity = 0.5)

              let y = block.call (numbers 2L [| 2L; 5L; 6L |] narrow)
              Expect.equal y.shape [| 2L; 5L; 6L |] "tokens of a block"
          }

          test "a summary counts the products inside a block, and inside a recurrent module" {
              use _ = torch.NewDisposeScope()
              use block = new SparseTransformerBlock(8, 2, sparsity = 0.5, seed = Seed.ofInt 1)
              let summary = Summary.ofShape [| 2L; 5L; 8L |] block

              let rowOf (summary: ModelSummary) (name: string) =
                  summary.Rows |> Seq.find (fun r -> r.Name = name)

              for name, layer in
                  [ "attn.in_proj", block.attn.in_proj
                    "attn.out_proj", block.attn.out_proj
                    "ff.linear1", block.ff.linear1
                    "ff.linear2", block.ff.linear2 ] do
                  let row = rowOf summary name
                  // Two for each weight and token.
                  Expect.equal row.Flops (Nullable(2L * 10L * int64 layer.Connectivity.Nnz)) name

                  Expect.equal
                      (List.ofSeq (present "a shape" row.OutputShape))
                      [ 2L; 5L; layer.out_features ]
                      $"{name}: shape"

              use model =
                  new RecurrentStateTests.Tagger(
                      new SparseLSTM(6, 8, sparsity = 0.5),
                      new SparseLinear(8, 4, sparsity = 0.5)
                  )

              let summary = Summary.ofShape [| 7L; 3L; 6L |] model

              for name in [ "rnn.ih_l0"; "rnn.hh_l0" ] do
                  let row = rowOf summary name
                  Expect.equal row.Flops (Nullable(2L * 21L * row.Weights)) name
          }

          test "an output head that shares the embedding's weight steps once, and is saved and resumed as one" {
              use _ = torch.NewDisposeScope()

              let make () =
                  let embedding, head =
                      torch.nn.Embedding(11L, 8L), torch.nn.Linear(8L, 11L, hasBias = false)

                  head.weight <- Unchecked.nonNull embedding.weight

                  let block = new SparseTransformerBlock(8, 2, sparsity = 0.5, seed = Seed.ofInt 2)

                  let model =
                      torch.nn.Sequential([| embedding :> torch.nn.Module<torch.Tensor, torch.Tensor>; block; head |])

                  model, head, model.call

              let x = torch.randint (0L, 11L, [| 2L; 5L |])

              let gradient (model: Modules.Sequential) (call: torch.Tensor -> torch.Tensor) =
                  model.zero_grad ()
                  torch.nn.functional.cross_entropy((call x).view(-1L, 11L), x.view -1L).backward()

              let model, head, call = make ()
              use optimizer = SparseOptim.sgd (model.parameters (), lr = 0.5)
              gradient model call

              let wanted = head.weight.detach().sub(head.weight.PresentGrad.mul (0.5.ToScalar()))

              optimizer.step () |> ignore

              Expect.equal (floats (head.weight.sub(wanted).abs().max())) [| 0.0 |] "one step of the whole gradient"

              inFolder (fun folder ->
                  let path = System.IO.Path.Combine(folder, "tied.safetensors")
                  Checkpoint.save path model
                  let again, ofAgain, callAgain = make ()
                  Checkpoint.load path again |> ignore
                  Expect.equal (floats (callAgain x)) (floats (call x)) "outputs"
                  use stepped = SparseOptim.sgd (again.parameters (), lr = 0.5)
                  gradient again callAgain
                  gradient model call
                  stepped.step () |> ignore
                  optimizer.step () |> ignore
                  Expect.equal (floats ofAgain.weight) (floats head.weight) "still one parameter")
          }

          test "state_dict has PyTorch's names" {
              use m = new SparseMultiheadAttention(8, 2, sparsity = 0.5)

              Expect.equal
                  (m.state_dict().Keys |> Seq.sort |> List.ofSeq)
                  (List.sort
                      [ "in_proj_weight"
                        "in_proj_bias"
                        "in_proj_row_ptr"
                        "in_proj_col_idx"
                        "out_proj.weight"
                        "out_proj.bias"
                        "out_proj.row_ptr"
                        "out_proj.col_idx" ])
                  "packed"

              use cross = new SparseMultiheadAttention(8, 2, kdim = 5, sparsity = 0.5)
              let own = cross.state_dict ()

              for name in
                  [ "q_proj_weight"
                    "k_proj_weight"
                    "v_proj_weight"
                    "in_proj_bias"
                    "k_proj_row_ptr" ] do
                  Expect.isTrue (own.ContainsKey name) name

              let moved = cross.``to`` wide
              Expect.isTrue (moved.parameters () |> Seq.forall (fun p -> p.dtype = wide)) "all of it moves"

              let struct (y, _) =
                  moved.Attend(
                      torch.zeros (2L, 1L, 8L, dtype = wide),
                      torch.zeros (3L, 1L, 5L, dtype = wide),
                      torch.zeros (3L, 1L, 8L, dtype = wide)
                  )

              Expect.equal y.shape [| 2L; 1L; 8L |] "and computes"
          }

          test "a state of torch's own attention is loaded by magnitude" {
              use dense = torch.nn.MultiheadAttention(8L, 2L)
              use m = new SparseMultiheadAttention(8, 2, sparsity = 0.5)

              withFile (fun file ->
                  Safetensors.save file (Map.empty<string, string>) (dense.state_dict ())
                  Checkpoint.loadFrom (WeightForm.Magnitude 0.0) file m)

              let x = numbers 1L [| 4L; 3L; 8L |] narrow
              let struct (y, _) = m.Attend(x, x, x)
              let struct (wanted, _) = dense.call(x, x, x).ToValueTuple()
              Expect.isLessThan (y.sub(wanted).abs().max().item<float32>()) 1e-5f "outputs"
          }

          test "a model is rewired, and its run resumes to the bit" {
              let start () =
                  let model = gpt 1

                  let optimizer =
                      SparseOptim.adamW (model.parameters (), 1e-2) :> torch.optim.Optimizer

                  model,
                  optimizer,
                  new Rewirer(model, optimizer, Policy.rigL (Schedule.constant 0.3 4L 10_000L), Seed.ofInt 9)

              let patterns model =
                  [ for struct (name, layer) in SparseLayers.places model -> name, layer.Connectivity ]

              let model, optimizer, rewirer = start ()
              let first = patterns model

              for step in 1..10 do
                  train model optimizer rewirer step

              for (name, a), (_, b) in List.zip first (patterns model) do
                  Expect.equal b.Nnz a.Nnz $"nnz of {name}"
                  Expect.notEqual b a $"{name} was rewired"

              withFile (fun file ->
                  let progress =
                      { Step = 10L
                        Seed = Seed.ofInt 1
                        Notes = Map.empty<string, string> }

                  Checkpoint.saveTraining progress file model optimizer (ValueSome rewirer)
                  let resumedModel, resumedOptimizer, resumedRewirer = start ()

                  Checkpoint.resume file resumedModel resumedOptimizer (ValueSome resumedRewirer)
                  |> ignore

                  for step in 11..20 do
                      train model optimizer rewirer step
                      train resumedModel resumedOptimizer resumedRewirer step

                  Expect.equal (patterns resumedModel) (patterns model) "patterns"
                  let found = resumedModel.state_dict ()

                  for entry in model.state_dict () do
                      Expect.isTrue (entry.Value.equal(found[entry.Key]).all().item<bool>()) entry.Key)
          }

          test "growth sees the gradients of all cells inside a chain" {
              use _ = torch.NewDisposeScope()
              use ff = new SparseFeedForward(6, 10, sparsity = 0.6, seed = Seed.ofInt 1)
              use optimizer = torch.optim.SGD(ff.parameters (), 0.0)

              use rewirer =
                  new Rewirer(ff, optimizer, Policy.rigL (Schedule.constant 0.2 1L 100L))

              let w1, w2 =
                  ff.linear1.weightMatrix().requires_grad_ true, ff.linear2.weightMatrix().requires_grad_ true

              let before = [ ff.linear1.Connectivity; ff.linear2.Connectivity ]
              let x = numbers 1L [| 80L; 6L |] narrow
              SparseOps.backward (weighted [ ff.call x ])

              let hidden =
                  torch.nn.functional.gelu (
                      torch.nn.functional.linear (x, w1, (present "a bias" ff.linear1.bias).detach())
                  )

              (weighted [ torch.nn.functional.linear (hidden, w2, (present "a bias" ff.linear2.bias).detach()) ])
                  .backward()

              rewirer.Step() |> ignore

              for layer, before, w in List.zip3 [ ff.linear1; ff.linear2 ] before [ w1; w2 ] do
                  let gradient = w.PresentGrad.abs ()
                  let cells (c: Connectivity) = set (Oracle.slots c)
                  let grown = cells layer.Connectivity - cells before

                  let size (row: int, col: int) =
                      gradient[int64 row, int64 col].item<float32>()

                  let free =
                      [ for row in 0 .. before.Rows - 1 do
                            for col in 0 .. before.Cols - 1 do
                                if not (Set.contains (row, col) (cells before)) then
                                    size (row, col) ]

                  let least = free |> List.sortDescending |> List.item (grown.Count - 1)
                  Expect.isNonEmpty grown "something has grown"
                  // Two sums of the same products may differ in their last places.
                  Expect.isTrue (grown |> Set.forall (fun cell -> size cell >= least * 0.9999f)) "the largest"
          }

          test "Sparsify says of each matrix that it leaves why it does" {
              use _ = torch.NewDisposeScope()
              let report = Sparsify.model (Sparsify.each 0.5) (new Mixed())
              Expect.equal report.Replaced 1 "the head"

              let left =
                  [ for r in report.Rows do
                        if not r.IsReplaced then
                            r.Name, (r.Rows, r.Cols), r.Nnz ]

              for row in
                  [ "recurrent.weight_ih_l0", (16, 3), 48L
                    "recurrent.weight_hh_l0", (16, 4), 64L
                    "attention.in_proj_weight", (12, 4), 48L
                    "encoder.linear1.weight", (8, 4), 32L ] do
                  Expect.contains left row $"of {left}"

              for name, maker in
                  [ "recurrent", "SparseLSTM.ofDense"
                    "attention", "SparseMultiheadAttention.ofDense"
                    "encoder", "SparseTransformerEncoderLayer.ofDense" ] do
                  for r in report.Rows do
                      if r.Name.StartsWith(name + ".") then
                          Expect.stringContains r.WhyNot maker r.Name
          }

          test "what cannot be is refused" {
              use _ = torch.NewDisposeScope()

              let refuses (expected: string) (body: unit -> unit) =
                  let e = Expect.throwsC body id
                  Expect.isTrue (e :? ArgumentException) $"{e}"
                  Expect.stringContains e.Message expected "what is wrong"

              refuses "heads that divide the 8 features, got 3" (fun () -> new SparseMultiheadAttention(8, 3) |> ignore)
              refuses "1 or more" (fun () -> new SparseFeedForward(0) |> ignore)
              refuses "a part in [0, 1]" (fun () -> new SparseFeedForward(4, dropout = 1.5) |> ignore)
              refuses "FeedForwardActivation" (fun () -> new SparseFeedForward(4, activation = enum 9) |> ignore)
              use block = new SparseTransformerBlock(8, 2, sparsity = 0.5)
              refuses "8 features, got [2, 3, 7]" (fun () -> block.call (torch.zeros (2L, 3L, 7L)) |> ignore)
              refuses "Float64" (fun () -> block.call (torch.zeros (2L, 3L, 8L, dtype = wide)) |> ignore)
              use m = new SparseMultiheadAttention(8, 2, sparsity = 0.5)
              let x = torch.zeros (3L, 2L, 8L)

              refuses "[tokens, batch, features] with 8 features, got [3, 8]" (fun () ->
                  m.call (torch.zeros (3L, 8L)) |> ignore)

              refuses "keys of the 2 samples" (fun () -> m.Attend(x, torch.zeros (3L, 1L, 8L), x) |> ignore)
              refuses "as keys, got 2 and 4" (fun () -> m.Attend(x, x, torch.zeros (4L, 2L, 8L)) |> ignore)
              refuses "[batch, keys] = [2, 3], got [3, 2]" (fun () -> m.Attend(x, x, x, torch.zeros (3L, 2L)) |> ignore)

              refuses "[queries, keys] = [3, 3]" (fun () ->
                  m.Attend(x, x, x, attnMask = torch.zeros (3L, 2L)) |> ignore)

              use ff = new SparseFeedForward(4, 8, sparsity = 0.5)
              refuses "in_features" (fun () -> ff.call (torch.zeros (2L, 5L)) |> ignore)
          } ]

[<Tests>]
let leaks =
    testSequenced (
        testList
            "Transformer tensors"
            [ test "training leaves none behind" {
                  use model = gpt 1
                  use optimizer = SparseOptim.adamW (model.parameters (), 1e-3)

                  use rewirer =
                      new Rewirer(model, optimizer, Policy.rigL (Schedule.constant 0.3 7L 10_000L), Seed.ofInt 1)

                  let count () =
                      Replaced.releaseAll ()
                      GC.Collect()
                      GC.WaitForPendingFinalizers()
                      torch.Tensor.TotalCount

                  for step in 1..22 do
                      train model optimizer rewirer step

                  let before = count ()

                  // As far from the last update as before: what is noted for the next one is the same.
                  for step in 1..210 do
                      train model optimizer rewirer step

                  Expect.isLessThanOrEqual (count ()) before "Tensor.TotalCount"
              } ]
    )
