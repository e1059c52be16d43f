/// State, images and bad input of the modules KWinners and KWinners2d.
module SparseFs.Tests.KWinnersStateTests

open System
open System.Collections.Generic
open System.IO
open Expecto
open SparseFs
open SparseFs.Torch
open SparseFs.Tests.Refusals
open TorchSharp

type private Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

let private scoped (body: unit -> unit) =
    use _ = torch.NewDisposeScope()
    body ()

let private numbers (t: torch.Tensor) : float[] =
    t.to_type(torch.ScalarType.Float64).contiguous().view(-1L).data<float>().ToArray()

let private quarters (seed: int) (shape: int64[]) : torch.Tensor =
    let random = Random seed
    let length = int (Array.fold (*) 1L shape)
    torch.tensor(Array.init length (fun _ -> float32 (random.Next(-6, 7)) / 4.0f)).view(shape)

let private make () =
    new KWinners(
        20,
        { KWinnersOptions.ofSparsity 0.8 with
            DutyCycle = DutyCycle.Period 50
            Boost = Boost.Exponential 2.0
            BoostDecay = 0.5 }
    )

/// A layer that has been trained for two epochs.
let private trained () =
    let layer = make ()

    for seed in 1..6 do
        (layer.call (quarters seed [| 4L; 20L |])).Dispose()

    layer.EndEpoch()
    layer

let private stateOf (layer: KWinnersBase) =
    layer.DutyCycles(), layer.SamplesSeen, layer.Boost

let private copyOf (m: torch.nn.Module) =
    Dictionary(
        m.state_dict ()
        |> Seq.map (fun entry -> KeyValuePair(entry.Key, entry.Value.clone ()))
    )

[<Tests>]
let state =
    testList
        "KWinners state"
        [ testCase "state_dict holds the duty cycle, the samples seen and the strength, and no parameter" (fun () ->
              use layer = make ()
              let keys = layer.state_dict().Keys |> Seq.sort |> List.ofSeq
              Expect.equal keys [ "boost_strength"; "duty_cycle"; "samples_seen" ] "keys"
              Expect.isEmpty (layer.parameters ()) "parameters")

          testCase "a loaded state is the saved one, and training goes on alike" (fun () ->
              scoped (fun () ->
                  use source = trained ()
                  use target = make ()
                  target.load_state_dict (copyOf source) |> ignore
                  Expect.equal (stateOf target) (stateOf source) "state"
                  let x = quarters 99 [| 9L; 20L |]
                  Expect.equal (numbers (target.call x)) (numbers (source.call x)) "output"
                  Expect.equal (stateOf target) (stateOf source) "state after a step"))

          testCase "through a parent Sequential, by state_dict and by a file" (fun () ->
              scoped (fun () ->
                  let model (layer: KWinners) =
                      torch.nn.Sequential(
                          struct ("linear", torch.nn.Linear(20L, 20L) :> Layer),
                          struct ("winners", layer :> Layer)
                      )

                  use source = model (trained ())
                  let saved = source.state_dict ()
                  Expect.isTrue (saved.ContainsKey "winners.duty_cycle") "key"
                  let inner = make ()
                  use target = model inner
                  target.load_state_dict (copyOf source) |> ignore
                  let x = quarters 99 [| 9L; 20L |]
                  source.eval ()
                  target.eval ()
                  Expect.equal (numbers (target.call x)) (numbers (source.call x)) "state_dict"
                  Expect.equal (inner.Boost) (Boost.Exponential 1.0) "strength"
                  Expect.equal inner.SamplesSeen 24L "samples"
                  use stream = new MemoryStream()
                  source.save (stream) |> ignore
                  use saved = new MemoryStream(stream.ToArray())
                  let inner = make ()
                  use target = model inner
                  target.load (saved) |> ignore
                  target.eval ()
                  Expect.equal (numbers (target.call x)) (numbers (source.call x)) "file"
                  Expect.equal inner.SamplesSeen 24L "samples"))

          testCase ".to(dtype) keeps the duty cycle in float32, and half inputs go through" (fun () ->
              scoped (fun () ->
                  use layer = trained ()
                  let before = stateOf layer
                  layer.half () |> ignore
                  layer.``to`` (torch.ScalarType.Float64) |> ignore
                  Expect.equal layer.duty_cycle.dtype torch.float32 "dtype"
                  Expect.equal (stateOf layer) before "state"

                  for dtype in [ torch.float16; torch.bfloat16; torch.float32; torch.float64 ] do
                      Expect.equal (layer.call ((quarters 2 [| 3L; 20L |]).to_type dtype)).dtype dtype "dtype of y"))

          testCase ".to(device) keeps the buffers registered" (fun () ->
              scoped (fun () ->
                  use layer = trained ()
                  let before = stateOf layer
                  layer.cpu () |> ignore
                  layer.``to`` (torch.CPU) |> ignore
                  Expect.equal (stateOf layer) before "state"
                  (layer.call (quarters 2 [| 3L; 20L |])).Dispose()
                  Expect.equal (numbers (layer.state_dict()["duty_cycle"])) (layer.DutyCycles()) "live"))

          testCase "a device without numbers: the buffers move, and an input on another device is refused" (fun () ->
              scoped (fun () ->
                  use layer = make ()
                  layer.``to`` (DeviceType.META) |> ignore
                  Expect.equal layer.duty_cycle.device_type DeviceType.META "duty cycle"

                  Expect.equal
                      (present "a buffer" (layer.get_buffer "boost_strength")).device_type
                      DeviceType.META
                      "strength"

                  let error =
                      Expect.throwsC (fun () -> layer.call (torch.zeros (1L, 20L)) |> ignore) id

                  Expect.equal (error :?> ArgumentException).ParamName "x" "argument"))

          testCase "made inside a scope that ends, a layer lives on" (fun () ->
              let layer = using (torch.NewDisposeScope()) (fun _ -> make ())

              use layer = layer
              use y = layer.call (torch.zeros (1L, 20L))
              Expect.equal (layer.DutyCycles().Length) 20 "alive")

          testList
              "a state that does not fit is refused by name, and nothing is changed"
              [ for key, value, says in
                    [ "duty_cycle", (fun () -> torch.zeros (21L)), "shape [20], got [21]"
                      "duty_cycle", (fun () -> torch.zeros (1L)), "shape [20], got [1]"
                      "duty_cycle", (fun () -> torch.full ([| 20L |], 1.5f.ToScalar())), "[0, 1], got 1.5"
                      "duty_cycle", (fun () -> torch.full ([| 20L |], nanf.ToScalar())), "[0, 1], got NaN"
                      "samples_seen", (fun () -> torch.tensor -1L), "a count in 0..2^53, got -1"
                      "samples_seen", (fun () -> torch.zeros (2L, dtype = torch.int64)), "shape [], got [2]"
                      "boost_strength", (fun () -> torch.tensor -1.0f), "0 or more, got -1"
                      "boost_strength", (fun () -> torch.tensor infinityf), "finite" ] do
                    testCase $"{key}: {says}" (fun () ->
                        scoped (fun () ->
                            use layer = trained ()
                            let before = stateOf layer
                            let source = copyOf layer
                            source["duty_cycle"] <- torch.zeros (20L)
                            source[key] <- value ()

                            let error = Expect.throwsC (fun () -> layer.load_state_dict source |> ignore) id

                            Expect.equal (error :?> ArgumentException).ParamName key "argument"
                            Expect.stringContains error.Message says "message"
                            Expect.equal (stateOf layer) before "unchanged")) ]

          testCase "a skipped key is not looked at" (fun () ->
              scoped (fun () ->
                  use layer = make ()
                  use source = trained ()
                  let state = copyOf source
                  state["duty_cycle"] <- torch.zeros (3L)
                  layer.load_state_dict (state, skip = List [ "duty_cycle" ]) |> ignore
                  Expect.equal layer.SamplesSeen 24L "the others are loaded")) ]

[<Tests>]
let images =
    testList
        "KWinners2d"
        [ testCase "over the image: k of C · H · W win, and a channel's duty cycle is its part of the places" (fun () ->
              scoped (fun () ->
                  use layer =
                      new KWinners2d(
                          3,
                          { KWinnersOptions.ofK 5 with
                              DutyCycle = DutyCycle.Period 100
                              Boost = Boost.None }
                      )

                  let x = quarters 1 [| 4L; 3L; 2L; 5L |]
                  let y = numbers (layer.call x)
                  let images = numbers x |> Array.chunkBySize 30
                  Expect.equal y (images |> Array.collect (fun x -> KWinners.activate 5 x x)) "y"

                  let wins =
                      Array.init 3 (fun c ->
                          images
                          |> Array.sumBy (fun x ->
                              KWinners.winners 5 x |> Array.filter (fun i -> i / 10 = c) |> Array.length))

                  for duty, won in Seq.zip (layer.DutyCycles()) wins do
                      Expect.floatClose Accuracy.medium duty (float won / 40.0) "duty cycle"

                  Expect.equal layer.SamplesSeen 4L "images"))

          testCase "local: k of C win at each place" (fun () ->
              scoped (fun () ->
                  use layer =
                      new KWinners2d(
                          7,
                          { KWinnersOptions.ofK 2 with
                              DutyCycle = DutyCycle.Alpha 1.0
                              Boost = Boost.None },
                          local = true
                      )

                  let x = quarters 2 [| 3L; 7L; 4L; 2L |]
                  let y = layer.call x
                  Expect.equal y.shape x.shape "shape"

                  let byPlace (t: torch.Tensor) =
                      numbers (t.permute (0L, 2L, 3L, 1L)) |> Array.chunkBySize 7

                  let places = byPlace x

                  Expect.equal
                      (Array.concat (byPlace y))
                      (places |> Array.collect (fun x -> KWinners.activate 2 x x))
                      "y"

                  let wins =
                      Array.init 7 (fun c ->
                          places |> Array.filter (KWinners.winners 2 >> Array.contains c) |> Array.length)

                  for duty, won in Seq.zip (layer.DutyCycles()) wins do
                      Expect.floatClose Accuracy.medium duty (float won / 24.0) "duty cycle"))

          testCase "boosting is by channel: the channels of the past rest" (fun () ->
              scoped (fun () ->
                  for local in [ true; false ] do
                      use layer =
                          new KWinners2d(
                              2,
                              { KWinnersOptions.ofSparsity 0.5 with
                                  DutyCycle = DutyCycle.Alpha 1.0
                                  Boost = Boost.Exponential 4.0 },
                              local = local
                          )

                      let one = torch.tensor([| 1.1f; 1.1f; 1.0f; 1.0f |]).view(1L, 2L, 1L, 2L)
                      let first, second = layer.call one, layer.call one

                      Expect.equal
                          (numbers first |> Array.map (fun v -> v > 0.0))
                          [| true; true; false; false |]
                          "first"

                      Expect.equal
                          (numbers second |> Array.map (fun v -> v > 0.0))
                          [| false; false; true; true |]
                          "second"))

          testCase "the gradient goes to the winners, in both ways" (fun () ->
              scoped (fun () ->
                  for local in [ true; false ] do
                      use layer = new KWinners2d(4, KWinnersOptions.ofSparsity 0.5, local = local)
                      let x = (quarters 3 [| 2L; 4L; 3L; 3L |]).requires_grad_ true
                      let y = layer.call x
                      y.sum().backward()
                      let gradient = numbers x.PresentGrad
                      Expect.equal (Array.sum gradient) 36.0 "half of the elements"

                      Expect.all
                          (Array.zip gradient (numbers y))
                          (fun (g, y) -> g = 1.0 || y = 0.0)
                          "the winners' own"))

          testCase "images that are views, empty batches and empty images" (fun () ->
              scoped (fun () ->
                  for local in [ true; false ] do
                      use layer =
                          new KWinners2d(
                              3,
                              { KWinnersOptions.ofSparsity 0.6 with
                                  Boost = Boost.None },
                              local = local
                          )

                      let x = quarters 5 [| 2L; 4L; 5L; 3L |]
                      let view = x.permute (0L, 3L, 1L, 2L)
                      Expect.equal (numbers (layer.call view)) (numbers (layer.call (view.contiguous ()))) "view"
                      Expect.equal (layer.call (torch.zeros (0L, 3L, 2L, 2L))).shape [| 0L; 3L; 2L; 2L |] "no image"
                      Expect.equal (layer.call (torch.zeros (2L, 3L, 0L, 2L))).shape [| 2L; 3L; 0L; 2L |] "no place"
                      Expect.equal layer.SamplesSeen 4L "only what had elements"))

          testCase "entropy counts each channel once" (fun () ->
              use layer = new KWinners2d(8, KWinnersOptions.ofSparsity 0.75)
              Expect.floatClose Accuracy.high (layer.MaxEntropy(4, 4)) (DutyCycle.maxEntropy 8 2) "all alike"
              Expect.equal (layer.KOf(4, 4)) 32 "k") ]

let private x = torch.zeros (2L, 3L)

[<Tests>]
let refusals =
    testList
        "KWinners layer refuses"
        [ refuses "no unit" "features" "1 unit or more, got 0" (fun () -> new KWinners(0))
          refuses "k = 0" "k" "1 winner or more, got 0" (fun () -> new KWinners(5, KWinnersOptions.ofK 0))
          refuses "k above n" "k" "1..5 winners, got 6" (fun () -> new KWinners(5, KWinnersOptions.ofK 6))
          refuses "a sparsity of 1" "sparsity" "[0, 1), got 1" (fun () ->
              new KWinners(5, KWinnersOptions.ofSparsity 1.0))
          refuses "no options" "options" "" (fun () -> new KWinners(5, Unchecked.defaultof<KWinnersOptions>))
          refuses "options without winners" "winners" "" (fun () ->
              new KWinners(
                  5,
                  { KWinnersOptions.defaults with
                      Winners = Unchecked.defaultof<_> }
              ))
          refuses "no winner of an image" "k" "1 winner or more, got 0" (fun () ->
              new KWinners2d(5, KWinnersOptions.ofK 0))
          refuses "alpha of 10" "alpha" "(0, 1], got 10" (fun () ->
              new KWinners(
                  5,
                  { KWinnersOptions.defaults with
                      DutyCycle = DutyCycle.Alpha 10.0 }
              ))
          refuses "alpha of 0" "alpha" "(0, 1], got 0" (fun () ->
              new KWinners(
                  5,
                  { KWinnersOptions.defaults with
                      DutyCycle = DutyCycle.Alpha 0.0 }
              ))
          refuses "a period of 0" "period" "1 sample or more, got 0" (fun () ->
              new KWinners(
                  5,
                  { KWinnersOptions.defaults with
                      DutyCycle = DutyCycle.Period 0 }
              ))
          refuses "a negative strength" "boost" "0 or more, got -1" (fun () ->
              new KWinners(
                  5,
                  { KWinnersOptions.defaults with
                      Boost = Boost.Exponential -1.0 }
              ))
          refuses "a strength that is NaN" "boost" "0 or more, got NaN" (fun () ->
              new KWinners(
                  5,
                  { KWinnersOptions.defaults with
                      Boost = Boost.Additive nan }
              ))
          refuses "a decay above 1" "boostDecay" "[0, 1], got 2" (fun () ->
              new KWinners(
                  5,
                  { KWinnersOptions.defaults with
                      BoostDecay = 2.0 }
              ))
          refuses "a factor of 0" "inferenceFactor" "above 0, got 0" (fun () ->
              new KWinners(
                  5,
                  { KWinnersOptions.defaults with
                      InferenceFactor = 0.0 }
              ))
          refuses "no channel" "channels" "1 unit or more, got 0" (fun () -> new KWinners2d(0))
          refuses "k above the channels of a place" "k" "1..5 winners, got 6" (fun () ->
              new KWinners2d(5, KWinnersOptions.ofK 6, local = true))
          refuses "another number of features" "x" "shape [*, features] = [*, 5], got [2, 3]" (fun () ->
              (new KWinners(5)).call x)
          refuses "a null input" "x" "x" (fun () -> (new KWinners(5)).call Unchecked.defaultof<_>)
          refuses "integers" "x" "real floating dtype" (fun () ->
              (new KWinners(3)).call(torch.zeros (2L, 3L, dtype = torch.int32)))
          refuses "an image of another rank" "x" "shape [N, 3, H, W], got [2, 3]" (fun () -> (new KWinners2d(3)).call x)
          refuses "an image of other channels" "x" "shape [N, 3, H, W], got [1, 4, 2, 2]" (fun () ->
              (new KWinners2d(3)).call(torch.zeros (1L, 4L, 2L, 2L)))
          refuses "a null image" "x" "x" (fun () -> (new KWinners2d(3)).call Unchecked.defaultof<_>)
          refuses "k above an image's elements" "k" "1..12 winners, got 13" (fun () ->
              (new KWinners2d(3, KWinnersOptions.ofK 13)).call(torch.zeros (1L, 3L, 2L, 2L)))
          refuses "NaN, where that is checked" "x" "finite numbers" (fun () ->
              (new KWinners(
                  3,
                  { KWinnersOptions.defaults with
                      CheckInput = true }
              ))
                  .call(torch.tensor [| 1.0f; nanf; 2.0f |]))
          refuses "infinity, where that is checked" "x" "finite numbers" (fun () ->
              (new KWinners2d(
                  1,
                  { KWinnersOptions.defaults with
                      CheckInput = true }
              ))
                  .call(torch.full ([| 1L; 1L; 1L; 2L |], infinityf.ToScalar())))

          testCase "where it is not checked, NaN wins, k stays exact, and nothing breaks" (fun () ->
              scoped (fun () ->
                  for dtype in [ torch.float32; torch.float64; torch.float16; torch.bfloat16 ] do
                      use layer =
                          new KWinners(
                              6,
                              { KWinnersOptions.ofK 2 with
                                  DutyCycle = DutyCycle.Alpha 1.0 }
                          )

                      let x = (torch.tensor [| 5.0f; 1.0f; nanf; 2.0f; infinityf; 3.0f |]).to_type dtype
                      let y = layer.call x
                      Expect.equal (numbers (y.isnan ())) [| 0.0; 0.0; 1.0; 0.0; 0.0; 0.0 |] $"{dtype}: NaN passes"
                      Expect.equal (layer.DutyCycles()) [| 0.0; 0.0; 1.0; 0.0; 1.0; 0.0 |] $"{dtype}: two win"))

          testCase "a refused input changes nothing" (fun () ->
              scoped (fun () ->
                  use layer =
                      new KWinners(
                          3,
                          { KWinnersOptions.defaults with
                              CheckInput = true }
                      )

                  Expect.throws (fun () -> layer.call (torch.full ([| 2L; 3L |], nanf.ToScalar())) |> ignore) "NaN"

                  Expect.equal layer.SamplesSeen 0L "samples"
                  Expect.equal (layer.DutyCycles()) (Array.zeroCreate 3) "duty cycle")) ]

let private tensorCount () =
    Torch.Replaced.releaseAll ()
    GC.Collect()
    GC.WaitForPendingFinalizers()
    torch.Tensor.TotalCount

let private steps (model: Layer) (shape: int64[]) (count: int) (inScope: bool) =
    use x = (torch.randn shape).requires_grad_ true

    for _ in 1..count do
        use _ =
            if inScope then
                torch.NewDisposeScope() :> IDisposable
            else
                { new IDisposable with
                    member _.Dispose() = () }

        use y = model.call x
        use loss = y.sum ()
        loss.backward ()

/// Counts: nothing else may run beside these.
[<Tests>]
let steady =
    testSequenced
    <| testList
        "KWinners, alone"
        [ for inScope in [ true; false ] do
              let place = if inScope then "in a DisposeScope" else "without a scope"

              for name, make, shape in
                  [ "KWinners",
                    (fun () ->
                        new KWinners(
                            40,
                            { KWinnersOptions.defaults with
                                DutyCycle = DutyCycle.Period 100 }
                        )
                        :> Layer),
                    [| 8L; 40L |]
                    "straight-through",
                    (fun () ->
                        new KWinners(
                            40,
                            { KWinnersOptions.defaults with
                                StraightThrough = true }
                        )
                        :> Layer),
                    [| 8L; 40L |]
                    "KWinners2d", (fun () -> new KWinners2d(4) :> Layer), [| 2L; 4L; 3L; 3L |]
                    "local", (fun () -> new KWinners2d(4, local = true) :> Layer), [| 2L; 4L; 3L; 3L |] ] do
                  testCase $"{name}: 100 steps {place} leave no tensor behind" (fun () ->
                      use model = make ()
                      steps model shape 10 inScope
                      let before = tensorCount ()
                      steps model shape 100 inScope
                      Expect.equal torch.Tensor.TotalCount before "Tensor.TotalCount") ]
