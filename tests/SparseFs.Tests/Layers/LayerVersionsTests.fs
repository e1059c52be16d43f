module SparseFs.Tests.LayerVersionsTests

open System
open System.Collections.Generic
open System.Threading
open Expecto
open SparseFs
open SparseFs.Torch
open TorchSharp
open SparseFs.Tests.SparseOpsTests

let private rows, cols, nnz = 12, 10, 36

let private patternOf (version: int) =
    Topology.uniform rows cols nnz (Seed.ofInt version)

/// Weights that say which version and which cell they belong to, on a grid that sums are exact on.
let private weightsOf (version: int) : float32[] =
    let c = patternOf version
    let rowOf = Connectivity.rowIndices c
    Array.init nnz (fun slot -> float32 (version * 1024 + rowOf[slot] * 16 + c.ColIdx[slot]))

let private layerOf (version: int) : SparseLinear =
    let layer = new SparseLinear(patternOf version, hasBias = true)
    use _ = torch.no_grad ()
    layer.weight.copy_ (torch.tensor (weightsOf version)) |> ignore
    layer.PresentBias.fill_ ((float32 version).ToScalar()) |> ignore
    layer

/// The input by whose product every weight shows.
let private probe () = torch.eye (int64 cols)

/// What a layer of that version gives for the probe: the dense matrix, turned, and the bias.
let private expected (version: int) : float32[] =
    let c, weights = patternOf version, weightsOf version
    let out = Array.create (cols * rows) (float32 version)
    let rowOf = Connectivity.rowIndices c

    for slot in 0 .. nnz - 1 do
        let at = c.ColIdx[slot] * rows + rowOf[slot]
        out[at] <- out[at] + weights[slot]

    out

let private outputOf (layer: torch.nn.Module<torch.Tensor, torch.Tensor>) : float32[] =
    use _ = torch.no_grad ()
    use _ = torch.NewDisposeScope()
    numbersOf (layer.call (probe ()))

let private isVersion (layer: torch.nn.Module<torch.Tensor, torch.Tensor>) (version: int) =
    Expect.equal (outputOf layer) (expected version) $"version {version}"

let private copyOfState (m: torch.nn.Module) =
    let copy = Dictionary<string, torch.Tensor>()

    for entry in m.state_dict () do
        copy[entry.Key] <- entry.Value.detach().clone()

    copy

let private sequential (layer: SparseLinear) =
    torch.nn.Sequential(struct ("layer", layer :> torch.nn.Module<torch.Tensor, torch.Tensor>))

/// Drops and grows, and gives the layer the weights of no version.
let private rewired (layer: SparseLinear) =
    use optimizer = torch.optim.SGD(layer.parameters (), 0.0)

    let rewirer =
        new Rewirer(layer, optimizer, Policy.set (Schedule.constant 0.3 1L 100L))

    use loss = (layer.call (probe ())).sum()
    loss.backward ()
    rewirer.Step() |> ignore

let private onThreads (count: int) (work: int -> unit) =
    let failures: (exn | null)[] = Array.create count null

    let threads =
        Array.init count (fun i ->
            Thread(fun () ->
                try
                    work i
                with e ->
                    failures[i] <- e))

    threads |> Array.iter _.Start()
    threads |> Array.iter _.Join()

    match Array.tryPick Option.ofObj failures with
    | Some e -> raise (Exception("on a thread", e))
    | None -> ()

let private scoped name (body: unit -> unit) =
    testCase name (fun () ->
        use _ = torch.NewDisposeScope()
        body ())

[<Tests>]
let layerVersionsTests =
    testList
        "LayerVersions"
        [ testList
              "what state_dict returned"
              [ scoped "stays live through rewiring, so that loading it changes nothing" (fun () ->
                    let layer = layerOf 1
                    let model = sequential layer
                    let kept = model.state_dict ()
                    rewired layer
                    rewired layer
                    Expect.notEqual layer.Connectivity (patternOf 1) "rewired"
                    let c, before = layer.Connectivity, outputOf model
                    Expect.equal (TensorView.toInts "col_idx" kept["layer.col_idx"]) (c.ColIdx.ToArray()) "live"
                    Expect.equal (TensorView.toInts "row_ptr" kept["layer.row_ptr"]) (c.RowPtr.ToArray()) "live"
                    model.load_state_dict kept |> ignore
                    Expect.equal layer.Connectivity c "pattern"
                    Expect.equal (outputOf model) before "function")

                scoped "is a copy where it was copied: the old weights come back in the old pattern" (fun () ->
                    let layer = layerOf 1
                    let model = sequential layer
                    let best = copyOfState model
                    rewired layer
                    model.load_state_dict best |> ignore
                    isVersion model 1)

                scoped "takes weights and pattern also after a use" (fun () ->
                    let layer = layerOf 1
                    let model = sequential layer
                    let kept = model.state_dict ()
                    outputOf model |> ignore
                    use _ = torch.no_grad ()

                    for entry in (sequential (layerOf 2)).state_dict() do
                        kept[entry.Key].copy_ entry.Value |> ignore

                    isVersion model 2)

                scoped "takes weights and pattern also after a rewire, whatever was disposed of" (fun () ->
                    let layer = layerOf 1
                    let model = sequential layer
                    let kept = model.state_dict ()
                    rewired layer
                    use _ = torch.no_grad ()

                    for entry in (sequential (layerOf 2)).state_dict() do
                        kept[entry.Key].copy_ entry.Value |> ignore

                    kept["layer.row_ptr"].Dispose()
                    kept["layer.col_idx"].Dispose()
                    isVersion model 2
                    model.load_state_dict (copyOfState (sequential (layerOf 3))) |> ignore
                    isVersion model 3)

                scoped "takes them in inference mode as well" (fun () ->
                    let model = sequential (layerOf 1)
                    let state = copyOfState (sequential (layerOf 2))
                    use _ = torch.inference_mode ()
                    outputOf model |> ignore
                    model.load_state_dict state |> ignore
                    isVersion model 2)

                scoped
                    "overwritten with no pattern after a use, is refused at every use until a state is loaded"
                    (fun () ->
                        let model = sequential (layerOf 1)
                        let kept = model.state_dict ()
                        outputOf model |> ignore
                        using (torch.no_grad ()) (fun _ -> kept["layer.col_idx"].fill_(99.0f.ToScalar()) |> ignore)

                        for _ in 1..2 do
                            let e = Expect.throwsC (fun () -> outputOf model |> ignore) id
                            Expect.stringContains e.Message "99" "what came"
                            Expect.stringContains e.Message "load a whole state" "the cure"


                        model.load_state_dict (copyOfState (sequential (layerOf 2))) |> ignore
                        isVersion model 2) ]

          testList
              "a load through a parent that fails leaves all layers as they were"
              [ for bad in [ "0.col_idx"; "2.weight"; "2.row_ptr"; "2.col_idx" ] do
                    scoped bad (fun () ->
                        let model = torch.nn.Sequential(layerOf 1, torch.nn.ReLU(), layerOf 1)

                        let good () =
                            copyOfState (torch.nn.Sequential(layerOf 2, torch.nn.ReLU(), layerOf 2))

                        let state = good ()
                        state[bad] <- torch.zeros (3L, dtype = state[bad].dtype)
                        Expect.throws (fun () -> model.load_state_dict state |> ignore) "refused"
                        isVersion (model[0] :?> SparseLinear) 1
                        isVersion (model[2] :?> SparseLinear) 1
                        model.load_state_dict (good ()) |> ignore
                        isVersion (model[0] :?> SparseLinear) 2
                        isVersion (model[2] :?> SparseLinear) 2) ]

          scoped "weights alone are loaded through a parent, and written after a look at the state" (fun () ->
              let layer = layerOf 1
              let model = sequential layer
              let weights = Dictionary<string, torch.Tensor>()
              weights["layer.weight"] <- torch.zeros (int64 nnz)
              model.load_state_dict (weights, strict = false) |> ignore
              Expect.all (outputOf model) (fun y -> y = 1.0f) "the bias alone"
              model.state_dict () |> ignore
              use _ = torch.no_grad ()
              layer.weight.fill_ (1.0f.ToScalar()) |> ignore // as an optimizer would
              Expect.equal (Array.sum (outputOf model)) (float32 (nnz + rows * cols)) "as it was written")

          scoped "after a load through a parent, the first uses on any threads see all of it" (fun () ->
              let layer = layerOf 0
              let model = sequential layer
              let states = [| for version in 0..3 -> copyOfState (sequential (layerOf version)) |]

              for round in 1..100 do
                  let version = round % 4
                  model.load_state_dict states[version] |> ignore
                  onThreads 3 (fun _ -> isVersion model version))

          scoped "a hot reload beside forwards: each call is one version, whole" (fun () ->
              let layer = layerOf 0
              let versions = [| for version in 0..3 -> expected version |]

              let states = [| for version in 0..3 -> copyOfState (layerOf version) |]

              let mutable isOver = false

              onThreads 3 (fun i ->
                  if i = 0 then
                      try
                          for round in 1..200 do
                              layer.load_state_dict states[round % 4] |> ignore
                      finally
                          Volatile.Write(&isOver, true)
                  else
                      while not (Volatile.Read &isOver) do
                          let found = outputOf layer

                          if not (Array.contains found versions) then
                              failwith "a mixture"))

          testList
              "a loss that was computed before a change"
              [ let late name (needsInput: bool) (change: SparseLinear -> unit) says =
                    scoped $"{name}, x requires a gradient: {needsInput}" (fun () ->
                        let layer = layerOf 1
                        let x = (torch.ones (4L, int64 cols)).requires_grad_ needsInput
                        let loss = (layer.call x).sum()
                        change layer

                        let before =
                            match layer.weight.grad with
                            | null -> null
                            | grad -> numbersOf grad

                        let e = Expect.throwsC (fun () -> SparseOps.backward loss) id
                        Expect.stringContains e.PresentInner.Message says "the reason"

                        let after =
                            match layer.weight.grad with
                            | null -> null
                            | grad -> numbersOf grad

                        Expect.equal after before "no gradient of old cells"
                        (layer.call x).sum().backward()
                        Expect.isNotNull layer.weight.grad "the next graph works")

                let reload (layer: SparseLinear) =
                    layer.load_state_dict (copyOfState (layerOf 2)) |> ignore

                late "a rewire" false rewired "rewired or loaded"
                late "a load" false reload "rewired or loaded"
                late "a rewire" true rewired ""
                late "a load" true reload ""

                late
                    "a move"
                    false
                    (fun layer ->
                        layer.``to`` torch.float64 |> ignore
                        layer.``to`` torch.float32 |> ignore)
                    "moved or disposed" ]

          scoped "storage that somebody else gives a parameter is followed, or refused" (fun () ->
              let layer = layerOf 1
              use _ = torch.no_grad ()
              layer.weight.set_ (torch.zeros (int64 nnz)) |> ignore
              Expect.all (outputOf layer) (fun y -> y = 1.0f) "the bias alone"
              layer.weight.set_ (torch.zeros 3L) |> ignore
              let e = Expect.throwsC (fun () -> outputOf layer |> ignore) id
              Expect.stringContains e.Message $"[{nnz}]" "expected"
              Expect.stringContains e.Message "[3]" "got")

          scoped "a layer that has been disposed of says so" (fun () ->
              let layer = layerOf 1
              layer.Dispose()
              Expect.throwsT<ObjectDisposedException> (fun () -> outputOf layer |> ignore) "forward"
              Expect.throwsT<ObjectDisposedException> (fun () -> layer.weightMatrix () |> ignore) "weightMatrix"
              Expect.stringContains (layer.ToString()) "nnz=36" "ToString"
              Expect.equal layer.Connectivity (patternOf 1) "pattern")

          scoped "overrides keep the defaults of what they override, for C#" (fun () ->
              for t in [ typeof<SparseLinear>; typeof<KWinners> ] do
                  for name in [ "load_state_dict"; "state_dict" ] do
                      let m =
                          t.GetMethods()
                          |> Array.filter (fun m -> m.Name = name && m.DeclaringType <> typeof<torch.nn.Module>)

                      for m in m do
                          for p in m.GetParameters() do
                              if p.Name <> "source" then
                                  Expect.isTrue p.HasDefaultValue $"{t.Name}.{name}: {p.Name}")

          testList
              "NativeTensor"
              [ scoped "tells writes through any handle, also in inference mode" (fun () ->
                    Expect.isTrue NativeTensor.canTell "this libtorch exports versions"
                    let t = torch.zeros 3L
                    let other = t.alias ()
                    let before = NativeTensor.version t
                    t.add_ (1.0f.ToScalar()) |> ignore
                    Expect.equal (NativeTensor.version other) (before + 1L) "one write"
                    using (torch.inference_mode ()) (fun _ -> other.zero_ () |> ignore)
                    Expect.equal (NativeTensor.version t) (before + 2L) "another")

                scoped "gives the address of the numbers" (fun () ->
                    let t = torch.zeros 8L
                    Expect.notEqual (NativeTensor.address t) 0n "somewhere"

                    Expect.equal
                        (NativeTensor.address (t.narrow (0L, 2L, 3L)))
                        (NativeTensor.address t + 8n)
                        "two floats on"

                    Expect.equal (NativeTensor.address (t.detach ())) (NativeTensor.address t) "the same storage") ]

          testList
              "SharedTensors"
              [ scoped "are freed when they are given up and the last use has ended" (fun () ->
                    let t = torch.zeros 1L
                    let shared = SharedTensors [| t; null |]
                    Expect.isTrue (shared.TryEnter()) "first"
                    Expect.isTrue (shared.TryEnter()) "second"
                    shared.Retire()
                    shared.Retire()
                    Expect.isFalse (shared.TryEnter()) "no more"
                    shared.Exit()
                    Expect.isFalse t.IsInvalid "in use"
                    shared.Exit()
                    Expect.isTrue t.IsInvalid "freed"
                    Expect.isFalse (shared.TryEnter()) "never again") ] ]

[<Tests>]
let fingerprintTests =
    testList
        "Fingerprint"
        [ // The values of the xxHash specification's own test program for XXH64 with seed 0.
          for text, hash in
              [ "", 0xEF46DB3751D8E999UL
                "a", 0xD24EC4F1A98C6E5BUL
                "abc", 0x44BC2CF5AD770999UL
                "Nobody inspects the spammish repetition", 0xFBCEA83C8A378BF1UL ] do
              testCase $"XXH64 of '{text}'" (fun () ->
                  let bytes = Text.Encoding.ASCII.GetBytes text
                  Expect.equal (Fingerprint.ofBytes 0UL (ReadOnlySpan bytes)) hash "hash")

          testProperty "equal patterns have equal fingerprints, and a moved slot another" (fun (seed: int) ->
              let c = Topology.uniform 20 30 50 (Seed.ofInt seed)

              let again = Connectivity.create 20 30 (c.RowPtr.ToArray()) (c.ColIdx.ToArray())

              Expect.equal (Fingerprint.ofPattern again) (Fingerprint.ofPattern c) "the same"
              let other = Topology.uniform 20 30 50 (Seed.ofInt (seed ^^^ 1))

              if other <> c then
                  Expect.notEqual (Fingerprint.ofPattern other) (Fingerprint.ofPattern c) "another")

          testCase "the shape counts" (fun () ->
              let of' rows cols =
                  Fingerprint.ofPattern (Connectivity.create rows cols (Array.zeroCreate (rows + 1)) [||])

              Expect.equal (List.length (List.distinct [ of' 0 0; of' 0 1; of' 1 0; of' 1 1 ])) 4 "four") ]
