module SparseFs.Tests.SparseLinearTests

open System
open System.Collections.Generic
open System.IO
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs
open SparseFs.Tests.Cases
open TorchSharp
open type TorchSharp.TensorExtensionMethods

type private Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

let private layerOf (c: Case) : SparseLinear =
    let layer = new SparseLinear(c.Pattern)
    use _ = torch.no_grad ()
    layer.weight.copy_ (torch.tensor c.Values) |> ignore
    layer.PresentBias.copy_ (torch.tensor c.Bias) |> ignore
    layer

let private sequential (layers: (string * Layer) list) =
    torch.nn.Sequential [| for name, layer in layers -> struct (name, layer) |]

let private numbers (t: torch.Tensor) = SparseOpsTests.numbersOf t

/// A file that is gone afterwards.
let private withFile (body: string -> 'a) : 'a =
    let path = Path.GetTempFileName()

    try
        body path
    finally
        File.Delete path

let private stateOf (layer: torch.nn.Module) : Dictionary<string, torch.Tensor> =
    let copy = Dictionary<string, torch.Tensor>()

    for entry in layer.state_dict () do
        copy[entry.Key] <- entry.Value.detach().clone()

    copy

/// What a layer may go through without its function being changed; each gives the layer to go on with.
type Move =
    | ToFloat64
    | ToFloat32
    | Cpu
    | SaveAndLoad
    | StateDict
    | ThroughSequential
    | ThroughSequentialFile
    | TrainThenEval
    | Forward

let private another (layer: SparseLinear) : SparseLinear =
    let c = layer.Connectivity
    let pattern = Topology.uniform c.Rows c.Cols c.Nnz (Seed.ofInt 99)
    new SparseLinear(pattern, dtype = layer.weight.dtype)

let private move (layer: SparseLinear) (m: Move) : SparseLinear =
    let moved (l: torch.nn.Module) = l :?> SparseLinear

    match m with
    | ToFloat64 -> moved (layer.``to`` torch.float64)
    | ToFloat32 -> moved (layer.float ())
    | Cpu -> moved (layer.cpu ())
    | TrainThenEval ->
        layer.train ()
        layer.eval ()
        layer
    | Forward ->
        use y =
            layer.call (torch.zeros ([| 1L; layer.in_features |], dtype = layer.weight.dtype))

        layer
    | SaveAndLoad ->
        withFile (fun path ->
            layer.save path |> ignore
            moved ((another layer).load path))
    | StateDict ->
        let target = another layer
        target.load_state_dict (stateOf layer) |> ignore
        target
    | ThroughSequential ->
        let target = another layer
        use model = sequential [ "layer", layer ]
        use loaded = sequential [ "layer", target ]
        loaded.load_state_dict (stateOf model) |> ignore
        // A Sequential disposes of its layers: what the target is goes on in a layer of its own.
        let copy = another target
        copy.load_state_dict (stateOf target) |> ignore
        copy
    | ThroughSequentialFile ->
        withFile (fun path ->
            let target = another layer
            use model = sequential [ "layer", layer ]
            use loaded = sequential [ "layer", target ]
            model.save path |> ignore
            loaded.load path |> ignore
            let copy = another target
            copy.load_state_dict (stateOf target) |> ignore
            copy)

let private moves: Arbitrary<Move list> =
    Gen.elements
        [ ToFloat64
          ToFloat32
          Cpu
          SaveAndLoad
          StateDict
          ThroughSequential
          ThroughSequentialFile
          TrainThenEval
          Forward ]
    |> Gen.listOf
    |> Gen.resize 6
    |> Arb.fromGen

/// A [6, 5] pattern of 9 slots and ways in which it can be no pattern: key, tensor, a word of the message.
let private original = Topology.uniform 6 5 9 (Seed.ofInt 1)

let private hostile: (string * string * (unit -> torch.Tensor) * string) list =
    let rowPtr, colIdx = original.RowPtr.ToArray(), original.ColIdx.ToArray()

    let changed (values: int[]) (index: int) (value: int) () =
        torch.tensor (Array.updateAt index value values)

    let firstRowOfTwo = Array.findIndex (fun n -> n >= 2) (Connectivity.fanIn original)
    let slot = rowPtr[firstRowOfTwo]

    [ "a column that comes again", "col_idx", changed colIdx slot colIdx[slot + 1], "twice"
      "a column out of range", "col_idx", changed colIdx 3 5, "expected 0..4"
      "a huge column", "col_idx", changed colIdx 3 Int32.MaxValue, "expected 0..4"
      "a negative column", "col_idx", changed colIdx 0 -1, "expected 0..4"
      "a repeated column", "col_idx", changed colIdx (slot + 1) colIdx[slot], "twice"
      "a first row pointer that is not 0", "row_ptr", changed rowPtr 0 1, "start at 0"
      "a row pointer beyond nnz", "row_ptr", changed rowPtr 2 1000, "nnz = 9"
      "a negative row pointer", "row_ptr", changed rowPtr 3 -4, "never fall"
      "a last row pointer short of nnz", "row_ptr", changed rowPtr 6 8, "end at nnz = 9" ]

let private otherKinds: (string * string * (unit -> torch.Tensor) * string) list =
    [ "one column for all", "col_idx", (fun () -> torch.tensor [| 2 |]), "[9]"
      "too few columns", "col_idx", (fun () -> torch.tensor (Array.zeroCreate<int> 8)), "[9]"
      "columns of two dimensions", "col_idx", (fun () -> torch.zeros ([| 3L; 3L |], dtype = torch.int32)), "[9]"
      "fractions for columns", "col_idx", (fun () -> torch.zeros 9L), "integer"
      "columns beyond 32 bits", "col_idx", (fun () -> torch.tensor (Array.create 9 (1L <<< 40))), "32-bit"
      "a row pointer of another length", "row_ptr", (fun () -> torch.tensor (Array.zeroCreate<int> 6)), "[7]"
      "one weight for all", "weight", (fun () -> torch.ones 1L), "[9]"
      "one bias for all", "bias", (fun () -> torch.ones 1L), "[6]" ]

/// Loads a state with one wrong tensor; whatever happens, the layer is what it was.
let private refusesToLoad
    (load: SparseLinear -> Dictionary<string, torch.Tensor> -> unit)
    (name, key, wrong: unit -> torch.Tensor, word)
    =
    testCase name (fun () ->
        use _ = torch.NewDisposeScope()
        let layer = new SparseLinear(original)
        let x = torch.randn (4L, 5L)
        let before, weight = layer.call x, layer.weight.detach().clone()
        let state = stateOf (new SparseLinear(original)) // the same pattern, other weights
        state[key] <- wrong ()

        try
            load layer state
            failtest "expected the state to be refused"
        with :? ArgumentException as e ->
            Expect.equal e.ParamName key "key"
            Expect.stringContains e.Message word "message"

        Expect.equal layer.Connectivity original "the pattern is what it was"
        SparseOpsTests.sameBits layer.weight weight "the weight is what it was"
        SparseOpsTests.sameBits (layer.call x) before "the function is what it was")

let private directly (layer: SparseLinear) (state: Dictionary<string, torch.Tensor>) =
    layer.load_state_dict state |> ignore

/// A parent's load_state_dict copies blindly; the layer notices when it is used next.
let private throughParent (layer: SparseLinear) (state: Dictionary<string, torch.Tensor>) =
    let model = sequential [ "layer", layer ]
    let renamed = Dictionary<string, torch.Tensor>()

    for entry in state do
        renamed["layer." + entry.Key] <- entry.Value

    model.load_state_dict renamed |> ignore
    use y = model.call (torch.zeros (1L, 5L))
    ()

let private throughFile (layer: SparseLinear) (state: Dictionary<string, torch.Tensor>) =
    withFile (fun path ->
        using (new BinaryWriter(File.Create path)) (fun writer -> torch.nn.Module.save_state_dict (writer, state))
        layer.load path |> ignore)

/// A small network with a layer in a field, as users write them.
type private Network() as this =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("Network")
    let hidden = new SparseLinear(20, 30, seed = Seed.ofInt 1)

    let output =
        new SparseLinear(30, 4, sparsity = 0.5, hasBias = false, seed = Seed.ofInt 0)

    do this.RegisterComponents()

    override _.forward x =
        use summed = x --> hidden
        use active = torch.nn.functional.relu summed
        active --> output

let private trainingSteps (model: Layer) (steps: int) (inScope: bool) =
    use x = torch.randn (16L, 20L)

    for _ in 1..steps do
        use _ =
            if inScope then
                torch.NewDisposeScope() :> IDisposable
            else
                { new IDisposable with
                    member _.Dispose() = () }

        use y = model.call x
        use square = y.mul y
        use loss = square.mean ()
        loss.backward ()

[<Tests>]
let sparseLinearTests =
    testList
        "SparseLinear"
        [ law "a layer is torch's linear function of its dense matrix" 60 (fun c ->
              use _ = torch.NewDisposeScope()
              use layer = layerOf c
              let bound, wanted = Wanted.spmm c
              layer.call (torch.tensor c.X) |> numbers |> expectWithin "layer" bound wanted

              let dense =
                  torch.nn.functional.linear (torch.tensor c.X, layer.weightMatrix (), layer.bias)

              dense |> numbers |> expectWithin "dense" bound wanted)

          testCase "the dense arithmetic gives the same layer and the same gradients, within rounding" (fun () ->
              for n in [ 0; 1; 9; 40 ] do
                  use _ = torch.NewDisposeScope()
                  let c = Cases.wide n
                  use layer = layerOf c
                  layer.Arithmetic <- Arithmetic.Dense
                  let x = (torch.tensor c.X).requires_grad_ true
                  let y = layer.call x
                  let bound, wanted = Wanted.spmm c
                  y |> numbers |> expectWithin "y" bound wanted
                  y.backward [| torch.tensor c.G |]
                  let bound, wanted = Wanted.sddmm c
                  layer.weight.PresentGrad |> numbers |> expectWithin "weight" bound wanted
                  let bound, wanted = Wanted.spmmT c
                  x.PresentGrad |> numbers |> expectWithin "x" bound wanted
                  let bound, wanted = Wanted.biasGradient c
                  layer.PresentBias.PresentGrad |> numbers |> expectWithin "bias" bound wanted)

          testCase "a layer says which arithmetic it will use, and uses it" (fun () ->
              use _ = torch.NewDisposeScope()

              for sparsity in [ 0.3; 0.6; 0.75; 0.9 ] do
                  use layer = new SparseLinear(30, 20, sparsity = sparsity, seed = Seed.ofInt 0)
                  Expect.equal (layer.ArithmeticFor 64) Arithmetic.Sparse "the default"
                  Expect.isFalse ((string layer).Contains "arithmetic") "says nothing of the default"
                  let sparse n = layer.call (torch.ones (int64 n, 30L))
                  let expected = [ for n in [ 1; 8; 40 ] -> n, numbers (sparse n) ]
                  layer.Arithmetic <- Arithmetic.Dense
                  Expect.equal (layer.ArithmeticFor 64) Arithmetic.Dense "as told"
                  let dense = [ for n in [ 1; 8; 40 ] -> n, numbers (sparse n) ]
                  layer.Arithmetic <- Arithmetic.Faster
                  Expect.stringContains (string layer) "arithmetic=Faster" "ToString"

                  for (n, bySparse), (_, byDense) in List.zip expected dense do
                      let isDense = sparsity < Arithmetic.breakEven n
                      let choice = if isDense then Arithmetic.Dense else Arithmetic.Sparse
                      Expect.equal (layer.ArithmeticFor n) choice $"{sparsity}, {n} samples"

                      Expect.equal
                          (numbers (sparse n))
                          (if isDense then byDense else bySparse)
                          $"{sparsity}, {n} samples: to the bit that one")

          testCase
              "walking the inputs that are not 0 gives Sparse's results and gradients, of second order too"
              (fun () ->
                  use _ = torch.NewDisposeScope()
                  use layer = new SparseLinear(60, 50, sparsity = 0.8, seed = Seed.ofInt 3)
                  let x = torch.randn (33L, 60L)
                  let x = x.mul (torch.gt (torch.rand (33L, 60L), torch.tensor 0.8f))
                  let u = torch.randn (33L, 50L)

                  let all (arithmetic: Arithmetic) =
                      layer.Arithmetic <- arithmetic
                      let x = x.detach().clone().requires_grad_ true
                      let y = layer.forward x
                      let inputs = [| x; layer.weight :> torch.Tensor; layer.bias |]
                      let outputs = [| y.mul(u).square().sum() |]

                      let first =
                          torch.autograd.grad (outputs, inputs, create_graph = true, retain_graph = true)

                      let again = [| (first[0].square().sum()).add(first[1].square().sum()) |]

                      let second =
                          torch.autograd.grad (again, inputs, retain_graph = false, allow_unused = true)

                      [ y; yield! first; second[0]; second[1] ]
                      |> List.map (fun t -> t.detach().clone())

                  let expected, actual = all Arithmetic.Sparse, all Arithmetic.SparseActivations
                  Expect.equal (layer.ArithmeticFor 33) Arithmetic.SparseActivations "said"
                  Expect.stringContains (string layer) "arithmetic=SparseActivations" "ToString"

                  for e, a in List.zip expected actual do
                      // Sums of at most 60 and of 33 products in another order, three times over, beside sums of magnitudes that
                      // are at most a hundred times the largest result.
                      let bound =
                          100.0
                          * Oracle.gamma Oracle.float32Roundoff 200
                          * float (e.abs().max().item<float32>())

                      Expect.isLessThanOrEqual (float ((e.sub a).abs().max().item<float32>())) bound "the same")

          testCase "an arithmetic that does not exist is refused, and the layer keeps its own" (fun () ->
              use layer = new SparseLinear(3, 4, seed = Seed.ofInt 0)

              let e = Expect.throwsC (fun () -> layer.Arithmetic <- enum<Arithmetic> 7) id

              Expect.stringContains e.Message "Sparse, Dense, Faster and SparseActivations, got 7" "message"
              Expect.equal layer.Arithmetic Arithmetic.Sparse "kept"

              for ask in
                  [ fun () -> layer.ArithmeticFor -1 |> ignore
                    fun () -> Arithmetic.breakEven -1 |> ignore ] do
                  let e = Expect.throwsC ask id
                  Expect.equal (e :?> ArgumentException).ParamName "samples" "names the argument")

          testCase "without a bias there is none" (fun () ->
              use _ = torch.NewDisposeScope()
              use layer = new SparseLinear(5, 6, hasBias = false, seed = Seed.ofInt 0)
              Expect.isNull layer.bias "bias"

              Expect.sequenceEqual
                  [ for struct (name, _) in layer.named_parameters () -> name ]
                  [ "weight" ]
                  "parameters"

              Expect.equal (numbers (layer.call (torch.zeros (1L, 5L)))) (Array.zeroCreate 6) "0 for 0")

          testCase "sparsity and seed give the uniform pattern" (fun () ->
              use layer = new SparseLinear(40, 30, sparsity = 0.8, seed = Seed.ofInt 3)
              Expect.equal layer.Connectivity (Topology.uniform 30 40 240 (Seed.ofInt 3)) "pattern"
              Expect.equal layer.weight.shape [| 240L |] "weight"
              use standard = new SparseLinear(40, 30, seed = Seed.ofInt 0)
              Expect.equal standard.Connectivity.Nnz 120 "0.9 by default")

          testCase "ToString is one line in PyTorch's form" (fun () ->
              use layer = new SparseLinear(784, 2000, hasBias = false, seed = Seed.ofInt 0)

              Expect.equal
                  (string layer)
                  "SparseLinear(in_features=784, out_features=2000, nnz=156800, sparsity=0.9, bias=False, seed=0)"
                  "printed"

              use given = new SparseLinear(Connectivity.full 2 3)
              given.Arithmetic <- Arithmetic.Dense

              Expect.equal
                  (string given)
                  "SparseLinear(in_features=3, out_features=2, nnz=6, sparsity=0, bias=True, arithmetic=Dense)"
                  "no seed where the pattern was given")

          testCase "parameters and state have their names, in any tree of modules" (fun () ->
              use model = new Network()
              let names = [ for struct (name, _) in model.named_parameters () -> name ]
              Expect.sequenceEqual names [ "hidden.weight"; "hidden.bias"; "output.weight" ] "parameters"
              let keys = set [ for entry in model.state_dict () -> entry.Key ]

              let wanted =
                  [ "hidden.weight"
                    "hidden.bias"
                    "hidden.row_ptr"
                    "hidden.col_idx"
                    "output.weight"
                    "output.row_ptr"
                    "output.col_idx" ]

              Expect.equal keys (set wanted) "state_dict")

          testSequenced // torch's seed is one for the process
          <| testList
              "initial weights"
              [ let pattern = Topology.uniform 200 300 6_000 (Seed.ofInt 5)
                let rows = Connectivity.rowIndices pattern
                let fanIn = Connectivity.fanIn pattern

                let drawn (init: Init) =
                    torch.manual_seed 17L |> ignore
                    use layer = new SparseLinear(pattern, init = init)
                    numbers (layer.weight.detach ()), numbers (layer.PresentBias.detach ())

                let within (init: Init) (limit: float -> float) =
                    testCase $"{init}: each row keeps to its bound and fills it" (fun () ->
                        let weight, bias = drawn init

                        let part =
                            weight
                            |> Array.mapi (fun slot w -> abs (float w) / limit (float fanIn[rows[slot]]))

                        Expect.isLessThanOrEqual (Array.max part) 1.000001 "bound"
                        // 6,000 uniform parts: the mean of |u| is 1/2 with deviation 1/√(12·6000); 5 deviations.
                        Expect.isLessThanOrEqual (abs (Array.average part - 0.5)) (5.0 / sqrt 72_000.0) "mean"
                        Expect.isTrue (Array.exists ((<>) 0.0f) bias) "bias")

                within Init.FanIn (fun n -> 1.0 / sqrt n)
                within Init.DenseFanIn (fun _ -> 1.0 / sqrt 300.0)
                within Init.KaimingUniform (fun n -> sqrt (6.0 / n))

                testCase "KaimingNormal has the deviation of each row" (fun () ->
                    let weight, _ = drawn Init.KaimingNormal

                    let squares =
                        weight
                        |> Array.mapi (fun slot w -> float w ** 2.0 * float fanIn[rows[slot]] / 2.0)
                    // Mean of 6,000 squared standard normals: deviation √(2/6000); 5 deviations.
                    Expect.isLessThanOrEqual (abs (Array.average squares - 1.0)) (5.0 * sqrt (2.0 / 6000.0)) "variance")

                testCase "Zeros is zeros" (fun () ->
                    let weight, bias = drawn Init.Zeros
                    Expect.all weight ((=) 0.0f) "weight"
                    Expect.all bias ((=) 0.0f) "bias")

                testCase "a row without inputs starts with bias 0" (fun () ->
                    use layer = new SparseLinear(Connectivity.ofPairs 3 4 [| 0; 2 |] [| 1; 3 |])
                    let bias = numbers (layer.PresentBias.detach ())
                    Expect.equal bias[1] 0.0f "row 1"
                    Expect.notEqual bias[0] 0.0f "row 0") ]

          testPropertyWithConfig
              { FsCheckConfig.defaultConfig with
                  maxTest = 40 }
              "moving, saving and loading in any order keep the function, to the bit"
              (Prop.forAll moves (fun path ->
                  use _ = torch.NewDisposeScope()
                  let c = make (Topology.uniform 11 13 40 (Seed.ofInt 6)) 5 6
                  let layer = layerOf c
                  let before = layer.call (torch.tensor c.X)
                  let arrived = (List.fold move layer path).float()
                  Expect.equal arrived.Connectivity c.Pattern "pattern"
                  SparseOpsTests.sameBits (arrived.call (torch.tensor c.X)) before "function"
                  Expect.isTrue arrived.weight.requires_grad "still trains"))

          testList "a wrong state is refused" (List.map (refusesToLoad directly) (hostile @ otherKinds))
          testList
              "a wrong state through a parent is refused at the next use"
              (List.map (refusesToLoad throughParent) hostile)
          testList "a wrong file is refused" (List.map (refusesToLoad throughFile) hostile)

          testPropertyWithConfig
              { FsCheckConfig.defaultConfig with
                  maxTest = 300 }
              "any integers at all are a pattern or are refused, and the layer works on"
              (fun (rowPtr: int[]) (colIdx: int[]) ->
                  use _ = torch.NewDisposeScope()
                  use layer = new SparseLinear(original)

                  let take (length: int) (values: int[]) =
                      Array.init length (fun i -> if values.Length = 0 then 0 else values[i % values.Length])

                  let state = stateOf layer
                  state["row_ptr"] <- torch.tensor (take 7 rowPtr)
                  state["col_idx"] <- torch.tensor (take 9 colIdx)

                  try
                      throughParent layer state
                  with :? ArgumentException ->
                      Expect.equal layer.Connectivity original "the pattern is what it was"

                  Expect.equal (layer.call (torch.ones (2L, 5L))).shape [| 2L; 6L |] "works on")

          testCase "a file that ends too early changes nothing" (fun () ->
              use _ = torch.NewDisposeScope()
              let layer = new SparseLinear(original)
              let weight = layer.weight.detach().clone()
              let state = stateOf (new SparseLinear(Topology.uniform 6 5 9 (Seed.ofInt 2)))

              let whole =
                  withFile (fun path ->
                      using (new BinaryWriter(File.Create path)) (fun writer ->
                          torch.nn.Module.save_state_dict (writer, state))

                      File.ReadAllBytes path)

              for length in 0 .. whole.Length - 1 do
                  withFile (fun path ->
                      File.WriteAllBytes(path, Array.truncate length whole)

                      try
                          layer.load path |> ignore
                          failtest $"expected {length} of {whole.Length} bytes to be refused"
                      with
                      | :? AssertException -> reraise ()
                      | _ -> ())

              Expect.equal layer.Connectivity original "pattern"
              SparseOpsTests.sameBits layer.weight weight "weight")

          testCase "parameters outlive the scope in which the layer was made" (fun () ->
              let layer =
                  use _ = torch.NewDisposeScope()
                  new SparseLinear(5, 6, seed = Seed.ofInt 0)

              Expect.equal (layer.call (torch.zeros (1L, 5L))).shape [| 1L; 6L |] "still there")

          testCase "an optimizer's steps lower the loss and keep the pattern and the parameter" (fun () ->
              use _ = torch.NewDisposeScope()
              torch.manual_seed 1L |> ignore
              use model = new Network()
              let weight = model.parameters () |> Seq.head
              let optimizer = torch.optim.Adam(model.parameters (), 1e-2)
              let x, target = torch.randn (64L, 20L), torch.randn (64L, 4L)

              let losses =
                  [ for _ in 1..30 do
                        optimizer.zero_grad ()
                        let loss = torch.nn.functional.mse_loss (model.call x, target)
                        loss.backward ()
                        optimizer.step () |> ignore
                        loss.item<float32>() ]

              Expect.isLessThan (List.last losses) (List.head losses) "loss"
              Expect.isTrue (Object.ReferenceEquals(weight, Seq.head (model.parameters ()))) "the same parameter")

          testList
              "bad input"
              [ let refuses name argument words make =
                    testCase name (fun () ->
                        try
                            use _: SparseLinear = make ()
                            failtest "expected an error"
                        with :? ArgumentException as e ->
                            Expect.equal e.ParamName argument "argument"

                            for word: string in words do
                                Expect.stringContains e.Message word "message")

                refuses "sparsity 1" "sparsity" [ "[0, 1)"; "got 1" ] (fun () -> new SparseLinear(5, 6, sparsity = 1.0))

                refuses "negative sparsity" "sparsity" [ "[0, 1)"; "-0.1" ] (fun () ->
                    new SparseLinear(5, 6, sparsity = -0.1))

                refuses "sparsity NaN" "sparsity" [ "[0, 1)"; "NaN" ] (fun () -> new SparseLinear(5, 6, sparsity = nan))
                refuses "a negative size" "inFeatures" [ "0.."; "-5" ] (fun () -> new SparseLinear(-5, 6))

                refuses "more slots than 2^31" "sparsity" [ "2147483647" ] (fun () ->
                    new SparseLinear(100_000, 100_000, sparsity = 0.5))

                refuses "no pattern" "connectivity" [] (fun () -> new SparseLinear(Unchecked.defaultof<Connectivity>))

                refuses "an integer dtype" "dtype" [ "floating"; "Int64" ] (fun () ->
                    new SparseLinear(5, 6, dtype = torch.int64, seed = Seed.ofInt 0))

                testCase "moving to an integer or complex dtype" (fun () ->
                    use layer = new SparseLinear(5, 6, seed = Seed.ofInt 0)

                    for dtype in [ torch.int32; torch.complex64 ] do
                        let e = Expect.throwsC (fun () -> layer.``to`` dtype |> ignore) id
                        Expect.stringContains e.Message "floating" $"{dtype}"

                    Expect.equal layer.weight.dtype torch.float32 "as it was")

                testCase "an input of another dtype than the weight" (fun () ->
                    use layer = new SparseLinear(5, 6, seed = Seed.ofInt 0)

                    SparseOpsTests.refuses "x" [ "Float32"; "Float64" ] (fun () ->
                        layer.call (torch.zeros ([| 1L; 5L |], dtype = torch.float64)))) ] ]

/// The number of tensors, once those of the tests before are gone.
let private tensorCount () =
    Torch.Replaced.releaseAll ()
    GC.Collect()
    GC.WaitForPendingFinalizers()
    torch.Tensor.TotalCount

/// Counts and sizes: nothing else may run beside these.
[<Tests>]
let steadyTests =
    testSequenced
    <| testList
        "SparseLinear, alone"
        [ testCase "torch's seed decides the weights" (fun () ->
              let drawn () =
                  torch.manual_seed 17L |> ignore
                  use layer = new SparseLinear(original)
                  numbers (layer.weight.detach ()), numbers (layer.PresentBias.detach ())

              Expect.equal (drawn ()) (drawn ()) "same seed, same weights")

          for inScope in [ true; false ] do
              let place = if inScope then "in a DisposeScope" else "without a scope"

              testCase $"200 training steps {place} leave no tensor behind" (fun () ->
                  use model = new Network()
                  trainingSteps model 20 inScope
                  let before = tensorCount ()
                  trainingSteps model 200 inScope
                  Expect.equal torch.Tensor.TotalCount before "Tensor.TotalCount")

          testCase "a training step allocates a little managed memory, the same every time" (fun () ->
              use model = new Network()
              trainingSteps model 50 true

              let measure () =
                  let before = GC.GetAllocatedBytesForCurrentThread()
                  trainingSteps model 100 true
                  GC.GetAllocatedBytesForCurrentThread() - before

              let first, second = measure (), measure ()
              Expect.isLessThan (abs (second - first)) (first / 10L) "no growth"
              // The patterns and the values of this network alone are 6 kB: a copy of them a step would show.
              Expect.isLessThan (second / 100L) 60_000L "bytes a step")

          testCase "disposing of a layer leaves no more behind than disposing of torch's own" (fun () ->
              // TorchSharp never takes the tensor that became a Parameter off its count.
              let growth (make: unit -> Layer) =
                  // A first call frees what the last backward of the tests before has returned.
                  using (new SparseLinear(20, 30, seed = Seed.ofInt 0)) (fun layer ->
                      (layer.call (torch.zeros (1L, 20L))).Dispose())

                  let before = tensorCount ()

                  for _ in 1..20 do
                      use layer = make ()
                      use x = torch.zeros (1L, 20L)
                      use y = layer.call x
                      ()

                  Torch.Replaced.releaseAll () // disposed of, but somebody might still be reading
                  torch.Tensor.TotalCount - before

              let dense = growth (fun () -> torch.nn.Linear(20L, 30L))
              Expect.equal (growth (fun () -> new SparseLinear(20, 30, seed = Seed.ofInt 0))) dense "Tensor.TotalCount") ]
