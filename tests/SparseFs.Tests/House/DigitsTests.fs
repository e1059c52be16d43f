module SparseFs.Tests.DigitsTests

open System
open System.IO
open System.IO.Compression
open Digits
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs
open TorchSharp

// Files in memory, written by hand from the format's description.

let private gzipped (bytes: byte[]) : byte[] =
    use written = new MemoryStream()

    do
        use gzip = new GZipStream(written, CompressionLevel.SmallestSize)
        gzip.Write bytes

    written.ToArray()

let private bigEndian (value: int) : byte[] =
    [| byte (value >>> 24); byte (value >>> 16); byte (value >>> 8); byte value |]

let private file (header: int list) (elements: byte[]) : byte[] =
    Array.append (Array.collect bigEndian (Array.ofList header)) elements

/// Three images, each full of its own number.
let private threeImages = Array.init (3 * 784) (fun i -> byte (i / 784))

let private imagesFile = file [ 2051; 3; 28; 28 ] threeImages
let private labelsFile = file [ 2049; 3 ] [| 7uy; 0uy; 9uy |]

let private opening (bytes: byte[]) : unit -> Stream =
    fun () -> new MemoryStream(bytes, writable = false)

let private images (bytes: byte[]) =
    Idx.readImages "some.gz" (opening bytes)

let private labels (bytes: byte[]) =
    Idx.readLabels "some.gz" (opening bytes)

/// The reader's own error, which names the file and contains these words.
let private refused (words: string list) (read: unit -> 'a) =
    match
        (try
            read () |> ignore
            None
         with e ->
             Some e)
    with
    | Some(:? IdxException as e) ->
        for word in words do
            Expect.stringContains e.Message word "the error says"
    | Some other -> failtest $"expected an IdxException, got {other}"
    | None -> failtest "expected an IdxException, got a result"

let private refusedOf (read: byte[] -> byte[]) (bytes: byte[]) (words: string list) =
    refused ("some.gz" :: words) (fun () -> read bytes)

/// A folder that lives as long as the test.
let private inFolder (files: (string * byte[]) list) (test: string -> unit) =
    let folder = Directory.CreateTempSubdirectory "sparsefs-digits-"

    try
        for name, bytes in files do
            File.WriteAllBytes(Path.Combine(folder.FullName, name), bytes)

        test folder.FullName
    finally
        folder.Delete(recursive = true)

let private fourFiles =
    [ for images, labels in [ Idx.trainFiles; Idx.testFiles ] do
          images, gzipped imagesFile
          labels, gzipped labelsFile ]

/// The header of images or labels, and then anything.
let private plausible =
    gen {
        let! header =
            Gen.elements
                [ []
                  [ 2051; 2; 28; 28 ]
                  [ 2051; Int32.MaxValue; 28; 28 ]
                  [ 2049; 4 ]
                  [ 2049; -1 ] ]

        let! rest = Gen.arrayOf (Gen.choose (0, 255) |> Gen.map byte)
        return file header rest
    }
    |> Arb.fromGen

let private onlyItsOwnError (bytes: byte[]) =
    for read in [ images; labels ] do
        try
            read bytes |> ignore
        with :? IdxException ->
            ()

[<Tests>]
let idx =
    testList
        "Digits.Idx"
        [ testCase "what was written is read" (fun () ->
              Expect.equal (images (gzipped imagesFile)) threeImages "images"
              Expect.equal (labels (gzipped labelsFile)) [| 7uy; 0uy; 9uy |] "labels")

          testProperty "any images and labels come back from a folder" (fun (PositiveInt n) (seed: int) ->
              let n = min n 20
              let random = Random seed
              let pixels: byte[] = Array.zeroCreate (784 * n)
              random.NextBytes pixels
              let labels = Array.init n (fun _ -> byte (random.Next 10))

              let files =
                  [ for imagesName, labelsName in [ Idx.trainFiles; Idx.testFiles ] do
                        imagesName, gzipped (file [ 2051; n; 28; 28 ] pixels)
                        labelsName, gzipped (file [ 2049; n ] labels) ]

              inFolder files (fun folder ->
                  let expected = { Pixels = pixels; Labels = labels }
                  Expect.equal (Idx.ofFolder folder) (expected, expected) "round trip"))

          testCase "every prefix of a file is refused" (fun () ->
              let small = gzipped labelsFile

              for length in 0 .. small.Length - 1 do
                  refusedOf labels small[.. length - 1] []

              let big = gzipped imagesFile

              for length in 0 .. big.Length - 1 do
                  refusedOf images big[.. length - 1] [])

          testCase "every prefix of what a file holds is refused" (fun () ->
              for length in 0 .. labelsFile.Length - 1 do
                  refusedOf labels (gzipped labelsFile[.. length - 1]) [ "expected"; "bytes" ]

              for length in 0 .. imagesFile.Length - 1 do
                  refusedOf images (gzipped imagesFile[.. length - 1]) [ "expected"; "bytes" ])

          // gzip's own header has a time and a system, which mean nothing here; a checksum guards the rest.
          testCase "a changed bit of a file is refused or changes nothing" (fun () ->
              let whole = gzipped labelsFile
              let mutable refusals = 0

              for i in 0 .. 8 * whole.Length - 1 do
                  let changed = Array.copy whole
                  changed[i / 8] <- changed[i / 8] ^^^ (1uy <<< i % 8)

                  try
                      Expect.equal (labels changed) (labels whole) $"bit {i}"
                  with :? IdxException ->
                      refusals <- refusals + 1

              Expect.isGreaterThan refusals (4 * whole.Length) "not vacuous")

          testCase "anything behind the gzip data is refused" (fun () ->
              refusedOf labels (Array.append (gzipped labelsFile) (gzipped [| 1uy |])) [ "expected 3 bytes" ]
              refusedOf labels (Array.append (gzipped labelsFile) (Array.zeroCreate 4)) [ "expected the length 11" ])

          testProperty "random bytes give the reader's own error or digits" onlyItsOwnError

          testProperty "random bytes in gzip give the reader's own error or digits" (gzipped >> onlyItsOwnError)

          testProperty
              "random bytes behind a header give the reader's own error or digits"
              (Prop.forAll plausible (gzipped >> onlyItsOwnError))

          testCase "a file without gzip is refused" (fun () -> refusedOf images imagesFile [ "expected gzip" ])

          testCase "labels in place of images are refused, and images in place of labels" (fun () ->
              refusedOf images (gzipped (file [ 2049; 16; 0; 0 ] [||])) [ "0x00000803"; "0x00000801" ]
              refusedOf labels (gzipped imagesFile) [ "0x00000801"; "0x00000803" ])

          testCase "images of another size are refused" (fun () ->
              refusedOf images (gzipped (file [ 2051; 1; 32; 28 ] (Array.zeroCreate 896))) [ "28 x 28"; "32 x 28" ])

          testCase "no items are refused" (fun () ->
              refusedOf images (gzipped (file [ 2051; 0; 28; 28 ] [||])) [ "items"; "got 0" ]
              refusedOf labels (gzipped (file [ 2049; 0 ] [||])) [ "items"; "got 0" ])

          testCase "more bytes than the header says are refused" (fun () ->
              refusedOf images (gzipped (Array.append imagesFile [| 0uy |])) [ "2352 bytes"; "more" ]
              refusedOf labels (gzipped (Array.append labelsFile [| 0uy |])) [ "3 bytes"; "more" ])

          testCase "a label that is no digit is refused" (fun () ->
              refusedOf labels (gzipped (file [ 2049; 3 ] [| 1uy; 10uy; 2uy |])) [ "0..9"; "10 at 1" ])

          testSequenced (
              testCase "a header's promise is not allocated" (fun () ->
                  let promising = gzipped (file [ 2051; 1_000_000; 28; 28 ] [| 1uy |])
                  let before = GC.GetAllocatedBytesForCurrentThread()
                  refusedOf images promising [ "784000000 bytes"; "got 1" ]
                  Expect.isLessThan (GC.GetAllocatedBytesForCurrentThread() - before) 1_000_000L "allocated")
          )

          testCase "as many images as labels, or neither" (fun () ->
              let two = gzipped (file [ 2049; 2 ] [| 1uy; 2uy |])
              let trainLabels = snd Idx.trainFiles

              let files =
                  fourFiles
                  |> List.map (fun (name, bytes) -> name, (if name = trainLabels then two else bytes))

              inFolder files (fun folder ->
                  refused [ trainLabels; "expected 3 labels"; "got 2" ] (fun () -> Idx.ofFolder folder)))

          testCase "a missing folder, a missing file and a folder in place of a file are refused by name" (fun () ->
              inFolder [] (fun folder ->
                  let missing = Path.Combine(folder, "none")
                  refused [ missing; "no folder" ] (fun () -> Idx.ofFolder missing))

              for missing, _ in fourFiles do
                  inFolder (fourFiles |> List.filter (fun (name, _) -> name <> missing)) (fun folder ->
                      let path = Path.Combine(folder, missing)
                      refused [ path; "expected a file" ] (fun () -> Idx.ofFolder folder)
                      Directory.CreateDirectory path |> ignore
                      refused [ path ] (fun () -> Idx.ofFolder folder)))

          testCase "the demo carries 500 and 100 digits of each class" (fun () ->
              let data =
                  Path.Combine(__SOURCE_DIRECTORY__, "..", "..", "..", "examples", "Digits", "data")

              let train, test = Idx.ofFolder data

              for digits, each in [ train, 500; test, 100 ] do
                  Expect.equal
                      (Array.countBy id digits.Labels |> Array.sort)
                      [| for c in 0uy .. 9uy -> c, each |]
                      "classes") ]

let private frame (step: int64) (slots: int -> int) : Frame =
    { Step = step
      FanOut = Array.init 784 slots }

/// How often a text has another in it.
let private times (part: string) (text: string) = text.Split(part).Length - 1

let private unwritable (path: string) =
    try
        Frames.write path "page"
        failtest $"expected a FramesException for '{path}', got none"
    with :? FramesException as e ->
        Expect.stringContains e.Message $"--frames {path}" "the error names the path"

let private refusedOption (words: string list) (arguments: string list) =
    try
        Options.parse (Array.ofList arguments) |> ignore
        failtest "expected an ArguParseException, got options"
    with :? Argu.ArguParseException as e ->
        for word in words do
            Expect.stringContains e.Message word "the error says"

[<Tests>]
let frames =
    testList
        "Digits.Frames"
        [ testProperty "six updates are kept, evenly spaced, the last among them" (fun (NonNegativeInt n) ->
              let chosen = Frames.chosen (int64 n)
              Expect.equal chosen.Length (min 6 n) "as many as there are, six at most"
              let gaps = List.pairwise (0L :: chosen) |> List.map (fun (a, b) -> b - a)

              if n > 0 then
                  Expect.equal (List.last chosen) (int64 n) "the last"
                  Expect.isGreaterThan (List.min gaps) 0L "rising"
                  Expect.isLessThanOrEqual (List.max gaps - List.min gaps) 1L "even")

          testCase "updates are counted as the schedule has them" (fun () ->
              let dynamics deltaT =
                  { Name = "rigl"
                    DeltaT = deltaT
                    Alpha = 0.3 }

              for deltaT in [ 1L; 7L; 100L; 5000L ] do
                  for steps in [ 1L; 6L; 94L; 700L; 9380L ] do
                      use network = Network.sparse "uniform" 0.99 None (SparseFs.Seed.ofInt 1)
                      use optimizer = TorchSharp.torch.optim.SGD(network.parameters (), 0.1)

                      let rewirer =
                          Dynamics.rewirer (dynamics deltaT) 0.99 steps (SparseFs.Seed.ofInt 1) network optimizer

                      let due =
                          [ 1L .. steps ]
                          |> List.filter (fun step -> SparseFs.Schedule.isUpdate step rewirer.Policies[0].Schedule)

                      Expect.equal
                          [ 1L .. Dynamics.updates (dynamics deltaT) steps ]
                          (due |> List.map (fun step -> step / deltaT))
                          $"every {deltaT} of {steps}")

          testCase "shares by hand" (fun () ->
              Expect.equal (Array.filter id Frames.central).Length 196 "a quarter of 784"
              Expect.isTrue Frames.central[7 * 28 + 7] "its first"
              Expect.isTrue Frames.central[20 * 28 + 20] "its last"
              Expect.isFalse (Frames.central[6 * 28 + 7] || Frames.central[21 * 28 + 20]) "above and below"
              Expect.equal (Frames.share Frames.central (frame 0L (fun _ -> 5))) 0.25 "even"
              Expect.equal (Frames.share Frames.central (frame 0L (fun _ -> 0))) 0.0 "no slots"
              let left = frame 0L (fun pixel -> if pixel % 28 < 7 then 3 else 0)
              Expect.equal (Frames.share Frames.central left) 0.0 "on the left alone")

          testCase "a pixel is inked if any digit has ink there" (fun () ->
              let pixels: byte[] = Array.zeroCreate (3 * 784)
              pixels[10] <- 1uy
              pixels[2 * 784 + 783] <- 255uy

              Expect.equal
                  (Frames.inked
                      { Pixels = pixels
                        Labels = [| 1uy; 2uy; 3uy |] })
                  (Array.init 784 (fun pixel -> pixel = 10 || pixel = 783))
                  "inked")

          testCase "the page has each frame and each of its pixels, on one scale, and nothing from outside" (fun () ->
              let all =
                  [ frame 0L (fun _ -> 2)
                    frame 700L (fun p -> p % 4)
                    frame 1400L (fun p -> if p = 9 then 8 else 0) ]

              let page = Frames.page "digits" Frames.central all
              Expect.equal (times "<svg" page) 3 "frames"
              Expect.equal (times "h1v1h-1z" page) (3 * 784) "pixels"

              for label in [ "<b>start</b>"; "<b>step 700</b>"; "<b>step 1400</b>"; "8 slots"; "25.0 %" ] do
                  Expect.stringContains page label "label"

              // The scale's ends: its lowest and its highest number of slots, of all frames.
              Expect.equal (times "<path fill=\"#440154\"" page) 2 "no slot"
              Expect.equal (times "<path fill=\"#fde725\"" page) 1 "most slots"

              for outside in [ "http"; "src="; "href="; "<script"; "url(" ] do
                  Expect.isFalse (page.Contains outside) outside)

          testCase "a page of a network without slots is a page" (fun () ->
              Expect.stringContains (Frames.page "none" Frames.central [ frame 0L (fun _ -> 0) ]) "0.0 %" "share")

          testCase "a title is text" (fun () ->
              let page = Frames.page "<script>\"a\" & b" Frames.central [ frame 0L id ]
              Expect.isFalse (page.Contains "<script") "no tag"
              Expect.equal (times "&lt;script&gt;&quot;a&quot; &amp; b" page) 2 "escaped in the title and the heading")

          testCase "what was written is there, in place of what was, and what cannot be written is named" (fun () ->
              inFolder [ "old.html", Array.create 100 65uy ] (fun folder ->
                  let path = Path.Combine(folder, "old.html")
                  Frames.write path "page"
                  Expect.equal (File.ReadAllText path) "page" "content"
                  unwritable folder
                  unwritable (Path.Combine(folder, "none", "page.html"))
                  unwritable (Path.Combine(path, "page.html")))

              unwritable ""
              unwritable "a\000b")

          testCase "--frames goes with --dynamic" (fun () ->
              refusedOption [ "--frames"; "expected --dynamic" ] [ "--frames"; "page.html" ]
              refusedOption [ "--frames" ] [ "--dynamic"; "rigl"; "--frames" ]
              let both = Options.parse [| "--frames"; "page.html"; "--dynamic"; "rigl" |]
              Expect.equal both.Frames (Some "page.html") "either order"
              Expect.isNone (Options.parse [| "--dynamic"; "rigl" |]).Frames "none by itself") ]

let private classes = Gen.arrayOf (Gen.choose (0, 9) |> Gen.map byte) |> Arb.fromGen

[<Tests>]
let split =
    testList
        "Digits.Split"
        [ testProperty
              "every digit is in one part, in order"
              (Prop.forAll classes (fun labels ->
                  let learning, choosing = Split.indices labels
                  let both = Array.append learning choosing

                  Expect.equal (Array.sort both) [| 0 .. labels.Length - 1 |] "disjoint, and all"
                  Expect.equal learning (Array.sort learning) "rising to learn from"
                  Expect.equal choosing (Array.sort choosing) "rising to choose by"))

          testProperty
              "a fifth of each class, rounded down, is to choose by"
              (Prop.forAll classes (fun labels ->
                  let _, choosing = Split.indices labels

                  for label in 0uy .. 9uy do
                      let all = labels |> Array.filter ((=) label) |> Array.length
                      let chosen = choosing |> Array.filter (fun i -> labels[i] = label) |> Array.length
                      Expect.equal chosen (all / 5) $"class {label}"))

          testCase "images go with their labels" (fun () ->
              let labels = Array.init 23 (fun i -> byte (i % 2))

              let digits =
                  { Pixels = Array.init (23 * 784) (fun i -> byte (i / 784))
                    Labels = labels }

              let learning, choosing = Split.validation digits

              for part, indices in
                  List.zip [ learning; choosing ] [ fst (Split.indices labels); snd (Split.indices labels) ] do
                  Expect.equal part.Labels (indices |> Array.map (fun i -> labels[i])) "labels"
                  Expect.equal part.Pixels (indices |> Array.collect (fun i -> Array.create 784 (byte i))) "images") ]

[<Tests>]
let rateSchedule =
    testList
        "Digits.RateSchedule"
        [ testCase "half a cosine by hand" (fun () ->
              let factor = RateSchedule.factor 6L

              for step, expected in [ 0L, 1.0; 2L, 0.75; 3L, 0.5; 4L, 0.25 ] do
                  Expect.floatClose Accuracy.veryHigh (factor step RateSchedule.Cosine) expected $"step {step} of 6")

          testProperty "the whole rate at first, then never more and never none" (fun (PositiveInt steps) ->
              for _, schedule in RateSchedule.named do
                  let factors =
                      [ for step in 0 .. steps - 1 -> RateSchedule.factor (int64 steps) (int64 step) schedule ]

                  Expect.equal factors.Head 1.0 "first"
                  Expect.equal factors (List.sortDescending factors) "falling"
                  Expect.isGreaterThan (List.last factors) 0.0 "last")

          testProperty "constant is constant" (fun (PositiveInt steps) (NonNegativeInt step) ->
              Expect.equal
                  (RateSchedule.factor (int64 steps) (int64 (step % steps)) RateSchedule.Constant)
                  1.0
                  "factor")

          // Torch's generator, which new layers draw from, is every test's.
          testSequenced (
              testCase "a learner takes the schedule's steps" (fun () ->
                  let course =
                      { (Options.parse [||]).Course with
                          Schedule = RateSchedule.Cosine
                          Decay = 0.0 }

                  use network = Network.denseOf 3 None
                  let bias = network.parameters () |> Seq.last
                  use learner = new Learner(course, 0.5, 4L, (fun _ -> None), network)
                  let mutable velocity = 0.0

                  for step in 0..3 do
                      let before = bias.data<float32>().ToArray()
                      learner.ZeroGradients()
                      bias.sum().backward()
                      learner.Step()
                      let after = bias.data<float32>().ToArray()
                      velocity <- 0.9 * velocity + 1.0
                      let rate = 0.25 * (1.0 + cos (Math.PI * float step / 4.0))

                      for b, a in Array.zip before after do
                          Expect.floatClose Accuracy.medium (float (b - a)) (rate * velocity) $"step {step}")
          ) ]

/// So many digits that only the sparse network reads, that only the dense one reads, and that both read or neither.
let private reads (onlySparse: int) (onlyDense: int) (both: int) (neither: int) =
    let parts sparse dense =
        [| onlySparse, sparse; onlyDense, dense; both, true; neither, false |]

    let flat = Array.collect (fun (count, right) -> Array.create count right)
    Comparison.ofReads (flat (parts true false)) (flat (parts false true))

let private cost weights bytes seconds : Cost =
    { Weights = weights
      Bytes = bytes
      SecondsAnEpoch = seconds }

[<Tests>]
let comparison =
    testList
        "Digits.Comparison"
        [ testProperty
              "the difference is that of the accuracies"
              (fun (NonNegativeInt s) (NonNegativeInt d) (NonNegativeInt both) (PositiveInt neither) ->
                  let c = reads s d both neither
                  let n = float (s + d + both + neither)
                  let accuracy right = 100.0 * float right / n
                  Expect.equal (c.Digits, c.OnlySparse, c.OnlyDense) (s + d + both + neither, s, d) "counts"

                  Expect.floatClose
                      Accuracy.high
                      (Comparison.difference c)
                      (accuracy (s + both) - accuracy (d + both))
                      "points")

          testProperty "who is ahead one way is behind the other" (fun (NonNegativeInt s) (NonNegativeInt d) ->
              let opposite =
                  match Comparison.standing (reads d s 5 5) with
                  | Standing.Ahead -> Standing.Behind
                  | Standing.Level -> Standing.Level
                  | Standing.Behind -> Standing.Ahead

              Expect.equal (Comparison.standing (reads s d 5 5)) opposite "mirrored")

          testProperty "level is within one deviation" (fun (NonNegativeInt s) (NonNegativeInt d) (PositiveInt both) ->
              let c = reads s d both 0
              let isWithin = abs (Comparison.difference c) <= Comparison.deviation c + 1e-9
              Expect.equal (Comparison.standing c = Standing.Level) isWithin "within")

          testCase "behind, level and ahead in words" (fun () ->
              let words c =
                  Comparison.words (cost 100L 300L 0.5) (cost 1000L 1500L 2.0) c

              let needs =
                  "with 10.0 times fewer weights, 5.0 times fewer bytes and 4.0 times shorter epochs"

              for c, stands in
                  [ reads 6 19 970 5, "behind dense: -1.30 points (deviation 0.50 over 1000 test digits)"
                    reads 10 15 970 5, "level with dense: -0.50 points (deviation 0.50 over 1000 test digits)"
                    reads 0 0 970 30, "level with dense: +0.00 points (deviation 0.00 over 1000 test digits)"
                    reads 13 12 970 5, "level with dense: +0.10 points (deviation 0.50 over 1000 test digits)"
                    reads 19 6 970 5, "ahead of dense: +1.30 points (deviation 0.50 over 1000 test digits)" ] do
                  Expect.equal (words c) $"sparse is {stands}, {needs}" stands)

          testCase "what is not fewer is said to be more or as many" (fun () ->
              let dense = cost 1000L 1500L 2.0

              for sparse, needs in
                  [ cost 1000L 3000L 3.0, "as many weights, 2.0 times more bytes and 1.5 times longer epochs"
                    cost 1010L 1490L 2.01, "as many weights, as many bytes and equally long epochs"
                    cost 100L 300L 0.5, "10.0 times fewer weights, 5.0 times fewer bytes and 4.0 times shorter epochs" ] do
                  Expect.stringEnds
                      (Comparison.words sparse dense (reads 1 1 8 0))
                      $" test digits), with {needs}"
                      needs) ]

[<Tests>]
let options =
    testList
        "Digits.Options"
        [ testCase "what is not said is the recipe, rewired, and --dynamic none is static" (fun () ->
              let course (arguments: string) =
                  (Options.parse (arguments.Split ' ')).Course

              let recipe = Options.parse [||]
              Expect.isSome recipe.Dynamic "rewired"
              Expect.isNone (Options.parse [| "--dynamic"; "none" |]).Dynamic "static"
              Expect.equal (Options.parse [| "--dynamic"; "set" |]).Dynamic.Value.Name "set" "another policy"
              Expect.equal recipe.Course.Schedule RateSchedule.Cosine "schedule"
              Expect.equal (course "--lr 0.5") { recipe.Course with SparseRate = 0.5 } "sparse rate"
              Expect.equal (course "--dense-lr 0.5") { recipe.Course with DenseRate = 0.5 } "dense rate"
              Expect.equal (course "--epochs 3") { recipe.Course with Epochs = 3 } "epochs"
              Expect.equal (course "--weight-decay 0") { recipe.Course with Decay = 0.0 } "decay"

              Expect.equal
                  (course "--schedule constant")
                  { recipe.Course with
                      Schedule = RateSchedule.Constant }
                  "schedule")

          testCase "--cnn has a recipe of its own, and takes nothing that is of the linear network" (fun () ->
              let cnn, linear = Options.parse [| "--cnn" |], Options.parse [||]
              Expect.isTrue cnn.IsCnn "asked for"
              Expect.isFalse linear.IsCnn "not asked for"
              Expect.isLessThan cnn.Course.Epochs linear.Course.Epochs "fewer passes"
              Expect.equal (Options.parse [| "--cnn"; "--epochs"; "9"; "--sparsity"; "0.5" |]).Course.Epochs 9 "epochs"
              refusedOption [ "--topology"; "--cnn" ] [ "--cnn"; "--topology"; "uniform" ]
              refusedOption [ "--kwinners"; "--cnn" ] [ "--cnn"; "--kwinners"; "0.5" ]
              refusedOption [ "--frames"; "--cnn" ] [ "--cnn"; "--frames"; "page.html" ])

          testCase "the convolutional networks are twins" (fun () ->
              use _ = torch.NewDisposeScope()
              use sparse = Network.sparseCnn 0.8 (Seed.ofInt 1)
              use dense = Network.denseCnn ()
              let x = torch.randn (2L, int64 Idx.Pixels)
              Expect.equal ((sparse.call x).shape) [| 2L; int64 Idx.Classes |] "sparse"
              Expect.equal ((dense.call x).shape) [| 2L; int64 Idx.Classes |] "dense"
              Expect.equal (Network.weights dense) (int64 (9 * (32 + 32 * 64 + 64 * 128) + 9 * 128 * 10)) "all weights"

              Expect.equal
                  (Network.weights sparse)
                  (int64 (9 * 32) + (Network.weights dense - int64 (9 * 32)) / 5L)
                  "a fifth of all but the first convolution's")

          testCase "what the recipe cannot be is refused" (fun () ->
              refusedOption [ "--schedule"; "cosine, constant"; "linear" ] [ "--schedule"; "linear" ]
              refusedOption [ "--weight-decay"; "[0, 1)" ] [ "--weight-decay"; "1" ]
              refusedOption [ "--dynamic"; "none, rigl" ] [ "--dynamic"; "static" ]

              refusedOption
                  [ "--frames"; "expected --dynamic"; "none" ]
                  [ "--frames"; "page.html"; "--dynamic"; "none" ]) ]
