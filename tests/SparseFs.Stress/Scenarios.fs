/// The scenarios: pairs of calls on one model, and the situations in which the first faults were seen.
module SparseFs.Stress.Scenarios

open System
open System.Collections.Generic
open System.Diagnostics
open System.Threading
open SparseFs
open SparseFs.Stress.Coded
open SparseFs.Stress.World
open SparseFs.Stress.Actors
open SparseFs.Stress.Threads
open TorchSharp
open TorchSharp.Modules

let private several (w: World) (name: string) (threads: int) (count: int) =
    [ for i in 1..threads -> $"{name} {i}", count, (named name).Start w ]

/// load_state_dict returns; then threads use the layer for the first time.
let private firstUses (shape: Shape) (rounds: int) : string list =
    use w = new World(shape)
    let states = w.ModelStates Nnz

    let uses (version: int) =
        let c = patternOf Nnz version
        let output = outputOf Nnz version
        let forward _ = w.Expect(output, "not what was loaded")

        let pattern _ =
            if w.Layer.Connectivity <> c then
                failwith "not the pattern that was loaded"

        [ "first forward 1", 1, forward
          "first forward 2", 1, forward
          "first forward 3", 1, forward
          if version % 2 = 0 then
              "first getter", 1, pattern ]

    [ for round in 1..rounds do
          let version = round % Versions
          w.Model.load_state_dict (states[version], true) |> ignore
          yield! together w (uses version) ]

/// One thread rewires, another looks at state_dict: no update may be undone.
let private looksAtRewired (updates: int) : string list =
    use w = new World(Shape.Nested)

    let rewirer =
        new Rewirer(w.Layer, w.Optimizer, Policy.set (Schedule.constant 0.3 1L Int64.MaxValue), Seed.ofInt 3)

    w.Promise <- Promise.Nothing // numbers are filled in by hand
    w.IsIdle <- false
    let mutable left = updates

    let rewire i =
        fill (i % Versions) w.Layer
        let before = w.Layer.Connectivity
        trainBy w rewirer |> ignore
        let c = w.Layer.Connectivity

        if c = before then
            failwith "nothing was rewired"

        Thread.Sleep 2
        checkRewired w c
        Volatile.Write(&left, updates - i - 1)

    let state = (named "state_dict").Start w

    let look i =
        while Volatile.Read &left > 0 do
            state i
            Thread.Sleep 1

    together w [ "rewire", updates, rewire; "look", 1, look ]

/// A thread trains, another saves, others infer.
let private training (policy: Policy) (steps: int) : string list =
    use w = new World(Shape.Nested)
    w.Promise <- Promise.OwnCells
    w.IsIdle <- false

    let rewirerFor (model: torch.nn.Module) (optimizer: torch.optim.Optimizer) =
        new Rewirer(model, optimizer, policy, Seed.ofInt 3)

    let rewirer = rewirerFor w.Model w.Optimizer

    let train _ =
        trainBy w rewirer |> ignore
        checkRewired w w.Layer.Connectivity

    together
        w
        [ "train", steps, train
          "autosave", steps / 4, saveRun w (ValueSome(rewirer, rewirerFor))
          "autosave without the rewirer", steps / 4, saveRun w ValueNone
          "save", steps / 4, (named "save").Start w
          yield! several w "forward" 2 steps ]

/// A service that reloads beside its requests.
let private hotReload (name: string) (requests: int) : string list =
    use w = new World(Shape.Nested)
    w.IsIdle <- false
    together w ((name, requests / 4, (named name).Start w) :: several w "forward" 3 requests)

/// Threads save an idle model.
let private twoSavers (saves: int) : string list =
    use w = new World(Shape.Nested)
    together w (several w "save" 2 saves)

/// Everything that changes nothing, at once.
let private allReaders (calls: int) : string list =
    use w = new World(Shape.Nested)

    together
        w
        [ for actor in Actors.all do
              if actor.Kind = Kind.Reads then
                  actor.Name, int (float calls * actor.Share), actor.Start w ]

/// Many threads call layers of several sizes, each call large enough for several processors: every answer is that of a
/// lone caller, and the process keeps few threads.
let private callers (calls: int) : string list =
    let count = 16
    torch.set_num_threads Environment.ProcessorCount
    use w = new World(Shape.Alone)

    let layers =
        [| for cols, rows, samples in [ 512, 512, 1; 512, 512, 33; 300, 700, 64; 100, 2000, 17; 1024, 1024, 9 ] do
               let layer = new SparseLinear(cols, rows, sparsity = 0.8, seed = Seed.ofInt rows)
               let x = torch.randn (int64 samples, int64 cols)
               use _ = torch.no_grad ()
               struct (layer, x, numbers (layer.call x)) |]

    let threadsOfProcess () =
        use own = Process.GetCurrentProcess()
        own.Threads.Count

    let before = threadsOfProcess ()
    let most: int[] = [| 0 |]

    let call (caller: int) (i: int) =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let struct (layer, x, answer) = layers[(caller + i) % layers.Length]

        // Compared here: torch's own comparison would begin threads for each caller.
        if numbers (layer.call x) <> answer then
            failwith "not the answer of a lone caller"

        if i % 100 = 99 then
            lock most (fun () -> most[0] <- max most[0] (threadsOfProcess ()))

    let failures =
        together w [ for caller in 1..count -> $"caller {caller}", calls, call caller ]

    // Workers, libtorch's own team of one caller, and what .NET starts by itself.
    let mayHave = before + count + 2 * (Environment.ProcessorCount - 1) + 8

    if most[0] > mayHave then
        $"expected at most {mayHave} threads, got {most[0]}" :: failures
    else
        failures

/// A convolution, K-winners of its channels, another convolution, and a transposed one; its patterns and numbers are of a seed.
let private convolutional (seed: int) : Sequential =
    torch.manual_seed (int64 seed) |> ignore
    let one, rest = Seed.split (Seed.ofInt seed)
    let two, three = Seed.split rest

    let winners =
        new KWinners2d(
            12,
            { KWinnersOptions.ofK 5 with
                Boost = Boost.None },
            local = true
        )

    let model =
        torch.nn.Sequential(
            new SparseConv2d(6, 12, 3, padding = 1, sparsity = 0.7, seed = one),
            winners,
            new SparseConv2d(12, 8, 3, stride = 2, groups = 2, sparsity = 0.5, seed = two),
            new SparseConvTranspose2d(8, 4, 3, stride = 2, groups = 2, sparsity = 0.5, seed = three)
        )

    model.eval ()
    model

/// A service of convolutions, with images of more sizes than stencils are kept, that reloads beside its requests: each answer is that
/// of some version of each layer, which are loaded one after the other.
let private reloadedConvolutions (requests: int) : string list =
    use w = new World(Shape.Alone)
    use _ = torch.no_grad ()
    let versions = [| for seed in 1..3 -> convolutional seed |]

    let files =
        versions
        |> Array.map (fun version ->
            let file = w.NewFile()
            Checkpoint.save file version
            file)

    let images = [| for size in 9L .. 16L -> torch.randn (2L, 6L, size, size + 3L) |]

    let answers =
        [| for x in images ->
               HashSet<float32[]>(
                   [ for first in versions do
                         for second in versions do
                             for third in versions do
                                 numbers (third[3].call(second[2].call(first[1].call(first[0].call x)))) ],
                   HashIdentity.Structural
               ) |]

    let model = convolutional 1

    let request (caller: int) (i: int) =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let at = (3 * caller + i) % images.Length

        if not (answers[at].Contains(numbers (model.call images[at]))) then
            failwith $"an answer of no version, for images {images[at]}"

    let reload i =
        Checkpoint.load files[i % files.Length] model

    together
        w
        (("reload", requests / 2, reload)
         :: [ for caller in 1..4 -> $"caller {caller}", requests, request caller ])

/// A thread trains convolutions by RigL, others infer and save: outputs are finite, and files are whole.
let private trainedConvolutions (steps: int) : string list =
    use w = new World(Shape.Alone)
    let model = convolutional 1
    use optimizer = torch.optim.SGD(model.parameters (), 0.01, momentum = 0.9)

    use rewirer =
        new Rewirer(model, optimizer, Policy.rigL (Schedule.constant 0.3 2L Int64.MaxValue), Seed.ofInt 3)

    let train i =
        use _ = torch.NewDisposeScope()
        let x = torch.randn (4L, 6L, 8L + int64 (i % 6), 10L)
        optimizer.zero_grad ()
        model.call(x).square().mean().backward()
        rewirer.Step() |> ignore

    let infer _ =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let y = model.call (torch.randn (2L, 6L, 11L, 9L))

        if not (y.isfinite().all().item<bool>()) then
            failwith "an output that is not finite"

    let save _ =
        let file = w.NewFile()
        Checkpoint.save file model
        use other = convolutional 2
        Checkpoint.load file other

    together
        w
        [ "train", steps, train
          "infer 1", steps, infer
          "infer 2", steps, infer
          "save", steps / 4, save ]

/// Calls where a forward has one, in a pair.
[<Literal>]
let private Forwards = 400

/// Scenarios by name, each given how many times the usual counts.
let all: (string * (int -> string list)) list =
    [ for i, a in List.indexed Actors.all do
          $"pairs-of-{a.Name}",
          (fun times ->
              [ for b in List.skip i Actors.all do
                    if Pairs.areApart a b then
                        yield! Pairs.pair Shape.Nested (Forwards * times) a b ])

      for name, shape in
          [ "alone", Shape.Alone
            "shared", Shape.Shared
            "dense", Shape.Dense
            "k-winners", Shape.Winners ] do
          $"{name}-forward",
          (fun times ->
              [ for b in Actors.all do
                    yield! Pairs.pair shape (Forwards * times) (named "forward") b ])

      "first-uses", (fun times -> firstUses Shape.Nested (150 * times))
      "first-uses-shared", (fun times -> firstUses Shape.Shared (150 * times))
      "first-uses-k-winners", (fun times -> firstUses Shape.Winners (150 * times))
      "looks-at-a-rewired-model", (fun times -> looksAtRewired (360 * times))
      "training-by-gradual-pruning",
      (fun times -> training (Policy.gradual 0.8 0.95 (Schedule.constant 0.0 2L (300L * int64 times))) (300 * times))
      "training-by-set", (fun times -> training (Policy.set (Schedule.constant 0.3 2L Int64.MaxValue)) (300 * times))
      "training-by-rigl", (fun times -> training (Policy.rigL (Schedule.constant 0.3 2L Int64.MaxValue)) (300 * times))
      "hot-reload", (fun times -> hotReload "load" (1000 * times))
      "hot-reload-of-another-nnz", (fun times -> hotReload "load-of-another-nnz" (1000 * times))
      "reloaded-convolutions", (fun times -> reloadedConvolutions (400 * times))
      "trained-convolutions", (fun times -> trainedConvolutions (300 * times))
      "callers", (fun times -> callers (400 * times))
      "two-savers", (fun times -> twoSavers (2000 * times))
      "all-readers", (fun times -> allReaders (1000 * times)) ]

/// A scenario, or a pair of a scenario: "load+rewire".
let tryFind (name: string) : (int -> string list) option =
    let actor (name: string) =
        Actors.all |> List.tryFind (fun actor -> actor.Name = name)

    match name.Split '+' with
    | [| a; b |] ->
        Option.map2 (fun a b -> fun times -> Pairs.pair Shape.Nested (Forwards * times) a b) (actor a) (actor b)
    | _ -> all |> List.tryFind (fun (known, _) -> known = name) |> Option.map snd
