/// What a person prints: values say what they are, in one line, by ToString and so in F#'s and C#'s interpolated strings.
module SparseFs.Tests.PrintingTests

open System
open System.Collections.Generic
open System.Globalization
open Expecto
open SparseFs
open SparseFs.Tests.PublicSurface
open TorchSharp

let private counts: RewireCounts =
    { Nnz = 2000
      Dropped = 300
      Grown = 300
      Regrown = 20
      Explored = 0.125
      DeadRows = 1
      DeadCols = 2 }

let private updated: RewireEvent =
    { Step = 300L
      Layer = "encoder.0"
      Seconds = 0.01234
      Outcome = RewireOutcome.Done counts }

let private row: SparsifyRow =
    { Name = "0"
      Rows = 300
      Cols = 784
      Nnz = 23520L
      IsReplaced = true
      WhyNot = ""
      DenseMs = Nullable()
      SparseMs = Nullable() }

let private printed: (string * obj * string) list =
    [ "an update",
      updated,
      "encoder.0, step 300: 300 dropped, 300 grown, 20 regrown; nnz 2000, churn 0.15, R_s 0.125, 0.012 s"
      "a refusal",
      { updated with
          Outcome = RewireOutcome.Refused "no backward pass has reached it" },
      "encoder.0, step 300: refused, no backward pass has reached it"
      "an update of a model that is one layer",
      { updated with Layer = "" },
      "step 300: 300 dropped, 300 grown, 20 regrown; nnz 2000, churn 0.15, R_s 0.125, 0.012 s"
      "a notice",
      ({ Kind = NoticeKind.NotStepped
         Layer = "0"
         Message = "it trains on" }
      : Notice),
      "NotStepped, 0: it trains on"
      "a notice of no layer",
      ({ Kind = NoticeKind.NoGradient
         Layer = ""
         Message = "call backward" }
      : Notice),
      "NoGradient: call backward"
      "a policy",
      Policy.rigL (Schedule.cosine 0.3 100L 75_000L),
      "drop Magnitude, grow Gradient, budget Layer, grown weights Zero, moments Zero; Cosine 0.3, every 100 steps from 0 to 75000"
      "a budget", Budget.GradualPruning(0.0, 0.9), "GradualPruning(0, 0.9)"
      "options of K-winners",
      KWinnersOptions.defaults,
      "winners Sparsity(0.65), duty cycle Alpha(0.1), boost Exponential(1.5)"
      "other options of K-winners",
      { KWinnersOptions.ofK 50 with
          BoostDecay = 0.5
          InferenceFactor = 1.5
          StraightThrough = true
          CheckInput = true },
      "winners Exactly(50), duty cycle Alpha(0.1), boost Exponential(1.5), boost decay 0.5, inference factor 1.5, "
      + "straight through, input checked"
      "a row of Sparsify", row, "0: 300 x 784, nnz 23520, sparsity 0.9, replaced"
      "a row that stayed",
      { row with
          Name = ""
          IsReplaced = false
          WhyNot = "it is the model itself" },
      "(the model): 300 x 784, nnz 23520, sparsity 0.9, not replaced: it is the model itself"
      "a rule of Sparsify", Sparsify.each 0.9, "Each(0.9)"
      "another rule of Sparsify",
      { Sparsify.shared SparsityDistribution.ErdosRenyi 0.9 with
          MinCells = 1000L
          FasterAt = ValueSome 64 },
      "Shared(ErdosRenyi, 0.9), layers of 1000 cells or more, where it is faster for 64 samples"
      "a load that passed over names",
      ({ Missing = [| "a"; "b" |]
         Unexpected = [| "c" |] }
      : LoadReport),
      "missing in the file: a, b; unexpected in the file: c"
      "a load that passed over none", ({ Missing = [||]; Unexpected = [||] }: LoadReport), "nothing was passed over"
      "options of a load",
      ({ Form = WeightForm.Magnitude 0.5
         IsStrict = false
         Converts = true
         Prefixes = [ "module."; "model." ] }
      : LoadOptions),
      "form Magnitude 0.5, not strict, converting dtypes, without the prefixes module., model."
      "where a run stands",
      ({ Step = 7L
         Seed = Seed.ofInt 3
         Notes = Dictionary(dict [ "epoch", "2" ]) }
      : TrainingProgress),
      "step 7, Seed.ofInt 3, epoch = 2"
      "degrees", GraphMetrics.fanInDistribution (Topology.banded 8 12 32), "4 to 4 slots, 4 in the mean, deviation 0"
      "an array of a file", NpyArray([| 2; 3 |], Array.zeroCreate<float32> 6), "NpyArray(System.Single, [2, 3])"
      "a rule of drawing weights", Init.KaimingUniform, "KaimingUniform"
      "a plan", Kernels.SpmmPlan(Connectivity.empty 2 3), "SpmmPlan(Connectivity(rows=2, cols=3, nnz=0, sparsity=1))" ]

/// A culture that writes 0,5, also where the machine has no cultures installed.
let private withComma: CultureInfo =
    let culture = CultureInfo.InvariantCulture.Clone() :?> CultureInfo
    culture.NumberFormat.NumberDecimalSeparator <- ","
    culture

/// Classes of static members alone have no values to print.
let private hasValues (t: Type) : bool =
    let own =
        Reflection.BindingFlags.Instance
        ||| Reflection.BindingFlags.Public
        ||| Reflection.BindingFlags.DeclaredOnly

    t.GetMembers(own).Length > 0

/// Classes that stand for what a user's program or a notebook does, and have nothing to say.
let private silent: Type list =
    [ typeof<RowScores>
      typeof<SequentialBuilder>
      typeof<SparseFs.Pictures.HtmlFormatter>
      typeof<SparseFs.Pictures.HtmlFormatterSource> ]

[<Tests>]
let printing =
    testList
        "Printing"
        [ testCase "the text of no public class is its type's name" (fun () ->
              let types =
                  [ for assembly in [ core; layers; onnx; inference; deploy ] do
                        for t in publicTypes assembly do
                            if
                                hasValues t
                                && not (t.IsAbstract || t.IsEnum || t.IsInterface)
                                && not (typeof<Delegate>.IsAssignableFrom t)
                                && not (typeof<Attribute>.IsAssignableFrom t)
                                && not (List.contains t silent)
                            then
                                t ]

              Expect.isGreaterThan types.Length 40 "not vacuous"

              let silent =
                  [ for t in types do
                        let text = present $"ToString of {t}" (t.GetMethod("ToString", [||]))
                        let owner = declaring text

                        if owner = typeof<obj> || owner = typeof<ValueType> then
                            t.Name ]

              Expect.equal silent [] "types that say nothing")

          testCase "values say what they are, in one line" (fun () ->
              for what, value, text in printed do
                  Expect.equal (string value) text what)

          testCase "in every culture alike" (fun () ->
              let before = CultureInfo.CurrentCulture

              try
                  CultureInfo.CurrentCulture <- withComma

                  for what, value, text in printed do
                      Expect.equal (value.ToString()) text what
              finally
                  CultureInfo.CurrentCulture <- before)

          testCase "%A of events is one line each" (fun () ->
              Expect.equal (sprintf "%A" [ updated ]) $"[{updated}]" "a list")

          testCase "a rewirer, its state and averages say of what they are" (fun () ->
              use layer = new SparseLinear(20, 10, seed = Seed.ofInt 1)
              use model = torch.nn.Sequential(layer, torch.nn.ReLU())
              use sgd = torch.optim.SGD(model.parameters (), 0.1)

              use rewirer =
                  new Rewirer(model, sgd, Policy.set (Schedule.constant 0.3 10L 100L), Seed.ofInt 3)

              use averaging = new Averaging(model, AveragingRule.Exponential 0.5, false)
              averaging.Update()
              Expect.equal (string rewirer) "Rewirer(layers=1, step=0, optimizer=SGD)" "rewirer"

              Expect.equal
                  (string (rewirer.Capture()))
                  "RewirerState(layers=1, step=0, optimizer=SGD, seed=Seed.ofInt 3)"
                  "state"

              Expect.equal (string averaging) "Averaging(Exponential(0.5), updates=1, sparse layers=1)" "averages") ]
