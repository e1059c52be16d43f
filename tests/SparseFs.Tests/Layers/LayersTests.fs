/// Choices of layers, and what takes them: a rewirer, Sparsify, and a run that is resumed.
module SparseFs.Tests.LayersTests

open System
open System.Collections.Generic
open System.IO
open Expecto
open SparseFs
open SparseFs.CSharp
open SparseFs.Tests.CheckpointFiles
open TorchSharp
open TorchSharp.Modules

let private rigL = Policy.rigL (Schedule.constant 0.5 1L 100L)

let private named (name: string) (m: torch.nn.Module<torch.Tensor, torch.Tensor>) = struct (name, m)

/// Two hidden layers and an output, all sparse.
let private sparseModel (policy: (Policy | null)) : Sequential =
    let layer (seed: int) (rows: int) (cols: int) =
        let layer = new SparseLinear(Topology.uniform rows cols 40 (Seed.ofInt seed))
        layer.Policy <- policy
        layer

    torch.nn.Sequential(named "hidden.0" (layer 1 12 10), named "hidden.1" (layer 2 14 12), named "head" (layer 3 5 14))

let private denseModel () : Sequential =
    torch.nn.Sequential(
        named "hidden0" (torch.nn.Linear(10L, 12L)),
        named "hidden1" (torch.nn.Linear(12L, 14L)),
        named "head" (torch.nn.Linear(14L, 5L))
    )

let private patterns (model: Sequential) : Connectivity list =
    [ for m in model.modules () do
          match m with
          | :? SparseLinear as layer -> layer.Connectivity
          | _ -> () ]

/// A refusal as ArgumentException, whose message, which has the argument's name, says all of this.
let private refused (says: string list) (work: unit -> 'a) =
    let e = Expect.throwsC (fun () -> work () |> ignore) id
    Expect.isTrue (e :? ArgumentException) $"an ArgumentException, not {e}"

    for what in says do
        Expect.stringContains e.Message what "message"

let private step (model: Sequential) (rewirer: Rewirer) : RewireEvent[] =
    use _ = torch.NewDisposeScope()
    use x = torch.randn (8L, 10L)
    model.call(x).pow(2.0.ToScalar()).sum().backward()
    rewirer.Step()

/// Names of the layers that a choice has, of a rewirer over the model of three.
let private chosen (layers: Layers) : string list =
    use model = sparseModel null

    use rewirer =
        new Rewirer(model, torch.optim.SGD(model.parameters (), 0.1), rigL, layers = layers)

    [ for struct (name, _) in rewirer.Layers -> name ]

[<Tests>]
let layersTests =
    testList
        "Layers"
        [ testCase "names, patterns and predicates choose" (fun () ->
              let all = [ "hidden.0"; "hidden.1"; "head" ]
              Expect.equal (chosen Layers.All) all "all"
              Expect.equal (chosen (Layers.Named "hidden.0")) [ "hidden.0" ] "one name"
              Expect.equal (chosen (Layers.Named("head", "hidden.1"))) [ "hidden.1"; "head" ] "the model's order"
              Expect.equal (chosen (Layers.Named "h*")) all "any characters"
              Expect.equal (chosen (Layers.Named "hidden.?")) [ "hidden.0"; "hidden.1" ] "one character"
              Expect.equal (chosen (Layers.All.Except "hidden*")) [ "head" ] "except"
              Expect.equal (chosen (Layers.Named("hid*").Except("*1"))) [ "hidden.0" ] "except some of those"
              Expect.equal (chosen (Layers.Named("*0").And(Layers.Named "hidden*"))) [ "hidden.0" ] "both"

              let wide = Layers.Where(fun _ layer -> (layer :?> SparseLinear).out_features > 12L)
              Expect.equal (chosen wide) [ "hidden.1" ] "a predicate")

          testCase "a dot is a dot, and the whole name counts" (fun () ->
              for pattern in [ "hidden"; "hidden?0?"; "idden.0"; "HEAD"; "" ] do
                  refused [ $"'{pattern}'"; "'hidden.0', 'hidden.1', 'head'"; "layers" ] (fun () ->
                      chosen (Layers.Named pattern)))

          testCase "a choice of nothing is refused" (fun () ->
              refused [ "none"; "predicate"; "'head'" ] (fun () -> chosen (Layers.Where(fun _ _ -> false)))
              refused [ "none"; "except '*'" ] (fun () -> chosen (Layers.All.Except "*"))
              refused [ "patterns" ] (fun () -> Layers.Named())
              refused [ "patterns" ] (fun () -> Layers.All.Except(Unchecked.defaultof<string[]>))
              refused [ "patterns" ] (fun () -> Layers.Named("a", Unchecked.defaultof<string>))
              refused [ "predicate" ] (fun () -> Layers.Where(Unchecked.defaultof<_>))
              refused [ "other" ] (fun () -> Layers.All.And(Unchecked.defaultof<_>))
              refused [ "layers" ] (fun () -> chosen Unchecked.defaultof<_>))

          testCase "a choice says what it is" (fun () ->
              Expect.equal (string Layers.All) "all layers" "all"

              Expect.equal
                  (string (Layers.Named("a.*", "b").Except("a.c")))
                  "layers named 'a.*', 'b', except 'a.c'"
                  "names")

          testCase "layers left out keep their patterns and note nothing" (fun () ->
              use model = sparseModel null
              use optimizer = torch.optim.SGD(model.parameters (), 0.1)
              let before = patterns model
              use rewirer = new Rewirer(model, optimizer, rigL, layers = Layers.Named "hidden.*")
              let events = step model rewirer
              Expect.equal [ for e in events -> e.Layer ] [ "hidden.0"; "hidden.1" ] "events"

              Expect.equal
                  (List.map2 (fun (a: Connectivity) b -> a = b) before (patterns model))
                  [ false; false; true ]
                  "only the chosen have other patterns"

              let head = model[2] :?> SparseLinear
              Expect.isNull head.Recorder "nothing is noted of the others"
              Expect.isNull head.Rewiring "no rewirer has the others")

          testCase "a layer left out may have another rewirer" (fun () ->
              use model = sparseModel null
              use optimizer = torch.optim.SGD(model.parameters (), 0.1)
              use hidden = new Rewirer(model, optimizer, rigL, layers = Layers.Named "hidden.*")
              let set = Policy.set (Schedule.constant 0.5 1L 100L)
              use head = new Rewirer(model, optimizer, set, layers = Layers.Named "head")
              Expect.equal [ for e in step model hidden -> e.Layer ] [ "hidden.0"; "hidden.1" ] "one"
              Expect.equal [ for e in head.Follow() -> e.Layer ] [ "head" ] "the other")

          testCase "policies that layers carry are followed in the chosen alone" (fun () ->
              use model = sparseModel rigL
              use optimizer = torch.optim.SGD(model.parameters (), 0.1)
              use rewirer = new Rewirer(model, optimizer, layers = Layers.All.Except "head")
              Expect.equal rewirer.Policies.Count 2 "two"

              let names = [ for struct (name, _) in rewirer.Layers -> name ]
              Expect.equal names [ "hidden.0"; "hidden.1" ] "names")

          testCase "C# chooses as F# does" (fun () ->
              use model = sparseModel rigL
              use optimizer = torch.optim.SGD(model.parameters (), 0.1)

              let names (rewirer: Rewirer) =
                  [ for struct (name, _) in rewirer.Layers -> name ]

              use one = Rewiring.Rewire(model, optimizer, rigL, layers = Layers.Named "head")
              Expect.equal (names one) [ "head" ] "one policy"
              use two = Rewiring.Rewire(model, optimizer, layers = Layers.Named "*0")
              Expect.equal (names two) [ "hidden.0" ] "the layers' own"
              use dense = denseModel ()
              let report = Sparsifying.Sparsify(dense, 0.5, layers = Layers.Named "hidden?")
              Expect.equal [ for r in report.Rows -> r.IsReplaced ] [ true; true; false ] "Sparsify")

          testCase "Sparsify replaces the chosen, and their cells alone make the budget" (fun () ->
              for budget, wanted in
                  [ Sparsify.each 0.5, 60L + 84L
                    Sparsify.globally 0.75, 72L
                    Sparsify.shared SparsityDistribution.ErdosRenyi 0.75, 72L ] do
                  use model = denseModel ()
                  let report = Sparsify.model (budget |> Sparsify.only (Layers.Named "hidden*")) model
                  Expect.equal [ for r in report.Rows -> r.IsReplaced ] [ true; true; false ] "the chosen"
                  Expect.equal report.Rows[2].WhyNot "it is not chosen" "why not"
                  Expect.equal (report.Rows[0].Nnz + report.Rows[1].Nnz) wanted "the budget"
                  Expect.isTrue (model[2] :? Linear) "the head is what it was")

          testCase "what was wanted before a choice still counts" (fun () ->
              use model = denseModel ()

              let rule =
                  Sparsify.each 0.5
                  |> Sparsify.only (Layers.Named "h*")
                  |> Sparsify.matching "^hidden"
                  |> Sparsify.only (Layers.All.Except "hidden0")

              Expect.equal [ for r in (Sparsify.model rule model).Rows -> r.IsReplaced ] [ false; true; false ] "both")

          testCase "Sparsify refuses a name that is no layer's, and changes nothing" (fun () ->
              use model = denseModel ()
              let rule = Sparsify.each 0.5 |> Sparsify.only (Layers.Named("hidden0", "hiden1"))
              refused [ "'hiden1'"; "'hidden0', 'hidden1', 'head'"; "layers" ] (fun () -> Sparsify.model rule model)
              Expect.isTrue (model[0] :? Linear) "nothing changed"
              refused [ "layers" ] (fun () -> Sparsify.only Unchecked.defaultof<_> rule)
              refused [ "rule" ] (fun () -> Sparsify.only Layers.All Unchecked.defaultof<_>)

              refused [ "Layers" ] (fun () ->
                  Sparsify.model
                      { rule with
                          Layers = Unchecked.defaultof<_> }
                      model))

          testCase "a run over a choice goes on over the same one, and says so over another" (fun () ->
              inFolder (fun folder ->
                  let file = Path.Combine(folder, "run.safetensors")

                  let start (layers: Layers) =
                      let model = sparseModel null
                      let optimizer = torch.optim.SGD(model.parameters (), 0.1)
                      struct (model, optimizer, new Rewirer(model, optimizer, rigL, Seed.ofInt 5, layers))

                  let hidden = Layers.Named "hidden.*"
                  let struct (model, optimizer, rewirer) = start hidden
                  step model rewirer |> ignore

                  let progress =
                      { Step = 1L
                        Seed = Seed.ofInt 6
                        Notes = Dictionary() }

                  Checkpoint.saveTraining progress file model optimizer (ValueSome rewirer)

                  let struct (again, other, resumed) = start hidden
                  Checkpoint.resume file again other (ValueSome resumed) |> ignore
                  Expect.equal (patterns again) (patterns model) "patterns"
                  Expect.equal resumed.Steps 1L "steps"

                  for layers in [ Layers.All; Layers.Named "head"; Layers.Named "hidden.0" ] do
                      let struct (again, other, resumed) = start layers
                      let before = patterns again

                      let e =
                          Expect.throwsC
                              (fun () -> Checkpoint.resume file again other (ValueSome resumed) |> ignore)
                              id

                      Expect.stringContains e.Message "got 'hidden.0', 'hidden.1'" "the file's"
                      Expect.stringContains e.Message "over the same layers" "the cure"
                      Expect.equal (patterns again) before "nothing changed"

                  let struct (_, _, whole) = start Layers.All
                  refused [ "same choice"; "hidden.0, hidden.1" ] (fun () -> whole.Restore(rewirer.Capture())))) ]
