/// An optimizer goes along when a model's layers become sparse.
module SparseFs.Tests.SparsifyOptimizerTests

open System
open Expecto
open SparseFs
open SparseFs.CSharp
open SparseFs.Tests.Refusals
open TorchSharp
open TorchSharp.Modules
open SparseFs.Tests.Outcomes

let private optimizers: (string * (Parameter seq -> torch.optim.Optimizer)) list =
    [ "SGD", (fun p -> torch.optim.SGD(p, 0.05, momentum = 0.9) :> _)
      "SGD, no momentum", (fun p -> torch.optim.SGD(p, 0.05) :> _)
      "Adam", (fun p -> torch.optim.Adam(p, 0.01, amsgrad = true) :> _)
      "AdamW", (fun p -> torch.optim.AdamW(p, 0.01) :> _)
      "RMSProp", (fun p -> torch.optim.RMSProp(p, 0.01, momentum = 0.5, centered = true) :> _)
      "Adagrad", (fun p -> torch.optim.Adagrad(p, 0.01, initial_accumulator_value = 0.25) :> _)
      "Adadelta", (fun p -> torch.optim.Adadelta(p) :> _)
      "Adamax", (fun p -> torch.optim.Adamax(p, 0.01) :> _)
      "NAdam", (fun p -> torch.optim.NAdam(p, 0.01) :> _)
      "RAdam", (fun p -> torch.optim.RAdam(p, 0.01) :> _)
      "ASGD", (fun p -> torch.optim.ASGD(p, 0.01) :> _)
      "Rprop", (fun p -> torch.optim.Rprop(p, 0.01) :> _) ]

let private floats (t: torch.Tensor) : float32[] =
    use _ = torch.NewDisposeScope()
    t.detach().flatten().contiguous().data<float32>().ToArray()

let private network () =
    torch.nn.Sequential(torch.nn.Linear(12L, 16L), torch.nn.ReLU(), torch.nn.Linear(16L, 4L))

let private step (seed: int) (model: torch.nn.Module<torch.Tensor, torch.Tensor>) (optimizer: torch.optim.Optimizer) =
    use _ = torch.NewDisposeScope()
    let x = torch.randn ([| 8L; 12L |], generator = new torch.Generator(uint64 seed))
    optimizer.zero_grad ()
    (model.call x).square().mean().backward()
    optimizer.step () |> ignore

/// Numbers and tensors of a parameter's state, by the name of the field.
let private memory (optimizer: torch.optim.Optimizer) (place: int) : (string * (obj | null)) list =
    let state = (optimizer :?> OptimizerHelper).state_dict().State[place]

    [ for field in state.GetType().GetFields() ->
          field.Name,
          (match field.GetValue state with
           | null -> null
           | :? torch.Tensor as t -> box (floats t)
           | other -> other) ]

let private cellsOf (c: Connectivity) =
    Array.map2 (fun row col -> row * c.Cols + col) (Connectivity.rowIndices c) (c.ColIdx.ToArray())

let private carriesOver (name: string, make: Parameter seq -> torch.optim.Optimizer) =
    testCase $"{name}: weights that stay keep their moments, and the optimizer goes on" (fun () ->
        use model = network ()
        let optimizer = make (model.parameters ())

        for seed in 1..4 do
            step seed model optimizer

        let before = [ for place in 0..3 -> memory optimizer place ]
        let table = Sparsify.modelWith optimizer (Sparsify.each 0.7) model
        Expect.equal table.Replaced 2 "replaced"
        Expect.equal table.Next "" "nothing has to be made anew"

        let layers =
            [ for m in
                  model.children ()
                  |> Seq.choose (function
                      | :? SparseLinear as l -> Some l
                      | _ -> None) -> m ]

        let listed =
            (optimizer :?> OptimizerHelper).parameters() |> Seq.map _.Handle |> List.ofSeq

        Expect.equal listed [ for p in model.parameters () -> p.Handle ] "the model's parameters, in their order"

        for i, layer in List.indexed layers do
            let cells = cellsOf layer.Connectivity

            for (field, old), (_, now) in List.zip before[2 * i] (memory optimizer (2 * i)) do
                match old with
                | :? (float32[]) as old ->
                    Expect.equal now (box (cells |> Array.map (fun cell -> old[cell]))) $"{field} of the weight"
                | old -> Expect.equal now old field

            Expect.equal (memory optimizer (2 * i + 1)) before[2 * i + 1] "the bias's state"

        let weights = layers |> List.map (fun l -> floats l.weight)

        // A dense twin under a mask moves as the sparse model does, but for the order of sums.
        for seed in 5..7 do
            step seed model optimizer

        for layer, weight in List.zip layers weights do
            Expect.notEqual (floats layer.weight) weight "the sparse weights train"

        use rewirer =
            new Rewirer(model, optimizer, Policy.set (Schedule.constant 0.3 1L 9L))

        step 8 model optimizer
        Expect.all (rewirer.Follow()) (fun e -> (countsOf e.Outcome).Grown > 0) "and rewire")

[<Tests>]
let tests =
    testSequenced
    <| testList
        "Sparsify with an optimizer"
        [ yield! List.map carriesOver optimizers

          testCase "one step on equals that of a dense model whose other weights are 0" (fun () ->
              use model = network ()
              let optimizer = torch.optim.Adam(model.parameters (), 0.01)
              step 1 model optimizer
              use dense = network ()
              let ofDense = torch.optim.Adam(dense.parameters (), 0.01)
              dense.load_state_dict (model.state_dict ()) |> ignore

              for old, fresh in Seq.zip (optimizer.state_dict().State) (ofDense.state_dict().State) do
                  fresh.LoadStateDict(old: OptimizerState)

              Sparsify.modelWith optimizer (Sparsify.each 0.5) model |> ignore
              let sparse = model.children () |> Seq.item 0 :?> SparseLinear
              let last = model.children () |> Seq.item 2 :?> SparseLinear

              using (torch.no_grad ()) (fun _ ->
                  (dense.children () |> Seq.item 0 :?> Linear).weight.copy_(sparse.weightMatrix ())
                  |> ignore

                  (dense.children () |> Seq.item 2 :?> Linear).weight.copy_(last.weightMatrix ())
                  |> ignore)

              step 2 model optimizer
              step 2 dense ofDense
              let wanted = floats (dense.children () |> Seq.item 0 :?> Linear).weight
              let got = floats sparse.weight

              cellsOf sparse.Connectivity
              |> Array.iteri (fun slot cell ->
                  // A step is at most 0.01 · 3.2 long; gradients differ by float32's rounding of sums of 16 products.
                  Expect.isLessThan (abs (got[slot] - wanted[cell])) 1e-5f $"slot {slot}"))

          testCase "groups keep their options, their order and what is not replaced" (fun () ->
              use model = network ()

              let first, last =
                  model.children () |> Seq.item 0 :?> Linear, model.children () |> Seq.item 2 :?> Linear

              let optimizer =
                  new SGD(
                      [| SGD.ParamGroup(last.parameters (), 0.5, momentum = 0.5)
                         SGD.ParamGroup(first.parameters (), 0.25) |],
                      0.1
                  )

              step 1 model optimizer

              { Sparsify.each 0.5 with
                  Wanted = fun name -> name = "0" }
              |> fun rule -> Sparsify.modelWith optimizer rule model
              |> ignore

              let groups =
                  optimizer.ParamGroups |> Seq.map (fun g -> g :?> ParamGroup) |> Array.ofSeq

              Expect.equal [ for g in groups -> g.LearningRate ] [ 0.5; 0.25 ] "rates"

              Expect.equal
                  [ for p in groups[0].Parameters -> p.Handle ]
                  [ last.weight.Handle; last.PresentBias.Handle ]
                  "the dense layer's"

              let sparse = model.children () |> Seq.item 0 :?> SparseLinear

              Expect.equal
                  [ for p in groups[1].Parameters -> p.Handle ]
                  [ sparse.weight.Handle; sparse.PresentBias.Handle ]
                  "the sparse layer's"

              step 2 model optimizer)

          testCase "C#'s Sparsify takes an optimizer too" (fun () ->
              use model = network ()
              let optimizer = torch.optim.Adam(model.parameters (), 0.01)
              step 1 model optimizer
              let table = Sparsifying.Sparsify(model, 0.5, optimizer = optimizer)
              Expect.equal table.Replaced 2 "replaced"
              step 2 model optimizer)

          testCase "without it the table names the order, and the rewirer says why it refuses" (fun () ->
              use model = network ()
              let stale = torch.optim.Adam(model.parameters (), 0.01)
              let listed = torch.optim.Adam(List.ofSeq (model.parameters ()), 0.01)
              let table = Sparsify.model (Sparsify.each 0.5) model
              Expect.stringContains table.Next "make the optimizer" "next"
              Expect.isTrue (table.ToString().EndsWith table.Next) "the last line"

              for optimizer, says in [ stale, "no state of"; listed, "without the weight of '0'" ] do
                  let message =
                      try
                          new Rewirer(model, optimizer, Policy.staticSparse) |> ignore
                          ""
                      with :? ArgumentException as e ->
                          e.Message

                  Expect.stringContains message says "the reason"
                  Expect.stringContains message "Sparsify.modelWith" "the cure"

              use none = network ()
              let rule = Sparsify.each 0.5 |> Sparsify.matching "^nothing$"
              Expect.equal (Sparsify.model rule none).Next "" "nothing was replaced")

          refuses "an optimizer of an unknown kind, and nothing has changed" "optimizer" "LBFGS" (fun () ->
              let model = network ()

              try
                  Sparsify.modelWith (torch.optim.LBFGS(model.parameters ())) (Sparsify.each 0.5) model
              finally
                  Expect.isTrue ((model.children () |> Seq.item 0) :? Linear) "still dense")

          refuses "an optimizer that has lost the model before" "optimizer" "no state of one of shape" (fun () ->
              let model = network ()
              let optimizer = torch.optim.Adam(model.parameters (), 0.01)

              { Sparsify.each 0.5 with
                  Wanted = fun name -> name = "0" }
              |> fun rule -> Sparsify.model rule model
              |> ignore

              Sparsify.modelWith optimizer (Sparsify.each 0.5) model) ]
