/// The table of a model, and that asking for it leaves the model as it was.
module SparseFs.Tests.SummaryTests

open System
open Expecto
open SparseFs
open TorchSharp

type private Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

let private network () =
    torch.nn.Sequential(
        struct ("hidden", new SparseLinear(784, 2000, sparsity = 0.9, seed = Seed.ofInt 1) :> Layer),
        struct ("norm", torch.nn.BatchNorm1d 2000L :> Layer),
        struct ("relu", torch.nn.ReLU() :> Layer),
        struct ("drop", torch.nn.Dropout 0.5 :> Layer),
        struct ("output", torch.nn.Linear(2000L, 10L) :> Layer)
    )

let private row (name: string) (s: ModelSummary) =
    s.Rows |> Seq.find (fun r -> r.Name = name)

/// A module whose parameter no kind of ours knows.
type private Scale() as this =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("Scale")
    let scale = new Modules.Parameter(torch.ones 3L)

    do this.register_parameter ("scale", scale)

    override _.forward x = x * scale

[<Tests>]
let summary =
    // Other tests draw from torch's generator, which one of these compares.
    testSequenced
    <| testList
        "Summary"
        [ testCase "the table of a network reads as it should" (fun () ->
              use model = network ()

              let expected =
                  [ "layer    kind          output      weights  sparsity  parameters      bytes    FLOPs"
                    "------------------------------------------------------------------------------------"
                    "(model)  Sequential    [64, 10]"
                    "hidden   SparseLinear  [64, 2000]  156,800      90 %     158,800  1,270,404  20.07 M"
                    "norm     BatchNorm1d   [64, 2000]                          4,000     32,008"
                    "relu     ReLU          [64, 2000]"
                    "drop     Dropout       [64, 2000]"
                    "output   Linear        [64, 10]     20,000       0 %      20,010     80,040   2.56 M"
                    "------------------------------------------------------------------------------------"
                    "weights 176,800 of 1,588,000, parameters 182,810 (dense 1,594,010), bytes 1,382,452"
                    "FLOPs 22.63 M (dense 203.26 M)" ]

              Expect.equal (string (Summary.ofShape [ 64L; 784L ] model)) (String.concat "\n" expected) "table")

          testCase "the sums are those of the rows, and FLOPs are twice the multiply-adds" (fun () ->
              use model = network ()
              let s = Summary.ofShape [ 3L; 784L ] model
              Expect.equal s.Weights (156_800L + 20_000L) "weights"
              Expect.equal s.Cells (1_568_000L + 20_000L) "cells"

              Expect.equal
                  s.Parameters
                  (Seq.sum [ for p in model.parameters () -> p.numel () ])
                  "parameters, as torch counts them"

              Expect.equal s.Flops (Nullable(2L * 3L * (156_800L + 20_000L))) "FLOPs"
              Expect.equal s.DenseFlops (Nullable(2L * 3L * (1_568_000L + 20_000L))) "dense FLOPs"
              Expect.isTrue s.KnowsAllFlops "all kinds are known")

          testCase "bytes are those of the saved tensors" (fun () ->
              use model = network ()

              let saved =
                  model.state_dict().Values |> Seq.sumBy (fun t -> t.numel () * t.element_size ())

              Expect.equal (Summary.ofModel model).Bytes saved "bytes")

          testCase "without an input there are no shapes and no operations" (fun () ->
              use model = network ()
              let s = Summary.ofModel model
              Expect.isTrue (s.Rows |> Seq.forall (fun r -> isNull r.OutputShape && not r.Flops.HasValue)) "none"
              Expect.isFalse s.Flops.HasValue "none"
              Expect.stringContains (string s) "hidden   SparseLinear  -       156,800      90 %" "a dash")

          testCase "convolutions count each output pixel" (fun () ->
              use model =
                  torch.nn.Sequential(
                      torch.nn.Conv2d(3L, 8L, 3L, padding = 1L, groups = 1L),
                      torch.nn.Conv2d(8L, 8L, 3L, groups = 8L),
                      torch.nn.Flatten()
                  )

              let s = Summary.ofShape [ 2L; 3L; 10L; 10L ] model
              Expect.equal (row "0" s).Flops (Nullable(2L * 2L * 8L * 100L * 27L)) "3 × 9 multiply-adds a pixel"
              Expect.equal (row "1" s).Flops (Nullable(2L * 2L * 8L * 64L * 9L)) "a group has one channel")

          testCase "transposed convolutions count each input pixel" (fun () ->
              use model =
                  torch.nn.Sequential(
                      torch.nn.ConvTranspose2d(4L, 6L, 3L, stride = 2L, groups = 2L) :> Layer,
                      new SparseConvTranspose2d(6, 2, (3, 1), stride = (1, 2), outputPadding = (0, 1), sparsity = 0.5)
                  )

              // [2, 4, 5, 6] → [2, 6, 11, 13] → [2, 2, 13, 26]
              let s = Summary.ofShape [ 2L; 4L; 5L; 6L ] model
              Expect.equal (List.ofSeq (Unchecked.nonNull (row "1" s).OutputShape)) [ 2L; 2L; 13L; 26L ] "sizes"
              Expect.equal (row "0" s).Flops (Nullable(2L * 2L * 4L * 30L * 27L)) "3 channels of 9 cells"
              Expect.equal (row "1" s).Flops (Nullable(2L * 2L * 143L * 18L)) "18 slots"
              Expect.equal (row "1" s).DenseFlops (Nullable(2L * 2L * 143L * 36L)) "of 36 cells")

          testCase "a shared module is counted once" (fun () ->
              use layer = new SparseLinear(20, 20, sparsity = 0.5, seed = Seed.ofInt 1)
              use model = torch.nn.Sequential(layer :> Layer, layer :> Layer)
              let s = Summary.ofShape [ 1L; 20L ] model
              Expect.equal s.Weights 200L "one layer's"
              Expect.hasLength (List.ofSeq s.Rows) 2 "the model and the layer")

          testCase "a kind that is not known shows a dash, and the sum says at least" (fun () ->
              use model =
                  torch.nn.Sequential(torch.nn.Linear(4L, 3L) :> Layer, new Scale() :> Layer)

              let s = Summary.ofShape [ 1L; 4L ] model
              Expect.isFalse (row "1" s).Flops.HasValue "unknown"
              Expect.isFalse s.KnowsAllFlops "not all"
              Expect.stringEnds (string s) "FLOPs at least 24 (dense 24)" "said")

          testCase "the model, its modes, buffers and gradients and torch's generator are as before" (fun () ->
              use model = network ()
              use winners = new KWinners(10)

              use whole =
                  torch.nn.Sequential(struct ("net", model :> Layer), struct ("winners", winners :> Layer))

              model.train ()
              // One part is in another mode than the whole.
              let frozen = model.children () |> Seq.item 1
              frozen.eval ()

              let modes () =
                  [ for m in whole.modules () -> m.training ]

              let numbers () =
                  [ for KeyValue(name, t) in whole.state_dict () ->
                        name, t.to_type(torch.float64).cpu().data<float>().ToArray() ]

              let modesBefore, numbersBefore = modes (), numbers ()
              torch.manual_seed 5L |> ignore
              use drawn = torch.rand 4L
              torch.manual_seed 5L |> ignore
              Summary.ofInput (torch.ones (8L, 784L)) whole |> ignore
              use drawnAfter = torch.rand 4L
              Expect.equal (modes ()) modesBefore "modes"
              Expect.equal (numbers ()) numbersBefore "parameters and buffers"
              Expect.equal (drawnAfter.data<float32>().ToArray()) (drawn.data<float32>().ToArray()) "torch's generator"
              Expect.isTrue (whole.parameters () |> Seq.forall (fun p -> isNull p.grad)) "no gradient"
              // No hook is left: a second call sees its own input alone.
              let s = Summary.ofInput (torch.ones (2L, 784L)) whole
              Expect.stringContains (string s) "net.output  Linear        [2, 10]" "the second input's")

          testCase "an input that does not fit leaves the model as it was" (fun () ->
              use model = network ()
              model.train ()
              Expect.throwsT<ArgumentException> (fun () -> Summary.ofShape [ 2L; 3L ] model |> ignore) "refused"
              Expect.isTrue (model.modules () |> Seq.forall _.training) "training again"
              Summary.ofShape [ 2L; 784L ] model |> ignore) ]
