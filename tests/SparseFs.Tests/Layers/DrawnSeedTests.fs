/// Layers and rewirers that are made without a seed, and what torch.manual_seed says of them.
module SparseFs.Tests.DrawnSeedTests

open System
open System.Collections.Generic
open System.IO
open Expecto
open SparseFs
open SparseFs.CSharp
open SparseFs.Tests.Refusals
open TorchSharp

let private generator () : byte[] =
    use state = torch.get_rng_state ()
    state.bytes.ToArray()

let private numbers (t: torch.Tensor) : float32[] = t.data<float32>().ToArray()

/// What a layer is: its pattern, weights and bias.
let private contents (layer: SparseLinear) =
    layer.Connectivity, numbers layer.weight, numbers layer.PresentBias

let private sizes = 30, 20

/// Every way to a layer without a seed.
let private unseeded: (string * (unit -> SparseLinear)) list =
    let inputs, outputs = sizes

    let scaleFree rows cols nnz seed =
        Topology.scaleFree rows cols nnz 3.0 seed

    [ "uniform", (fun () -> new SparseLinear(inputs, outputs, sparsity = 0.8))
      "small world", (fun () -> new SparseLinear(inputs, outputs, sparsity = 0.8, topology = Topology.smallWorld))
      "scale-free", (fun () -> new SparseLinear(inputs, outputs, sparsity = 0.8, topology = scaleFree))
      "normal weights", (fun () -> new SparseLinear(inputs, outputs, init = Init.KaimingNormal))
      "in SparseLinear's words", (fun () -> FromSparseLinear.SparseLinear(inputs, outputs, smallWorld = true))
      "C#", (fun () -> sparsenn.SparseLinear(int64 inputs, int64 outputs))
      "C#, with a topology",
      (fun () ->
          sparsenn.SparseLinear(
              int64 inputs,
              int64 outputs,
              Func<_, _, _, _, _>(fun r c n s -> Topology.smallWorld r c n s)
          )) ]

let private after (seed: int64) (work: unit -> 'a) : 'a =
    torch.manual_seed seed |> ignore
    work ()

/// A model without a seed anywhere, trained and rewired by random growth: what it is in the end.
let private run () =
    use _ = torch.NewDisposeScope()
    let hidden = new SparseLinear(20, 30, sparsity = 0.7)
    let output = new SparseLinear(30, 5, sparsity = 0.5)
    use model = torch.nn.Sequential(hidden, torch.nn.ReLU(), output)
    use optimizer = torch.optim.SGD(model.parameters (), 0.1)

    use rewirer =
        new Rewirer(model, optimizer, Policy.set (Schedule.constant 0.3 2L 100L))

    for _ in 1..6 do
        use _ = torch.NewDisposeScope()
        optimizer.zero_grad ()
        (model.call (torch.randn (8L, 20L))).square().mean().backward()
        rewirer.Step() |> ignore

    contents hidden, contents output

[<Tests>]
let drawnSeeds =
    testSequenced
    <| testList
        "Drawn seeds"
        [ for name, make in unseeded do
              testCase $"{name}: two layers without a seed differ" (fun () ->
                  use first = make ()
                  use second = make ()
                  Expect.notEqual first.Connectivity second.Connectivity "pattern"
                  Expect.notEqual first.Seed second.Seed "seed")

              testCase $"{name}: torch.manual_seed makes the same layer again" (fun () ->
                  use first = after 7L make
                  use second = after 7L make
                  use other = after 8L make
                  Expect.equal (contents second) (contents first) "the same number"
                  Expect.notEqual other.Connectivity first.Connectivity "another number")

          testCase "the seed that a layer names makes its pattern again" (fun () ->
              let inputs, outputs = sizes
              use drawn = new SparseLinear(inputs, outputs)
              use again = new SparseLinear(inputs, outputs, seed = drawn.Seed.Value)
              Expect.equal again.Connectivity drawn.Connectivity "by the property"

              let text = string drawn
              let at = text.IndexOf "seed=" + "seed=".Length
              let number = Int64.Parse(text.Substring(at, text.IndexOf(')', at) - at))
              Expect.isGreaterThanOrEqual number 0L "63 bits"
              use again = new SparseLinear(inputs, outputs, seed = Seed.ofInt64 number)
              Expect.equal again.Connectivity drawn.Connectivity "by the text"
              use again = sparsenn.SparseLinear(int64 inputs, int64 outputs, seed = number)
              Expect.equal again.Connectivity drawn.Connectivity "in C#")

          testCase "any number is told as it was given, and a child as it is" (fun () ->
              for number in [ 0L; 1L; -1L; Int64.MaxValue; Int64.MinValue; 123456789012345678L ] do
                  use layer = new SparseLinear(3, 2, seed = Seed.ofInt64 number)
                  Expect.stringContains (string layer) $", seed={number})" "a number"

              let child = Seed.child 3 (Seed.ofInt 1)
              use layer = new SparseLinear(3, 2, seed = child)
              Expect.stringContains (string layer) $", seed={child})" "a child"
              Expect.equal layer.Seed (Nullable child) "itself")

          testCase "the initial numbers are those of a layer with a seed; one number is drawn after them" (fun () ->
              for init in
                  [ Init.FanIn
                    Init.DenseFanIn
                    Init.KaimingUniform
                    Init.KaimingNormal
                    Init.Zeros ] do
                  use drawn = after 5L (fun () -> new SparseLinear(30, 20, init = init))

                  let next = generator ()

                  use seeded =
                      after 5L (fun () -> new SparseLinear(30, 20, seed = drawn.Seed.Value, init = init))

                  use number = torch.randint (Int64.MaxValue, [| 1L |], dtype = torch.int64)
                  Expect.equal (contents seeded) (contents drawn) $"{init}: the same numbers"
                  Expect.equal (Seed.ofInt64 (number.item<int64>())) drawn.Seed.Value $"{init}: then the seed"
                  Expect.equal (generator ()) next $"{init}: and nothing more")

          testCase "a layer with a seed or a pattern draws its numbers alone" (fun () ->
              let drawsBy (make: unit -> SparseLinear) =
                  use _ = after 3L make
                  generator ()

              let numbersAlone =
                  after 3L (fun () ->
                      use _ = torch.rand (60L)
                      use _ = torch.rand (20L)
                      generator ())

              let pattern = Topology.uniform 20 30 60 (Seed.ofInt 1)
              Expect.equal (drawsBy (fun () -> new SparseLinear(30, 20, seed = Seed.ofInt 1))) numbersAlone "a seed"
              Expect.equal (drawsBy (fun () -> new SparseLinear(pattern))) numbersAlone "a pattern"
              Expect.equal (drawsBy (fun () -> sparsenn.SparseLinear(30L, 20L, seed = 1L))) numbersAlone "C#"

              Expect.notEqual (drawsBy (fun () -> new SparseLinear(30, 20))) numbersAlone "not vacuous"

              let before = after 3L generator

              Expect.equal
                  (drawsBy (fun () -> new SparseLinear(30, 20, seed = Seed.ofInt 1, init = Init.Zeros)))
                  before
                  "zeros")

          testCase "a layer over a given pattern names no seed" (fun () ->
              use layer = new SparseLinear(Connectivity.full 2 3)
              Expect.isFalse layer.Seed.HasValue "property"
              Expect.isFalse ((string layer).Contains "seed") "text")

          testCase "torch.manual_seed makes a whole run again: patterns, values, steps and updates" (fun () ->
              let first = after 11L run
              Expect.equal (after 11L run) first "the same"
              Expect.notEqual (after 12L run) first "another")

          testCase "a rewirer without a seed draws one number, and one with a seed none" (fun () ->
              use layer = new SparseLinear(30, 20, seed = Seed.ofInt 1)
              use optimizer = torch.optim.SGD(layer.parameters (), 0.1)
              let policy = Policy.set (Schedule.constant 0.3 2L 100L)

              let seedOf (make: unit -> Rewirer) =
                  use rewirer = after 9L make
                  rewirer.Capture().Seed

              let drawn = seedOf (fun () -> new Rewirer(layer, optimizer, policy))
              let next = generator ()

              after 9L (fun () ->
                  use number = torch.randint (Int64.MaxValue, [| 1L |], dtype = torch.int64)
                  Expect.equal drawn (Seed.ofInt64 (number.item<int64>())) "the number"
                  Expect.equal next (generator ()) "and nothing more")

              Expect.equal (seedOf (fun () -> Rewiring.Rewire(layer, optimizer, policy))) drawn "C#"

              let given =
                  seedOf (fun () -> new Rewirer(layer, optimizer, policy, seed = Seed.ofInt 4))

              Expect.equal (generator ()) (after 9L generator) "a seed"
              Expect.equal given (Seed.ofInt 4) "the one that was given"

              Expect.equal
                  (seedOf (fun () -> Rewiring.Rewire(layer, optimizer, policy, seed = Seed.ofInt 4)))
                  given
                  "C#, a seed")

          refuses
              "a topology that gives another shape"
              "topology"
              "expected a pattern [20, 30] with 60 slots"
              (fun () ->
                  new SparseLinear(30, 20, topology = fun rows cols nnz seed -> Topology.uniform cols rows nnz seed))

          refuses "a topology that gives another number of slots" "topology" "got [20, 30] with 59" (fun () ->
              new SparseLinear(
                  30,
                  20,
                  seed = Seed.ofInt 1,
                  topology = fun rows cols nnz seed -> Topology.uniform rows cols (nnz - 1) seed
              ))

          refuses "a topology that gives nothing" "topology" "got null" (fun () ->
              new SparseLinear(30, 20, topology = fun _ _ _ _ -> Unchecked.defaultof<Connectivity>)) ]

let private inFile (work: string -> unit) =
    let file = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid()}.safetensors")

    try
        work file
    finally
        File.Delete file

/// Writes a layer's file with the text of its seed changed, or taken away.
let private withSeedText (change: string -> string option) (file: string) =
    let bytes = File.ReadAllBytes file
    let length = int (BitConverter.ToInt64(bytes, 0))
    let header = Text.Encoding.UTF8.GetString(bytes, 8, length)

    let changed =
        Text.RegularExpressions.Regex.Replace(
            header,
            ",?\"sparsefs\\.seed\\.([^\"]*)\":\"([^\"]*)\"",
            fun m ->
                match change m.Groups[2].Value with
                | Some text -> $",\"sparsefs.seed.{m.Groups[1].Value}\":\"{text}\""
                | None -> ""
        )

    Expect.notEqual changed header "there was a seed"
    let header = Text.Encoding.UTF8.GetBytes changed
    let padded = Array.append header (Array.create ((8 - header.Length % 8) % 8) 32uy)

    File.WriteAllBytes(file, Array.concat [ BitConverter.GetBytes(int64 padded.Length); padded; bytes[8 + length ..] ])

[<Tests>]
let storedSeeds =
    testSequenced
    <| testList
        "Stored seeds"
        [ testCase "a checkpoint keeps the seed of each layer" (fun () ->
              inFile (fun file ->
                  let child = Seed.child 2 (Seed.ofInt 5)

                  let model (first: SparseLinear) (second: SparseLinear) =
                      torch.nn.Sequential(first, second, new SparseLinear(Connectivity.full 2 3))

                  use drawn = new SparseLinear(6, 5)
                  use seeded = new SparseLinear(5, 3, seed = child)
                  use saved = model drawn seeded
                  Checkpoint.save file saved
                  use first = new SparseLinear(6, 5)
                  use second = new SparseLinear(5, 3)
                  use loaded = model first second
                  Checkpoint.load file loaded
                  Expect.equal first.Seed drawn.Seed "drawn"
                  Expect.equal second.Seed (Nullable child) "a child"
                  use alone = Checkpoint.sparseLayer WeightForm.SparseFs file "0"
                  Expect.equal alone.Seed drawn.Seed "a layer alone"
                  use given = Checkpoint.sparseLayer WeightForm.SparseFs file "2"
                  Expect.isFalse given.Seed.HasValue "a pattern that was given"))

          testCase "a file that says no seed loads, and the layer names none" (fun () ->
              inFile (fun file ->
                  use saved = new SparseLinear(6, 5)
                  Checkpoint.save file saved
                  withSeedText (fun _ -> None) file
                  use loaded = new SparseLinear(6, 5)
                  Checkpoint.load file loaded
                  Expect.equal (contents loaded) (contents saved) "loaded"
                  Expect.isFalse loaded.Seed.HasValue "its own seed did not draw this pattern"
                  use alone = Checkpoint.sparseLayer WeightForm.SparseFs file ""
                  Expect.isFalse alone.Seed.HasValue "a layer alone"))

          testCase "a text that is no seed is refused, and nothing has changed" (fun () ->
              for text in
                  [ ""
                    "7"
                    "0000000000000001/0000000000000002"
                    "+000000000000001/0000000000000001"
                    "1/1" ] do
                  inFile (fun file ->
                      use saved = new SparseLinear(6, 5)
                      Checkpoint.save file saved
                      withSeedText (fun _ -> Some text) file
                      use layer = new SparseLinear(6, 5)
                      let before = contents layer, layer.Seed

                      for load in
                          [ (fun () -> Checkpoint.load file layer)
                            (fun () -> (Checkpoint.sparseLayer WeightForm.SparseFs file "").Dispose()) ] do
                          try
                              load ()
                              failtest $"'{text}': expected an exception"
                          with :? CheckpointException as e ->
                              Expect.equal e.Problem CheckpointProblem.Value text
                              Expect.stringContains e.Message "expected a seed" text

                      Expect.equal (contents layer, layer.Seed) before text))

          testCase "a run that resumes has its layers' seeds and its rewirer's" (fun () ->
              inFile (fun file ->
                  let start: TrainingProgress =
                      { Step = 0L
                        Seed = Seed.ofInt 0
                        Notes = Dictionary() }

                  let run (work: SparseLinear -> torch.optim.Optimizer -> Rewirer -> unit) =
                      use layer = new SparseLinear(6, 5, sparsity = 0.5)
                      use optimizer = torch.optim.SGD(layer.parameters (), 0.1)

                      use rewirer =
                          new Rewirer(layer, optimizer, Policy.set (Schedule.constant 0.3 2L 100L))

                      work layer optimizer rewirer

                  let mutable seeds = Nullable(), Seed.ofInt 0

                  run (fun layer optimizer rewirer ->
                      seeds <- layer.Seed, rewirer.Capture().Seed
                      Checkpoint.saveTraining start file layer optimizer (ValueSome rewirer))

                  run (fun layer optimizer rewirer ->
                      Checkpoint.resume file layer optimizer (ValueSome rewirer) |> ignore
                      Expect.equal (layer.Seed, rewirer.Capture().Seed) seeds "both"))) ]
