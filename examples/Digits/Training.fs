namespace Digits

open System
open System.Diagnostics
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>Digits as torch takes them: images [N, 784] of float32, labels [N] of int64.</summary>
type Samples =
    { Images: torch.Tensor
      Labels: torch.Tensor }

/// <summary>What an epoch of one network took, and what it left: the part of the test digits that it then reads.</summary>
[<Struct>]
type Measure = { Seconds: float; Accuracy: float }

/// <summary>One epoch of both networks.</summary>
type Epoch =
    { Number: int
      Sparse: Measure
      Dense: Measure }

/// <summary>How to train.</summary>
type Course =
    {
        Epochs: int
        Batch: int
        SparseRate: float
        DenseRate: float
        /// How both learning rates go from there.
        Schedule: RateSchedule
        /// What SGD adds to the gradient, as a part of the weight, in both networks.
        Decay: float
        /// By how many pixels, at most, each batch is moved across and down.
        Shift: int
    }

/// <summary>A network, its optimizer (SGD with momentum 0.9), what rewires it, and the steps that it has taken.</summary>
/// <param name="course">How to train; of its learning rates none is read.</param>
/// <param name="rate">The learning rate at the first step.</param>
/// <param name="steps">Optimizer steps of the whole training.</param>
/// <param name="rewirerOf">What rewires the network, given its optimizer; none for nothing.</param>
/// <param name="network">The network; it is not disposed of with its learner.</param>
type Learner
    (course: Course, rate: float, steps: int64, rewirerOf: torch.optim.Optimizer -> Rewirer option, network: Sequential)
    =

    let optimizer =
        torch.optim.SGD(network.parameters (), rate, momentum = 0.9, weight_decay = course.Decay)

    let rewirer = rewirerOf optimizer
    let mutable taken = 0L

    member _.Network = network

    member _.ZeroGradients() : unit = optimizer.zero_grad ()

    /// One optimizer step, at the rate that the schedule has for it.
    member _.Step() : unit =
        let now = rate * RateSchedule.factor steps taken course.Schedule

        for group in optimizer.ParamGroups do
            group.LearningRate <- now

        match rewirer with
        | Some rewirer -> rewirer.Step() |> ignore
        | None -> optimizer.step () |> ignore

        taken <- taken + 1L

    interface IDisposable with
        member _.Dispose() =
            rewirer |> Option.iter (fun rewirer -> (rewirer :> IDisposable).Dispose())
            optimizer.Dispose()

/// A few digits of an epoch, and how far to move them.
type private Batch =
    { Chosen: torch.Tensor
      Down: int64
      Across: int64 }

[<RequireQualifiedAccess>]
module Training =

    /// <summary>Pixels of mean 0 and deviation 1 over MNIST's training digits.</summary>
    let samples (digits: DigitSet) : Samples =
        use _ = torch.NewDisposeScope()
        let pixels = torch.tensor (digits.Pixels, dtype = torch.float32)
        let part = pixels.view(-1L, int64 Idx.Pixels).div_(255.0.ToScalar())
        let images = part.sub_(0.1307.ToScalar()).div_(0.3081.ToScalar())
        let labels = torch.tensor (digits.Labels, dtype = torch.int64)

        { Images = images.MoveToOuterDisposeScope()
          Labels = labels.MoveToOuterDisposeScope() }

    /// All the digits in a new order. torch's generator draws it, and the moves.
    let private batches (course: Course) (data: Samples) : Batch[] =
        let move () =
            torch.randint(-course.Shift, course.Shift + 1, 1L).item<int64>()

        torch.randperm(data.Labels.shape[0]).split(int64 course.Batch)
        |> Array.map (fun chosen ->
            { Chosen = chosen
              Down = move ()
              Across = move () })

    /// MNIST leaves enough paper around a digit for a pixel or two to come in at the other side unseen.
    let private moved (batch: Batch) (images: torch.Tensor) =
        if batch.Down = 0L && batch.Across = 0L then
            images
        else
            images
                .view(-1L, int64 Idx.Side, int64 Idx.Side)
                .roll([| batch.Down; batch.Across |], [| 1L; 2L |])
                .view(-1L, int64 Idx.Pixels)

    /// One pass over an epoch's batches; the seconds it took.
    let private pass (learner: Learner) data (batches: Batch[]) afterBatch =
        learner.Network.train ()
        let watch = Stopwatch.StartNew()

        for batch in batches do
            use _ = torch.NewDisposeScope()
            let images = data.Images.index_select (0L, batch.Chosen) |> moved batch
            let labels = data.Labels.index_select (0L, batch.Chosen)
            learner.ZeroGradients()
            let loss = torch.nn.functional.cross_entropy (learner.Network.call images, labels)
            loss.backward ()
            learner.Step()
            afterBatch ()

        watch.Elapsed.TotalSeconds

    /// <summary>Whether a network reads each digit right.</summary>
    let reads (network: Sequential) (data: Samples) : bool[] =
        use _ = torch.no_grad ()
        network.eval ()

        Seq.zip (data.Images.split 1000L) (data.Labels.split 1000L)
        |> Seq.map (fun (images, labels) ->
            use _ = torch.NewDisposeScope()
            network.call(images).argmax(1L).eq(labels).data<bool>().ToArray())
        |> Array.concat

    /// <summary>The part of the digits that a network reads right.</summary>
    let accuracy (network: Sequential) (data: Samples) : float =
        let reads = reads network data
        float (reads |> Array.filter id |> Array.length) / float reads.Length

    /// <summary>Optimizer steps of a whole training.</summary>
    /// <param name="course">How to train.</param>
    /// <param name="digits">How many digits there are to learn from, 1 or more.</param>
    let steps (course: Course) (digits: int) : int64 =
        int64 course.Epochs * int64 ((digits - 1) / course.Batch + 1)

    /// <summary>One epoch of each learner in turn.</summary>
    /// <param name="course">How.</param>
    /// <param name="train">What they learn from; all see the same batches in the same order, moved alike.</param>
    /// <param name="test">What they are tested on; the test is not a part of the seconds.</param>
    /// <param name="learners">Who learns.</param>
    /// <param name="afterBatch">Called after each batch of each.</param>
    /// <returns>A measure for each learner.</returns>
    let epoch (course: Course) train test (learners: Learner list) afterBatch : Measure list =
        use _ = torch.NewDisposeScope()
        let batches = batches course train

        [ for learner in learners do
              let seconds = pass learner train batches afterBatch

              { Seconds = seconds
                Accuracy = accuracy learner.Network test } ]

    /// <summary>Trains both networks, an epoch in turn, so that whatever else the machine does meets both.</summary>
    /// <param name="course">How.</param>
    /// <param name="train">What they learn from; both see the same batches in the same order, moved alike.</param>
    /// <param name="test">What they are tested on; the test is not a part of the seconds.</param>
    /// <param name="sparse">The first network.</param>
    /// <param name="dense">The second network.</param>
    /// <param name="rewirerOf">What rewires the first network, given its optimizer; none for nothing.</param>
    /// <param name="afterBatch">Called after each batch of either network.</param>
    /// <param name="afterEpoch">Called with each epoch.</param>
    let run
        (course: Course)
        train
        test
        (sparse: Sequential)
        (dense: Sequential)
        rewirerOf
        afterBatch
        afterEpoch
        : Epoch list =
        let steps = steps course (int train.Labels.shape[0])
        use ofSparse = new Learner(course, course.SparseRate, steps, rewirerOf, sparse)

        use ofDense = new Learner(course, course.DenseRate, steps, (fun _ -> None), dense)

        [ for number in 1 .. course.Epochs do
              let measures = epoch course train test [ ofSparse; ofDense ] afterBatch

              let epoch =
                  { Number = number
                    Sparse = measures[0]
                    Dense = measures[1] }

              afterEpoch epoch
              epoch ]
