/// What files hold of a policy is written out here: a name of F# may change, a text that is in files may not.
module SparseFs.Tests.PolicyTextTests

open System
open Expecto
open Microsoft.FSharp.Reflection
open SparseFs
open SparseFs.Tests.Refusals

let private texts (policy: Policy) : (string * string) list =
    [ for part in PolicyText.parts policy -> part.Name, part.Text ]

let private own (state: LayerState) = state.Weight
let private ownCells (state: LayerState) = state.Gradient
let private any = Policy.staticSparse

let private schedule = Schedule.from 7L (Schedule.cosine 0.3 4L 40L)

let private cosine =
    "{ Fraction = 0.3; Decay = Cosine; Start = 7; End = 40; Every = 4 }"

/// Every policy of the module Policy, and all that files hold of it.
let private policies: (string * Policy * (string * string) list) list =
    [ "staticSparse",
      Policy.staticSparse,
      [ "Schedule", "{ Fraction = 0; Decay = Constant; Start = 0; End = 0; Every = 9223372036854775807 }"
        "Drop", "Magnitude"
        "Grow", "Random"
        "Regrow", "Never"
        "Budget", "Layer"
        "GrownWeight", "Zero"
        "Moments", "Zero"
        "StepsAtUpdates", "True"
        "Momentum", "{ Beta = 0.9; Steps = 32 }"
        "RowGroup", "1"
        "WholeKernels", "False"
        "GroupNorm", "L2" ]
      "rigL",
      Policy.rigL schedule,
      [ "Schedule", cosine
        "Drop", "Magnitude"
        "Grow", "Gradient"
        "Regrow", "Kept"
        "Budget", "Layer"
        "GrownWeight", "Zero"
        "Moments", "Zero"
        "StepsAtUpdates", "False"
        "Momentum", "{ Beta = 0.9; Steps = 32 }"
        "RowGroup", "1"
        "WholeKernels", "False"
        "GroupNorm", "L2" ]
      "set",
      Policy.set schedule,
      [ "Schedule", cosine
        "Drop", "NearestZero"
        "Grow", "Random"
        "Regrow", "Never"
        "Budget", "Layer"
        "GrownWeight", "Zero"
        "Moments", "Zero"
        "StepsAtUpdates", "True"
        "Momentum", "{ Beta = 0.9; Steps = 32 }"
        "RowGroup", "1"
        "WholeKernels", "False"
        "GroupNorm", "L2" ]
      "snfs",
      Policy.snfs schedule,
      [ "Schedule", cosine
        "Drop", "Magnitude"
        "Grow", "Momentum"
        "Regrow", "Never"
        "Budget", "AcrossByMomentum"
        "GrownWeight", "Zero"
        "Moments", "Zero"
        "StepsAtUpdates", "True"
        "Momentum", "{ Beta = 0.9; Steps = 32 }"
        "RowGroup", "1"
        "WholeKernels", "False"
        "GroupNorm", "L2" ]
      "srigL",
      Policy.srigL ValueNone schedule,
      [ "Schedule", cosine
        "Drop", "Magnitude"
        "Grow", "Gradient"
        "Regrow", "Never"
        "Budget", "Row"
        "GrownWeight", "Zero"
        "Moments", "Zero"
        "StepsAtUpdates", "False"
        "Momentum", "{ Beta = 0.9; Steps = 32 }"
        "RowGroup", "1"
        "WholeKernels", "False"
        "GroupNorm", "L2" ]
      "srigL with ablation",
      Policy.srigL (ValueSome 0.3) schedule,
      [ "Schedule", cosine
        "Drop", "Magnitude"
        "Grow", "Gradient"
        "Regrow", "Never"
        "Budget", "RowAblated(salient = 0.3)"
        "GrownWeight", "Zero"
        "Moments", "Zero"
        "StepsAtUpdates", "False"
        "Momentum", "{ Beta = 0.9; Steps = 32 }"
        "RowGroup", "1"
        "WholeKernels", "False"
        "GroupNorm", "L2" ]
      "gradual",
      Policy.gradual 0.5 0.8 schedule,
      [ "Schedule", cosine
        "Drop", "Magnitude"
        "Grow", "Random"
        "Regrow", "Never"
        "Budget", "Falling(initial = 0.5; final = 0.8)"
        "GrownWeight", "Zero"
        "Moments", "Zero"
        "StepsAtUpdates", "True"
        "Momentum", "{ Beta = 0.9; Steps = 32 }"
        "RowGroup", "1"
        "WholeKernels", "False"
        "GroupNorm", "L2" ] ]

let private decays: (Decay * string) list =
    [ Decay.Constant, "{ Fraction = 0; Decay = Constant; Start = 0; End = 40; Every = 4 }"
      Decay.Cosine, "{ Fraction = 0; Decay = Cosine; Start = 0; End = 40; Every = 4 }"
      Decay.Linear, "{ Fraction = 0; Decay = Linear; Start = 0; End = 40; Every = 4 }"
      Decay.InversePower 3.0, "{ Fraction = 0; Decay = InversePower(power = 3); Start = 0; End = 40; Every = 4 }"
      Decay.InversePower 1e-20, "{ Fraction = 0; Decay = InversePower(power = 1E-20); Start = 0; End = 40; Every = 4 }" ]

let private drops: (Drop * string) list =
    [ Drop.Magnitude, "Magnitude"
      Drop.NearestZero, "NearestZero"
      Drop.Random, "Random"
      Drop.Score own, "Score(Item = custom)"
      Drop.NamedScore("oldest first", own), "Score(Item = custom; name = oldest first)" ]

let private grows: (Grow * string) list =
    [ Grow.Gradient, "Gradient"
      Grow.Momentum, "Momentum"
      Grow.Random, "Random"
      Grow.DistanceDecay(Placement.Centred, 2.5), "Nearby(placement = Centred; lambda = 2.5)"
      Grow.DistanceDecay(Placement.Stretched, 0.0), "Nearby(placement = Stretched; lambda = 0)"
      Grow.Score(GrowthInputs.Nothing, ownCells), "Score(needs = Nothing; score = custom)"
      Grow.Score(GrowthInputs.Gradient, ownCells), "Score(needs = Gradient; score = custom)"
      Grow.Score(GrowthInputs.Momentum, ownCells), "Score(needs = Momentum; score = custom)"
      Grow.Score(GrowthInputs.Gradient ||| GrowthInputs.Momentum, ownCells),
      "Score(needs = Gradient, Momentum; score = custom)"
      Grow.Score(enum<GrowthInputs> 5, ownCells), "Score(needs = 5; score = custom)"
      Grow.NamedScore("far", GrowthInputs.Gradient, ownCells), "Score(needs = Gradient; score = custom; name = far)" ]

let private regrows: (Regrow * string) list =
    [ Regrow.Never, "Never"; Regrow.Reinitialize, "Fresh"; Regrow.Restore, "Kept" ]

let private budgets: (Budget * string) list =
    [ Budget.Layer, "Layer"
      Budget.Row, "Row"
      Budget.RowWithAblation 0.25, "RowAblated(salient = 0.25)"
      Budget.RedistributedByMagnitude, "AcrossByMagnitude"
      Budget.RedistributedByMomentum, "AcrossByMomentum"
      Budget.GradualPruning(0.5, 0.95), "Falling(initial = 0.5; final = 0.95)" ]

let private grownWeights: (GrownWeight * string) list =
    [ GrownWeight.Zero, "Zero"
      GrownWeight.Uniform 0.1, "Uniform(bound = 0.1)"
      GrownWeight.Normal 0.05, "Normal(deviation = 0.05)" ]

let private windows: (MomentumWindow * string) list =
    [ MomentumWindow.standard, "{ Beta = 0.9; Steps = 32 }"
      { Beta = 0.0; Steps = 1 }, "{ Beta = 0; Steps = 1 }"
      { Beta = 0.99; Steps = 300 }, "{ Beta = 0.99; Steps = 300 }" ]

let private moments: (Moments * string) list =
    [ Moments.Zero, "Zero"
      Moments.RowMean, "RowMean"
      Moments.Fresh, "Fresh"
      Moments.Seeded, "Seeded" ]

let private groups: (int * string) list = [ 1, "1"; 4, "4"; 16, "16" ]

let private kernels: (bool * string) list = [ false, "False"; true, "True" ]

let private norms: (RowGroupNorm * string) list =
    [ RowGroupNorm.L1, "L1"; RowGroupNorm.L2, "L2" ]

/// Each value of a part has its text, and no other value of the table has it.
let private pinned (part: string) (table: ('a * string) list) (withPart: 'a -> Policy) =
    testCase $"{part}: the texts of files" (fun () ->
        for value, text in table do
            Expect.equal (texts (withPart value) |> List.find (fun (name, _) -> name = part)) (part, text) part

        Expect.equal (table |> List.map snd |> List.distinct |> List.length) table.Length "no two are alike")

let private allCases<'a> (table: ('a * string) list) =
    testCase $"{typeof<'a>.Name}: every case is in the table" (fun () ->
        let found =
            set [ for value, _ in table -> fst (FSharpValue.GetUnionFields(value, typeof<'a>)) |> _.Name ]

        Expect.equal found (set [ for case in FSharpType.GetUnionCases typeof<'a> -> case.Name ]) "cases")

let private allValues<'a when 'a: struct and 'a :> Enum and 'a: (new: unit -> 'a) and 'a: comparison>
    (values: 'a list)
    =
    testCase $"{typeof<'a>.Name}: every value is in the table" (fun () ->
        Expect.equal (set values) (set (Enum.GetValues<'a>())) "values")

[<Tests>]
let policyTexts =
    testList
        "Policy texts"
        [ for name, policy, expected in policies do
              testCase $"{name}: the texts of files" (fun () -> Expect.equal (texts policy) expected "texts")

          pinned "Schedule" decays (fun decay ->
              { any with
                  Schedule =
                      { Fraction = 0.0
                        Decay = decay
                        Start = 0L
                        End = 40L
                        Every = 4L } })
          pinned "Drop" drops (fun drop -> { any with Drop = drop })
          pinned "Grow" grows (fun grow -> { any with Grow = grow })
          pinned "Regrow" regrows (fun regrow -> { any with Regrow = regrow })
          pinned "Budget" budgets (fun budget -> { any with Budget = budget })
          pinned "GrownWeight" grownWeights (fun weight -> { any with GrownWeight = weight })
          pinned "Moments" moments (fun moments -> { any with Moments = moments })
          pinned "Momentum" windows (fun window -> { any with Momentum = window })

          pinned "RowGroup" groups (fun group -> { any with RowGroup = group })
          pinned "WholeKernels" kernels (fun whole -> { any with WholeKernels = whole })
          pinned "GroupNorm" norms (fun norm -> { any with GroupNorm = norm })
          allValues (List.map fst norms)

          testCase
              "files without groups of rows and kernels were written with single slots, whose norm is L2"
              (fun () ->
                  let written (policy: Policy) =
                      [ for part in PolicyText.parts policy do
                            if List.contains part.Name [ "RowGroup"; "WholeKernels"; "GroupNorm" ] then
                                part.IsWritten, PolicyText.compare part part.Absent.Value ]

                  let same, other = (false, PartMatch.Same), (true, PartMatch.Other)
                  Expect.equal (written any) [ same; same; same ] "none"
                  Expect.equal (written { any with RowGroup = 4 }) [ other; same; same ] "groups"
                  Expect.equal (written { any with WholeKernels = true }) [ same; other; same ] "kernels"
                  Expect.equal (written { any with GroupNorm = RowGroupNorm.L1 }) [ same; same; other ] "a norm")

          testCase "files without a window of momentum were written with the standard one" (fun () ->
              let part (window: MomentumWindow) =
                  PolicyText.parts { any with Momentum = window }
                  |> List.find (fun part -> part.Name = "Momentum")

              for window, text in windows do
                  let isStandard = (window = MomentumWindow.standard)
                  Expect.equal (part window).IsWritten (not isStandard) text
                  let absent = (part window).Absent.Value

                  Expect.equal
                      (PolicyText.compare (part window) absent)
                      (if isStandard then PartMatch.Same else PartMatch.Other)
                      text

              for policy in [ any; Policy.snfs schedule ] do
                  let left = PolicyText.parts policy |> List.filter (_.IsWritten >> not)

                  Expect.equal
                      (left |> List.map _.Name)
                      [ "Momentum"; "RowGroup"; "WholeKernels"; "GroupNorm" ]
                      "all others are written in any case")

          allCases decays
          allCases drops
          allCases grows
          allCases budgets
          allCases grownWeights
          allValues (List.map fst regrows)
          allValues (List.map fst moments)
          allValues [ Placement.Centred; Placement.Stretched ]
          allValues [ GrowthInputs.Nothing; GrowthInputs.Gradient; GrowthInputs.Momentum ]

          testCase "every policy of the module is in the table" (fun () ->
              let ofPolicies =
                  present "the module of policies" (typeof<Policy>.Assembly.GetType "SparseFs.PolicyModule")

              let made =
                  ofPolicies.GetMembers()
                  |> Array.filter (function
                      | :? Reflection.MethodInfo as m ->
                          m.ReturnType = typeof<Policy>
                          && not (m.Name.StartsWith "get_")
                          && m.Name <> "Check"
                          && m.Name <> "InRowGroups" // makes one of another
                          && m.Name <> "InKernels"
                      | :? Reflection.PropertyInfo as p -> p.PropertyType = typeof<Policy>
                      | _ -> false)
                  |> Array.map SourceNames.fsharpName

              Expect.equal (set made) (set [ for name, _, _ in policies -> name.Split(' ')[0] ]) "policies")

          testCase "a part of a policy is a text, and a part of a schedule is a part of its text" (fun () ->
              Expect.equal (texts any).Length (FSharpType.GetRecordFields typeof<Policy>).Length "policy"
              Expect.equal (cosine.Split ';').Length (FSharpType.GetRecordFields typeof<Schedule>).Length "schedule")

          testCase "texts are the same under every culture" (fun () ->
              let before = Globalization.CultureInfo.CurrentCulture
              let fraction = Policy.srigL (ValueSome 0.3) schedule

              try
                  let culture =
                      Globalization.CultureInfo.InvariantCulture.Clone() :?> Globalization.CultureInfo

                  culture.NumberFormat.NumberDecimalSeparator <- ","
                  culture.NumberFormat.NegativeSign <- "minus"
                  Globalization.CultureInfo.CurrentCulture <- culture
                  Expect.equal $"{0.5}" "0,5" "not vacuous"

                  let _, _, expected =
                      policies |> List.find (fun (name, _, _) -> name = "srigL with ablation")

                  Expect.equal (texts fraction) expected "texts"
              finally
                  Globalization.CultureInfo.CurrentCulture <- before)

          testCase "what a text can tell of a rule of one's own" (fun () ->
              let named (name: string) =
                  Grow.NamedScore(name, GrowthInputs.Gradient, ownCells)

              let unnamed = Grow.Score(GrowthInputs.Gradient, ownCells)

              let text (grow: Grow) =
                  texts { any with Grow = grow }
                  |> List.find (fun (name, _) -> name = "Grow")
                  |> snd

              let compared (given: Grow) (stored: Grow) =
                  let part =
                      PolicyText.parts { any with Grow = given }
                      |> List.find (fun part -> part.Name = "Grow")

                  PolicyText.compare part (text stored)

              for given, stored, expected in
                  [ named "a", named "a", PartMatch.Same
                    named "a", named "b", PartMatch.OtherName
                    named "a", named "a)", PartMatch.OtherName
                    unnamed, named "a", PartMatch.OtherName
                    named "a", unnamed, PartMatch.Unknown
                    unnamed, unnamed, PartMatch.Unknown
                    named "a", Grow.NamedScore("a", GrowthInputs.Momentum, ownCells), PartMatch.Other
                    unnamed, Grow.Score(GrowthInputs.Momentum, ownCells), PartMatch.Other
                    unnamed, Grow.Gradient, PartMatch.Other
                    named "a", Grow.Gradient, PartMatch.Other
                    Grow.Gradient, named "a", PartMatch.Other
                    Grow.Gradient, Grow.Gradient, PartMatch.Same ] do
                  Expect.equal (compared given stored) expected $"{text given} against {text stored}")

          for beta in [ -0.1; 1.0; nan ] do
              refuses $"a β of {beta}" "beta" "β in [0, 1)" (fun () ->
                  Policy.check
                      { any with
                          Momentum = { Beta = beta; Steps = 32 } })

          refuses "momentum over no step" "steps" "1 step or more, got 0" (fun () ->
              Policy.check
                  { any with
                      Momentum = { Beta = 0.9; Steps = 0 } })

          for what, name in
              [ "null", Unchecked.defaultof<_>
                "empty", ""
                "blank", " \t"
                "half of a surrogate pair", String(char 0xd800, 1) ] do
              refuses $"a drop rule whose name is {what}" "name" "own drop rule" (fun () ->
                  Policy.check
                      { any with
                          Drop = Drop.NamedScore(name, own) })

              refuses $"a grow rule whose name is {what}" "name" "own grow rule" (fun () ->
                  Policy.check
                      { any with
                          Grow = Grow.NamedScore(name, GrowthInputs.Nothing, ownCells) })

          testCase "any other name is one" (fun () ->
              for name in [ "x"; "größte; Spalte) = \"1\""; "\U0001F33F" ] do
                  { any with
                      Drop = Drop.NamedScore(name, own)
                      Grow = Grow.NamedScore(name, GrowthInputs.Nothing, ownCells) }
                  |> Policy.check
                  |> ignore) ]
