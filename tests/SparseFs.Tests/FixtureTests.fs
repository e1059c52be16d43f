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

/// What ten steps may differ by where sums are taken in another order, relative to a loss of 1 or more: a step sums over
/// at most 36 inputs, 16 units and 4 samples, forward and twice backward, so 10 · 3 · 56 roundings of 2^-24 each, and none of
/// them decides which weights exist, which was tried when the files were written.
let private bound = 10.0 * 3.0 * 56.0 * 2.0 ** -24.0

let private goesOnWith (policy: Policy -> Policy) (fixture: RunFixture) =
    let fixture =
        { fixture with
            Policy = policy fixture.Policy }

    let model, optimizer, rewirer = start fixture

    let progress =
        unpacked folder fixture.Name (fun file -> Checkpoint.resume file model optimizer (ValueSome rewirer))

    let expected = records.Value[fixture.Name]
    Expect.equal progress.Step Saved "the caller's step"
    let found = follow fixture model optimizer rewirer
    Expect.equal found.Steps expected.Steps "the rewirer's steps"
    Expect.equal found.Patterns expected.Patterns "patterns"
    Expect.equal found.SamplesSeen expected.SamplesSeen "samples that K-winners have seen"
    Expect.equal found.PatternsAfter expected.PatternsAfter "patterns ten steps later"

    for at, (loss, wanted) in Array.indexed (Array.zip found.Losses expected.Losses) do
        let distance = abs (float loss - float wanted)
        Expect.isLessThanOrEqual distance (bound * max 1.0 (float wanted)) $"loss {at + 1}"

[<Tests>]
let fixtureTests =
    testSequenced
    <| testList
        "Files of earlier versions"
        [ testList "runs go on" [ for fixture in runs -> testCase fixture.Name (fun () -> goesOnWith id fixture) ]

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
                            Path.GetFileName(path).Replace(".safetensors.gz", "") ]

              Expect.equal tested found "files") ]
