/// What earlier versions wrote is read, and their runs go on.
module SparseFs.Tests.FixtureTests

open System
open System.Collections.Generic
open System.IO
open Expecto
open SparseFs
open SparseFs.Tests.Fixtures
open TorchSharp

let private folder = Path.Combine(AppContext.BaseDirectory, "fixtures")

let private file (name: string) =
    Path.Combine(folder, name + ".safetensors")

let private records =
    lazy (read<Dictionary<string, Record>>(Path.Combine(folder, "runs.json")))

let private states =
    lazy (read<Dictionary<string, Map<string, string>>>(Path.Combine(folder, "models.json")))

/// A product's sum has at most 36 terms, forward and backward by the input, or 12 by the weight, and a loss 96: each sum
/// taken in another order is off by at most so many roundings of 2^-24, relative to the sum of its terms' magnitudes.
let private roundings = 36.0 * 2.0 ** -24.0

/// What ten steps' losses may differ by, relative to a loss of 1 or more: a forward pass and two backward passes a step,
/// each of two layers, and the loss. That steps add up such errors and do not multiply them is not derived but tried: see
/// "roundings neither decide nor grow".
let private bound = 10.0 * (3.0 * 2.0 * roundings + 96.0 * 2.0 ** -24.0)

/// How many steps the optimizer has taken, as it counts them; none where it does not.
let private stepsOf (optimizer: torch.optim.Optimizer) : int64 voption =
    let state = (optimizer :?> Modules.OptimizerHelper).state_dict().State

    match
        [ for options in state do
              match options with
              | :? Modules.Adam.State as adam -> adam.step
              | :? Modules.RMSProp.State as rmsProp -> rmsProp.step
              | _ -> () ]
        |> List.distinct
    with
    | [] -> ValueNone
    | [ steps ] -> ValueSome steps
    | several -> failtest $"the parameters' steps differ: {several}"

/// RigL's rewirings, at steps 4 and 8, took the place of optimizer steps.
let private optimizerSteps (name: string) : int64 =
    if name.StartsWith "run-rigl-" || name.StartsWith "run-srigl-" then
        Saved - 2L
    else
        Saved

let private isRunOf (policy: string) (name: string) =
    name.Substring(0, name.LastIndexOf '-') = $"run-{policy}"

let private resumed (fixture: RunFixture) =
    let model, optimizer, rewirer = start fixture

    let progress =
        unpacked folder fixture.Name (fun file -> Checkpoint.resume file model optimizer (ValueSome rewirer))

    Expect.equal progress.Step Saved "the caller's step"
    model, optimizer, rewirer

/// All texts of a file but the library's version.
let private textsOf (file: string) : (string * string) list =
    [ for text in (Safetensors.inspect file).Metadata do
          if text.Key <> "sparsefs.version" then
              text.Key, text.Value ]
    |> List.sort

let private expectLosses (found: Record) (expected: Record) =
    for at, (loss, wanted) in Array.indexed (Array.zip found.Losses expected.Losses) do
        let distance = abs (float loss - float wanted)
        Expect.isLessThanOrEqual distance (bound * max 1.0 (float wanted)) $"loss {at + 1}"

let private goesOn (fixture: RunFixture) =
    let model, optimizer, rewirer = resumed fixture

    match stepsOf optimizer with
    | ValueSome steps -> Expect.equal steps (optimizerSteps fixture.Name) "the optimizer's steps"
    | ValueNone -> Expect.stringEnds fixture.Name "-sgd" "only SGD counts none"

    let expected = records.Value[fixture.Name]
    let found = follow fixture model optimizer rewirer
    Expect.equal found.Steps expected.Steps "the rewirer's steps"
    Expect.equal found.Patterns expected.Patterns "patterns"
    Expect.equal found.SamplesSeen expected.SamplesSeen "samples that K-winners have seen"
    Expect.equal found.PatternsAfter expected.PatternsAfter "patterns ten steps later"
    expectLosses found expected

[<Tests>]
let fixtureTests =
    testSequenced
    <| testList
        "Files of earlier versions"
        [ testList "runs go on" [ for fixture in runs -> testCase fixture.Name (fun () -> goesOn fixture) ]

          testList
              "runs are saved with the texts that they were read with"
              [ for fixture in runs do
                    testCase fixture.Name (fun () ->
                        let model, optimizer, rewirer = resumed fixture

                        let saved =
                            CheckpointFiles.withFile (fun file ->
                                let progress =
                                    { Step = Saved
                                      Seed = Seed.ofInt 5
                                      Notes = Dictionary<string, string>() }

                                Checkpoint.saveTraining progress file model optimizer (ValueSome rewirer)
                                textsOf file)

                        Expect.equal saved (unpacked folder fixture.Name textsOf) "texts") ]

          testList
              "rules that the file has no name for may have one now"
              [ for fixture in runs |> List.filter (fun fixture -> isRunOf "own" fixture.Name) do
                    testCase fixture.Name (fun () ->
                        let policy =
                            match fixture.Policy.Drop, fixture.Policy.Grow with
                            | Drop.Score drop, Grow.Score(needs, grow) ->
                                { fixture.Policy with
                                    Drop = Drop.NamedScore("column products", drop)
                                    Grow = Grow.NamedScore("far from the diagonal", needs, grow) }
                            | _ -> failtest "expected rules of one's own"

                        let named = { fixture with Policy = policy }
                        let _, _, rewirer = resumed named

                        Expect.equal
                            [ for notice in rewirer.Notices -> notice.Kind, notice.Layer ]
                            [ NoticeKind.UnnamedRule, "hidden"; NoticeKind.UnnamedRule, "output" ]
                            "noticed"

                        goesOn named) ]

          // Policies as callers write them, whose treatment of moments may be another by now: the file's stays the run's.
          testList
              "runs go on by their file's treatment of moments, whatever is usual now"
              [ for name, usual in
                    [ "rigl", Policy.rigL
                      "set", Policy.set
                      "snfs", Policy.snfs
                      "srigl", Policy.srigL ValueNone
                      "srigl-ablated", Policy.srigL (ValueSome 0.3) ] do
                    for fixture in runs |> List.filter (fun fixture -> isRunOf name fixture.Name) do
                        testCase fixture.Name (fun () ->
                            goesOn
                                { fixture with
                                    Policy = usual fixture.Policy.Schedule }) ]

          testList
              "roundings neither decide nor grow"
              [ for fixture in runs do
                    testCase fixture.Name (fun () ->
                        for salt in 1..4 do
                            let model, optimizer, rewirer = resumed fixture
                            disturb roundings salt model
                            let found = follow fixture model optimizer rewirer
                            let expected = records.Value[fixture.Name]
                            Expect.equal found.PatternsAfter expected.PatternsAfter "patterns ten steps later"
                            expectLosses found expected) ]

          testList
              "models and layers are what they were"
              [ for name, _, make in models do
                    testCase name (fun () ->
                        torch.manual_seed 99L |> ignore // other weights than the file's
                        use model = make ()
                        let before = stateOf model
                        unpacked folder name (fun file -> Checkpoint.load file model)
                        let after = stateOf model
                        Expect.equal after states.Value[name] "state"
                        Expect.notEqual after before "loaded") ]

          testCase "every file has its test" (fun () ->
              let tested =
                  set
                      [ for fixture in runs -> fixture.Name
                        for name, _, _ in models -> name ]

              let found =
                  set
                      [ for path in Directory.GetFiles(folder, "*.safetensors.gz") ->
                            (present "a name" (Path.GetFileName path)).Replace(".safetensors.gz", "") ]

              Expect.equal tested found "files") ]
