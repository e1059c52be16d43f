module SparseFs.Tests.RecurrentLayerTests

open System
open Expecto
open FsCheck.FSharp
open SparseFs
open SparseFs.Tests.RecurrentTwins
open TorchSharp

let private drawn (seed: int) : Sizes =
    let random = Random seed

    { Kind = [| Lstm; Gru; Rnn |][random.Next 3]
      Inputs = random.Next(2, 12)
      Hidden = random.Next(2, 14)
      Layers = random.Next(1, 3)
      HasBias = random.Next 2 = 0
      IsBatchFirst = random.Next 2 = 0
      IsBidirectional = random.Next 2 = 0
      Sparsity = [| 0.0; 0.5; 0.7 |][random.Next 3]
      Steps = random.Next(1, 6)
      Batch = [| 1; 2; 5; 9; 17 |][random.Next 5] }

let private law name count (body: Sizes -> unit) =
    testPropertyWithConfig
        { FsCheckConfig.defaultConfig with
            maxTest = count }
        name
        (Prop.forAll (Arb.fromGen (Gen.choose (0, 1_000_000))) (fun seed ->
            use _ = torch.NewDisposeScope()
            body (drawn seed)))

let private wide, private narrow =
    torch.ScalarType.Float64, torch.ScalarType.Float32

/// Both precisions, by the kernels and step by step.
let private precisions = [ narrow, Oracle.float32Roundoff; wide, 2.0 ** -53.0 ]

/// Values and gradients are those of torch's module, of a call of either.
let private isTorchs (s: Sizes) (callOf: Twin -> torch.Tensor -> torch.Tensor -> torch.Tensor -> torch.Tensor list) =
    let matrixOf, first = sparse s wide

    let ofTorch dtype =
        let twin = dense s dtype matrixOf first
        derivatives s twin dtype (callOf twin) |> comparable matrixOf

    let exact, rough = ofTorch wide, ofTorch narrow

    for dtype, roundoff in precisions do
        let matrixOf, twin = alike s dtype first

        derivatives s twin dtype (callOf twin)
        |> comparable matrixOf
        |> expectNear $"{dtype} of %A{s}" roundoff exact rough

/// The gradients of a weighted sum, and the gradients of their squares.
let private second (s: Sizes) (twin: Twin) (dtype: torch.ScalarType) : (string * float[]) list =
    let x, h, c = arguments s dtype

    let asked =
        [ "x", x
          "h", h
          if s.Kind = Lstm then
              "c", c
          for struct (name, p) in twin.Module.named_parameters () do
              name, p :> torch.Tensor ]

    let leaves = asked |> List.map snd |> Array.ofList

    let first =
        torch.autograd.grad ([| weighted (twin.Call x h c) |], leaves, retain_graph = true, create_graph = true)

    let again =
        first |> Seq.map (fun g -> g.mul(g).sum()) |> Seq.reduce (fun a b -> a.add b)

    let second = torch.autograd.grad ([| again |], leaves, allow_unused = true)

    [ for (name, _), g, gg in Seq.zip3 asked first second do
          $"d {name}", floats g

          if not gg.IsInvalid then
              $"dd {name}", floats gg ]

[<Tests>]
let tests =
    testList
        "Recurrent layers"
        [ law "are torch's with zeros, values and gradients" 60 (fun s -> isTorchs s _.Call)

          law "are torch's for sequences of different lengths" 60 (fun s ->
              isTorchs s (fun twin -> twin.CallLengths s.Lengths))

          law "read nothing behind the end of a sequence, and take packed ones" 40 (fun s ->
              let lengths = s.Lengths
              let _, first = sparse s wide

              for dtype, _ in precisions do
                  let _, twin = alike s dtype first
                  let x, h, c = arguments s dtype
                  let dirty = x.detach().clone()

                  for sample in 0 .. s.Batch - 1 do
                      let sample, rest =
                          torch.TensorIndex.Single(int64 sample),
                          torch.TensorIndex.Slice(Nullable lengths[sample], Nullable())

                      if s.IsBatchFirst then
                          dirty[sample, rest] <- torch.tensor nan
                      else
                          dirty[rest, sample] <- torch.tensor nan

                  let dirty = dirty.requires_grad_ true
                  let wanted = twin.CallLengths lengths x h c
                  let found = twin.CallLengths lengths dirty h c
                  let packed = ofPacked s twin.Module lengths x h c

                  for wanted, found, packed in List.zip3 wanted found packed do
                      Expect.isTrue (wanted.equal(found).all().item<bool>()) $"{dtype} of %A{s}"
                      Expect.isTrue (wanted.equal(packed).all().item<bool>()) $"packed, {dtype} of %A{s}"

                  (weighted found).backward()

                  for struct (name, p) in twin.Module.named_parameters () do
                      Expect.isTrue (p.PresentGrad.isfinite().all().item<bool>()) $"d {name}, {dtype} of %A{s}")

          law "have second derivatives" 20 (fun s ->
              let _, first = sparse s wide
              let _, byKernels = alike s narrow first
              let _, stepByStep = alike s narrow first

              for struct (_, m) in stepByStep.Module.named_modules () do
                  match m with
                  | :? SparseLinear as layer -> layer.Arithmetic <- Arithmetic.Dense
                  | _ -> ()

              let exact, rough = second s first wide, second s stepByStep narrow

              second s byKernels narrow
              |> expectNear $"%A{s}" Oracle.float32Roundoff exact rough)

          test "cells are torch's with zeros, a step and its gradients" {
              use _ = torch.NewDisposeScope()

              for hasBias in [ false; true ] do
                  let lstm = new SparseLSTMCell(5, 7, hasBias = hasBias, sparsity = 0.5, dtype = wide)
                  let gru = new SparseGRUCell(5, 7, hasBias = hasBias, sparsity = 0.5, dtype = wide)

                  let twins: (torch.nn.Module * torch.nn.Module * (string -> SparseLinear)) list =
                      [ lstm, torch.nn.LSTMCell(5L, 7L, hasBias, dtype = wide), lstm.Matrix
                        gru, torch.nn.GRUCell(5L, 7L, hasBias, dtype = wide), gru.Matrix ]

                  for sparse, dense, matrixOf in twins do
                      use _ = torch.no_grad ()
                      let own = sparse.state_dict ()

                      for struct (name, p) in dense.named_parameters () do
                          if name.StartsWith "weight" then
                              p.copy_ ((matrixOf (name.Substring "weight_".Length)).weightMatrix()) |> ignore
                          else
                              p.copy_ own[name] |> ignore

                  let near (what: string) (a: torch.Tensor) (b: torch.Tensor) =
                      // Sums of a dozen products of numbers below 1.
                      Expect.isLessThan (a.sub(b).abs().max().item<float>()) 1e-14 what

                  let leaf seed shape =
                      (numbers seed shape wide).requires_grad_ true

                  for shape, state in [ [| 3L; 5L |], [| 3L; 7L |]; [| 5L |], [| 7L |] ] do
                      let _, denseLstm, _ = twins[0]
                      let _, denseGru, _ = twins[1]
                      let a, ha, ca = leaf 1L shape, leaf 2L state, leaf 3L state
                      let b, hb, cb = leaf 1L shape, leaf 2L state, leaf 3L state
                      let struct (h, c) = lstm.call (a, struct (ha, ca))

                      let struct (h', c') = (denseLstm :?> Modules.LSTMCell).call(b, struct (hb, cb))

                      Expect.equal h.shape state "shape"
                      near "hidden state" h h'
                      near "cells" c c'
                      (weighted [ h; c ]).backward()
                      (weighted [ h'; c' ]).backward()

                      for what, x, y in [ "x", a, b; "h", ha, hb; "c", ca, cb ] do
                          near $"d{what}" x.PresentGrad y.PresentGrad

                      let x = leaf 4L shape
                      near "GRU" (gru.call (x, ha)) ((denseGru :?> Modules.GRUCell).call(x, ha))

                      near
                          "GRU from zeros"
                          (gru.call x)
                          ((denseGru :?> Modules.GRUCell).call(x, torch.zeros (state, dtype = wide)))

                  let e =
                      Expect.throwsC (fun () -> gru.call (torch.zeros (3L, 4L, dtype = wide)) |> ignore) id

                  Expect.stringContains e.Message "input_size 5, got [3, 4]" "what is wrong"
          }

          test "one sample needs no batch" {
              use _ = torch.NewDisposeScope()
              use lstm = new SparseLSTM(5, 7, bidirectional = true, sparsity = 0.5)
              let x = numbers 1L [| 4L; 5L |] torch.ScalarType.Float32
              let struct (y, h, c) = lstm.call x
              let struct (yb, hb, cb) = lstm.call (x.unsqueeze 1L)
              Expect.equal y.shape [| 4L; 14L |] "outputs"
              Expect.equal h.shape [| 2L; 7L |] "hidden state"

              for a, b in [ y, yb.squeeze 1L; h, hb.squeeze 1L; c, cb.squeeze 1L ] do
                  Expect.isTrue (a.equal(b).all().item<bool>()) "as with a batch of one"
          }

          test "an empty batch has empty results" {
              use gru = new SparseGRU(5, 7, sparsity = 0.5)
              let struct (y, h) = gru.call (torch.zeros (3L, 0L, 5L))
              Expect.equal y.shape [| 3L; 0L; 7L |] "outputs"
              Expect.equal h.shape [| 1L; 0L; 7L |] "hidden state"
          }

          test "dropout stands between layers, in training alone" {
              use _ = torch.NewDisposeScope()
              use lstm = new SparseLSTM(5, 7, numLayers = 2, dropout = 1.0, sparsity = 0.5)
              let x = numbers 1L [| 4L; 2L; 5L |] torch.ScalarType.Float32
              let struct (_, h, _) = lstm.call x
              let struct (_, h', _) = lstm.call (x.mul (2.0.ToScalar()))
              Expect.isTrue (h[1L].equal(h'[1L]).all().item<bool>()) "the second layer sees nothing"
              Expect.isFalse (h[0L].equal(h'[0L]).all().item<bool>()) "the first layer does"
              lstm.eval ()
              let struct (_, h, _) = lstm.call x
              let struct (_, h', _) = lstm.call (x.mul (2.0.ToScalar()))
              Expect.isFalse (h[1L].equal(h'[1L]).all().item<bool>()) "in evaluation it does"
          }

          test "a projection is what plain loops make of it" {
              use _ = torch.NewDisposeScope()
              let inputs, hidden, outputs, steps, batch = 4, 6, 3, 5, 2

              use lstm =
                  new SparseLSTM(
                      inputs,
                      hidden,
                      projSize = outputs,
                      sparsity = 0.4,
                      dtype = torch.ScalarType.Float64,
                      seed = Seed.ofInt 3
                  )

              let matrix (name: string) =
                  let m = (lstm.Matrix name).weightMatrix()
                  Array2D.init (int m.shape[0]) (int m.shape[1]) (fun r c -> m[int64 r, int64 c].item<float>())

              let bias (name: string) =
                  (lstm.state_dict()[name]).data<float>().ToArray()

              let ih, hh, hr = matrix "ih_l0", matrix "hh_l0", matrix "hr_l0"
              let bih, bhh = bias "bias_ih_l0", bias "bias_hh_l0"

              let x =
                  numbers 1L [| int64 steps; int64 batch; int64 inputs |] torch.ScalarType.Float64

              let struct (y, h, c) = lstm.call x
              let sigmoid v = 1.0 / (1.0 + exp -v)

              for sample in 0 .. batch - 1 do
                  let mutable before, cells =
                      Array.zeroCreate<float> outputs, Array.zeroCreate<float> hidden

                  for step in 0 .. steps - 1 do
                      let gate row =
                          let ofInputs =
                              Seq.sum (
                                  seq {
                                      for i in 0 .. inputs - 1 ->
                                          ih[row, i] * x[int64 step, int64 sample, int64 i].item<float>()
                                  }
                              )

                          let ofState = Seq.sum (seq { for i in 0 .. outputs - 1 -> hh[row, i] * before[i] })
                          ofInputs + bih[row] + ofState + bhh[row]

                      let next =
                          Array.init hidden (fun u ->
                              sigmoid (gate (hidden + u)) * cells[u]
                              + sigmoid (gate u) * Math.Tanh(gate (2 * hidden + u)))

                      let units =
                          Array.init hidden (fun u -> sigmoid (gate (3 * hidden + u)) * Math.Tanh next[u])

                      before <-
                          Array.init outputs (fun o ->
                              Seq.sum (seq { for u in 0 .. hidden - 1 -> hr[o, u] * units[u] }))

                      cells <- next

                      for o in 0 .. outputs - 1 do
                          let found = y[int64 step, int64 sample, int64 o].item<float>()
                          Expect.floatClose Accuracy.high found before[o] $"output {o} of step {step}"

                  for u in 0 .. hidden - 1 do
                      let found = c[0L, int64 sample, int64 u].item<float>()
                      Expect.floatClose Accuracy.high found cells[u] "cells"

                  Expect.floatClose Accuracy.high (h[0L, int64 sample, 0L].item<float>()) before[0] "state"
          }

          test "what cannot be is refused" {
              use _ = torch.NewDisposeScope()

              let refuses (expected: string) (body: unit -> unit) =
                  let e = Expect.throwsC body id
                  Expect.isTrue (e :? ArgumentException) $"{e}"
                  Expect.stringContains e.Message expected "what is wrong"

              refuses "1 or more" (fun () -> new SparseLSTM(0, 4) |> ignore)
              refuses "0 with one layer" (fun () -> new SparseLSTM(3, 4, dropout = 0.5) |> ignore)
              refuses "a part in [0, 1]" (fun () -> new SparseGRU(3, 4, numLayers = 2, dropout = nan) |> ignore)
              refuses "below that of the hidden state, 4" (fun () -> new SparseLSTM(3, 4, projSize = 4) |> ignore)
              use lstm = new SparseLSTM(3, 4, sparsity = 0.5)
              let x = torch.zeros (5L, 2L, 3L)
              refuses "input_size 3, got [5, 2, 4]" (fun () -> lstm.call (torch.zeros (5L, 2L, 4L)) |> ignore)
              refuses "1 step or more" (fun () -> lstm.call (torch.zeros (0L, 2L, 3L)) |> ignore)
              refuses "Float64" (fun () -> lstm.call (x.to_type torch.ScalarType.Float64) |> ignore)

              refuses "shape [1, 2, 4], got [2, 2, 4]" (fun () ->
                  lstm.call (x, struct (torch.zeros (2L, 2L, 4L), torch.zeros (1L, 2L, 4L)))
                  |> ignore)

              refuses "from 1 to the 5 steps of x, got 6 of sample 1" (fun () -> lstm.call (x, [| 5L; 6L |]) |> ignore)
              refuses "a length for each of the 2 samples, got 1" (fun () -> lstm.call (x, [| 5L |]) |> ignore)
              refuses "one of ih_l0, hh_l0" (fun () -> lstm.Matrix "weight_ih_l0" |> ignore)
              let struct (y, _, _) = lstm.call x
              Expect.equal y.shape [| 5L; 2L; 4L |] "and works on"
          } ]
