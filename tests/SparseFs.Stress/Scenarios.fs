/// Pairs of calls on one model, and the situations in which the first faults were seen.
module SparseFs.Stress.Scenarios

open System
open System.Diagnostics
open System.Runtime.InteropServices
open System.Threading
open SparseFs
open SparseFs.Stress.Coded
open SparseFs.Stress.World
open SparseFs.Stress.Actors
open TorchSharp

/// A scenario ends after so many seconds, finished or not.
let private secondsAtMost = 60.0

/// Words by which a call says that the layer is not what it was, where it may say so.
let private isRefusal (w: World) (e: exn) =
    w.MayRefuse
    && (match e with
        | :? ObjectDisposedException
        | :? InvalidOperationException
        | :? ArgumentException
        | :? ExternalException
        | :? CheckpointException
        // TorchSharp's own: a parameter that is freed, an optimizer whose parameter was exchanged by .to
        | :? NullReferenceException
        | :? Collections.Generic.KeyNotFoundException -> true
        | _ -> false)

/// Runs works side by side, each on a thread of its own, so many times; the first failures, with where they were.
let private together (w: World) (works: (string * int * (int -> unit)) list) : string list =
    let failures = ResizeArray<string>()
    let watch = Stopwatch.StartNew()
    let begin' = new ManualResetEventSlim(false)

    let threads =
        [ for name, count, work in works ->
              Thread(fun () ->
                  begin'.Wait()
                  let mutable i = 0

                  while i < count && watch.Elapsed.TotalSeconds < secondsAtMost do
                      try
                          work i
                      with e ->
                          if not (isRefusal w e) then
                              lock failures (fun () -> failures.Add $"{name}: {e.GetType().Name}: {e.Message}")

                      i <- i + 1) ]

    threads |> List.iter _.Start()
    begin'.Set()
    threads |> List.iter _.Join()
    List.ofSeq failures

/// Two actors on one model.
let pair (shape: Shape) (forwards: int) (a: Actor) (b: Actor) : string list =
    // The last line of a process that crashed says where.
    eprintfn $"{a.Name} beside {b.Name}"
    use w = new World(shape, 1)

    let kinds = [ a.Kind; b.Kind ]
    let isChanged = kinds |> List.exists (fun kind -> kind <> Kind.Reads)
    w.IsStrict <- kinds |> List.forall (fun kind -> kind = Kind.Reads || kind = Kind.Changes)

    w.MayRefuse <-
        List.contains Kind.Moves kinds
        || (isChanged && (a.Name.Contains "backward" || b.Name.Contains "backward"))

    // Two changes at once are one thread's business; what is asked of them is that nothing crashes.
    if kinds |> List.forall (fun kind -> kind <> Kind.Reads) then
        w.MayRefuse <- true
        w.IsStrict <- false

    let count (actor: Actor) =
        max 1 (int (float forwards * actor.Share))

    // A pair of one actor twice is two threads of it.
    together w [ a.Name, count a, a.Start w; b.Name, count b, b.Start w ]
    |> List.map (fun failure -> $"{a.Name} beside {b.Name}: {failure}")

/// load_state_dict returns; then three threads make their first forward.
let firstUses (rounds: int) : string list =
    use w = new World(Shape.Nested, 1)
    let states = w.ModelStates

    [ for round in 1..rounds do
          let version = round % Versions
          w.Model.load_state_dict (states[version], true) |> ignore

          let look _ =
              use _ = torch.no_grad ()
              use _ = torch.NewDisposeScope()
              let y = numbers (w.Model.call (probe ()))
              let c = patternOf Nnz version
              let expected = Array.create (Cols * Rows) (biasOf version)
              let weights = weightsOf version c
              let rowOf = Connectivity.rowIndices c

              for slot in 0 .. c.Nnz - 1 do
                  expected[c.ColIdx[slot] * Rows + rowOf[slot]] <- weights[slot] + biasOf version

              if y <> expected then
                  failwith "not what was loaded"

          yield! together w [ for i in 1..3 -> $"first use {i}", 1, look ] ]

/// One thread rewires, another looks at state_dict: no update may be undone.
let looks (updates: int) : string list =
    use w = new World(Shape.Nested, 1)
    let policy = Policy.set (Schedule.constant 0.3 1L Int64.MaxValue)
    let rewirer = Rewirer(w.Layer, w.Optimizer, policy, Seed.ofInt 3)
    let mutable isOver = false

    let rewire _ =
        fill 2 w.Layer
        rewirer.Step() |> ignore
        let c = w.Layer.Connectivity
        Thread.Sleep 1

        if w.Layer.Connectivity <> c then
            failwith "an update was undone"

        use _ = torch.no_grad ()
        use _ = torch.NewDisposeScope()

        match wrong (numbers (w.Model.call (probe ()))) with
        | ValueSome what -> failwith $"weights in another pattern: {what}"
        | ValueNone -> ()

    let watch = Stopwatch.StartNew()

    let look _ =
        while not (Volatile.Read &isOver) && watch.Elapsed.TotalSeconds < secondsAtMost do
            w.Model.state_dict () |> ignore
            Thread.Sleep 1

    together
        w
        [ "rewire", updates, rewire
          "end",
          1,
          (fun _ ->
              // The looker ends when the updates have: a thread of its own waits for their number.
              while rewirer.Steps < int64 updates && watch.Elapsed.TotalSeconds < secondsAtMost do
                  Thread.Sleep 5

              Volatile.Write(&isOver, true))
          "look", 1, look ]

/// A thread trains with gradual pruning, saves beside it, and others infer.
let trainingWithSaves (steps: int) : string list =
    use w = new World(Shape.Nested, 1)

    let rewirer =
        Rewirer(w.Layer, w.Optimizer, Policy.gradual 0.8 0.95 (Schedule.constant 0.0 2L (int64 steps)), Seed.ofInt 3)

    let train _ =
        use _ = torch.NewDisposeScope()
        let loss = (w.Model.call (probe ())).mean()
        loss.backward ()
        rewirer.Step() |> ignore

    let actor name =
        all |> List.find (fun a -> a.Name = name)

    let beside name count =
        let actor = actor name
        name, count, actor.Start w

    together
        w
        [ "train", steps, train
          beside "save" (steps / 4)
          beside "forward" steps
          beside "forward" steps ]

/// A service that reloads beside its requests.
let hotReload (requests: int) : string list =
    use w = new World(Shape.Nested, 1)

    let actor name =
        all |> List.find (fun a -> a.Name = name)

    together
        w
        [ "load", requests / 4, (actor "load-of-another-nnz").Start w
          for i in 1..3 do
              $"request {i}", requests, (actor "forward").Start w ]

/// Two threads save an idle model.
let twoSavers (saves: int) : string list =
    use w = new World(Shape.Nested, 1)
    let save = (all |> List.find (fun a -> a.Name = "save")).Start w
    let look = (all |> List.find (fun a -> a.Name = "state_dict")).Start w
    together w [ "save 1", saves, save; "save 2", saves, save; "look", saves * 4, look ]

/// Scenarios by name, each given how many times the usual counts.
let all: (string * (int -> string list)) list =
    [ for i, a in List.indexed Actors.all do
          $"pairs-of-{a.Name}",
          (fun times ->
              [ for b in List.skip i Actors.all do
                    yield! pair Shape.Nested (200 * times) a b ])

      for name, shape in
          [ "alone", Shape.Alone
            "shared", Shape.Shared
            "dense", Shape.Dense
            "k-winners", Shape.Winners ] do
          $"{name}-beside-changes",
          (fun times ->
              [ for b in Actors.all do
                    if b.Name <> "export" then
                        yield! pair shape (200 * times) (List.head Actors.all) b ])

      "first-uses", (fun times -> firstUses (150 * times))
      "looks-at-a-rewired-model", (fun times -> looks (360 * times))
      "training-with-saves", (fun times -> trainingWithSaves (400 * times))
      "hot-reload", (fun times -> hotReload (1000 * times))
      "two-savers", (fun times -> twoSavers (200 * times)) ]
