namespace Digits

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
        /// By how many pixels, at most, each batch is moved across and down.
        Shift: int
    }

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
    let private pass (network: Sequential) (optimizer: torch.optim.Optimizer) step data (batches: Batch[]) afterBatch =
        network.train ()
        let watch = Stopwatch.StartNew()

        for batch in batches do
            use _ = torch.NewDisposeScope()
            let images = data.Images.index_select (0L, batch.Chosen) |> moved batch
            let labels = data.Labels.index_select (0L, batch.Chosen)
            optimizer.zero_grad ()
            let loss = torch.nn.functional.cross_entropy (network.call images, labels)
            loss.backward ()
            step ()
            afterBatch ()

        watch.Elapsed.TotalSeconds

    /// <summary>The part of the digits that a network reads right.</summary>
    let accuracy (network: Sequential) (data: Samples) : float =
        use _ = torch.no_grad ()
        network.eval ()

        let right =
            Seq.zip (data.Images.split 1000L) (data.Labels.split 1000L)
            |> Seq.sumBy (fun (images, labels) ->
                use _ = torch.NewDisposeScope()
                network.call(images).argmax(1L).eq(labels).sum().item<int64>())

        float right / float data.Labels.shape[0]

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
        use ofSparse =
            torch.optim.SGD(sparse.parameters (), course.SparseRate, momentum = 0.9)

        use ofDense = torch.optim.SGD(dense.parameters (), course.DenseRate, momentum = 0.9)

        let rewirer: Rewirer option = rewirerOf (ofSparse :> torch.optim.Optimizer)

        let stepSparse () =
            match rewirer with
            | Some rewirer -> rewirer.Step() |> ignore
            | None -> ofSparse.step () |> ignore

        let stepDense () = ofDense.step () |> ignore

        let measure network optimizer step batches =
            let seconds = pass network optimizer step train batches afterBatch

            { Seconds = seconds
              Accuracy = accuracy network test }

        [ for number in 1 .. course.Epochs do
              use _ = torch.NewDisposeScope()
              let batches = batches course train

              let epoch =
                  { Number = number
                    Sparse = measure sparse ofSparse stepSparse batches
                    Dense = measure dense ofDense stepDense batches }

              afterEpoch epoch
              epoch ]
