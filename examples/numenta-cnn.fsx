// The convolutional networks of "How Can We Be So Dense?" (Ahmad and Scheinkman, arXiv:1903.11257, section 4.1) and their score under noise, for
// conv-runs.fsx: sizes, rates and epochs are those of the settings that its authors give with it (htmpapers, experiments_paper.cfg).
#load "patterns-networks.fsx"

open System
open System.Diagnostics
open SparseFs
open TorchSharp

type Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

/// One row of the paper's tables. A convolution of 5 × 5, max pooling and k-winners, twice; a hidden layer with k-winners; a last layer.
type Row =
    {
        Channels: int * int
        /// How many win in an image, after each pooling; none: ReLU.
        Winners: (int * int) option
        Hidden: int
        /// How many of the hidden layer win; none: ReLU.
        HiddenWinners: int option
        /// The part of the hidden layer's weights that are.
        Density: float
        /// Of the second convolution's weights; the paper's are all there.
        ConvDensity: float
        Rate: float
        Momentum: float
        FirstBatch: int
        Epochs: int
    }

let private sparse =
    { Channels = 32, 64
      Winners = Some(400, 300)
      Hidden = 700
      HiddenWinners = Some 100
      Density = 0.3
      ConvDensity = 1.0
      Rate = 0.02
      Momentum = 0.0
      FirstBatch = 4
      Epochs = 10 }

let private denseHidden (row: Row) =
    { row with
        Hidden = 1000
        HiddenWinners = None
        Density = 1.0
        Rate = 0.01
        Momentum = 0.9
        FirstBatch = 64 }

let rows: (string * Row) list =
    [ "dense",
      { denseHidden sparse with
          Channels = 30, 30
          Winners = None
          Epochs = 15 }
      "sparse", sparse
      // The paper's mixed networks.
      "dense-sparse-hidden",
      { sparse with
          Channels = 30, 30
          Winners = None
          Rate = 0.01
          Momentum = 0.5 }
      "sparse-dense-hidden", denseHidden sparse
      "sparse-all-weights",
      { sparse with
          Density = 1.0
          Rate = 0.01
          Momentum = 0.9
          FirstBatch = 64 }
      "sparse-hidden-relu",
      { denseHidden sparse with
          Density = 0.3
          FirstBatch = 4 }
      // Ours: the second convolution keeps a fifth of its weights too.
      "sparse-convolution", { sparse with ConvDensity = 0.2 } ]

/// A dense layer's first weights, of which those that are not there were left out: a fan-in counts all inputs.
let private asDense (layer: SparseLayer) (fanIn: int) : Layer =
    use _ = torch.no_grad ()
    let bound = 1.0 / sqrt (float fanIn)
    layer.weight.uniform_ (-bound, bound) |> ignore

    match layer.bias with
    | null -> ()
    | bias -> bias.uniform_ (-bound, bound) |> ignore

    layer

let modelOf (row: Row) (seed: int) : Modules.Sequential =
    torch.manual_seed (int64 seed) |> ignore
    let first, second = row.Channels

    let options (k: int) =
        { KWinnersOptions.ofK k with
            DutyCycle = DutyCycle.Period 1000
            Boost = Boost.Exponential 1.5
            BoostDecay = 0.85
            InferenceFactor = 1.5 }

    let winners (channels: int) (choose: int * int -> int) : Layer =
        match row.Winners with
        | Some both -> new KWinners2d(channels, options (choose both))
        | None -> torch.nn.ReLU()

    let patternSeed index = Seed.child index (Seed.ofInt seed)

    let fanIn (inputs: int) (density: float) =
        int (Math.Round(density * float inputs))

    let secondConvolution: Layer =
        if row.ConvDensity < 1.0 then
            let inputs = first * 25
            let kept = fanIn inputs row.ConvDensity
            asDense (new SparseConv2d(Topology.constantFanIn second inputs kept (patternSeed 0), first, 5)) inputs
        else
            torch.nn.Conv2d(int64 first, int64 second, 5L)

    let inputs = second * 16

    let hidden: Layer =
        if row.Density < 1.0 then
            let kept = fanIn inputs row.Density
            asDense (new SparseLinear(Topology.constantFanIn row.Hidden inputs kept (patternSeed 1))) inputs
        else
            torch.nn.Linear(int64 inputs, int64 row.Hidden)

    torch.nn.Sequential(
        [ torch.nn.Unflatten(1L, [| 1L; 28L; 28L |]) :> Layer
          torch.nn.Conv2d(1L, int64 first, 5L)
          torch.nn.MaxPool2d 2L
          winners first fst
          secondConvolution
          torch.nn.MaxPool2d 2L
          winners second snd
          torch.nn.Flatten()
          hidden
          (match row.HiddenWinners with
           | Some k -> new KWinners(row.Hidden, options k) :> Layer
           | None -> torch.nn.ReLU())
          torch.nn.Linear(int64 row.Hidden, 10L) ]
    )

/// A part of each image's pixels, drawn anew for each image, takes the value mean + 2 deviations: 2 after normalising.
let private noisy (level: float) (samples: Digits.Samples) : Digits.Samples =
    let changed = int64 (784.0 * level) // rounded down, as there
    let order = torch.rand(samples.Images.shape).argsort(1L)

    { samples with
        Images =
            samples.Images.scatter (
                1L,
                order.narrow (1L, 0L, changed),
                torch.full (samples.Images.shape, 2.0f.ToScalar())
            ) }

/// Accuracy of the test images, and how many are right with 0, 5, 10 … 50 % of noise, of eleven times as many.
type Outcome =
    { Accuracy: float
      NoiseScore: int
      Weights: int64
      Flops: float
      Seconds: float }

let train (row: Row) (seed: int) (train: Digits.Samples, test: Digits.Samples) : Outcome =
    use _ = torch.NewDisposeScope()
    use model = modelOf row seed

    use optimizer =
        torch.optim.SGD(model.parameters (), row.Rate, momentum = row.Momentum)

    let watch = Stopwatch.StartNew()

    for epoch in 1 .. row.Epochs do
        model.train ()
        use _ = torch.NewDisposeScope()

        for group in optimizer.ParamGroups do
            group.LearningRate <- row.Rate * Math.Pow(0.8, float (epoch - 1))

        for chosen in torch.randperm(train.Labels.shape[0]).split(int64 (if epoch = 1 then row.FirstBatch else 64)) do
            use _ = torch.NewDisposeScope()

            let x, y =
                train.Images.index_select (0L, chosen), train.Labels.index_select (0L, chosen)

            optimizer.zero_grad ()
            torch.nn.functional.cross_entropy(model.call x, y).backward()
            optimizer.step () |> ignore

        for m in model.modules () do
            match m with
            | :? KWinnersBase as winners -> winners.EndEpoch()
            | _ -> ()

    watch.Stop()
    model.eval ()

    // The same noise for all networks of a seed.
    torch.manual_seed (int64 seed) |> ignore

    let right (level: float) =
        use _ = torch.NewDisposeScope()

        int (Math.Round(Digits.Training.accuracy model (noisy level test) * float test.Labels.shape[0]))

    let summary = Summary.ofShape [| 1L; 784L |] model
    let rights = [ for level in 0..10 -> right (0.05 * float level) ]

    { Accuracy = float rights.Head / float test.Labels.shape[0]
      NoiseScore = List.sum rights
      Weights = summary.Weights
      Flops =
        if summary.Flops.HasValue then
            float summary.Flops.Value
        else
            nan
      Seconds = watch.Elapsed.TotalSeconds / float row.Epochs }
