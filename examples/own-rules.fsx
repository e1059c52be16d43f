// A topology, a drop rule and a grow rule of one's own, on digits. After one build (dotnet fsi build.fsx):
//   dotnet fsi examples/own-rules.fsx
// The page about it is docs/own-rules.md.
#r "../artifacts/bin/SparseFs/release/TorchSharp.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.Core.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.dll"
#load "Digits/Idx.fs"

open System
open System.IO
open Digits
open SparseFs
open TorchSharp
open TorchSharp.Modules

// 1. A topology: any function of rows, columns, nnz and a seed.

/// A butterfly (Dao et al., ICML 2019; flat as in Chen et al., ICLR 2022): each unit sees the inputs at distances of 0 and of
/// powers of two. What it lacks of nnz is drawn uniformly; of what it has too many, the farthest go.
let butterfly (rows: int) (cols: int) (nnz: int) (seed: Seed) : Connectivity =
    let distances =
        [ 0
          for power in 0 .. int (Math.Log2(float (max 2 cols))) - 1 do
              1 <<< power
              -(1 <<< power) ]

    let cell (row: int) (distance: int) =
        let centre = int (int64 row * int64 cols / int64 rows)
        row, ((centre + distance) % cols + cols) % cols

    let wings =
        [| for distance in distances do
               for row in 0 .. rows - 1 -> cell row distance |]
        |> Array.distinct
        |> Array.truncate nnz

    let ofPairs (pairs: (int * int)[]) =
        Connectivity.ofPairs rows cols (Array.map fst pairs) (Array.map snd pairs)

    let pairsOf (c: Connectivity) =
        Array.zip (Connectivity.rowIndices c) (c.ColIdx.ToArray())

    // A uniform pattern of nnz cells has at least nnz - wings cells that are not wings.
    let others =
        Connectivity.difference (Topology.uniform rows cols nnz (Seed.child 0 seed)) (ofPairs wings)
        |> pairsOf
        |> Array.indexed
        |> Array.sortBy (fun (i, _) -> Seed.bitsAt (int64 i) (Seed.child 1 seed))
        |> Array.map snd

    Array.append wings (Array.truncate (nnz - wings.Length) others) |> ofPairs

// 2. A drop rule: one score a slot, in slot order; the lowest go.

/// The numbers of a source of scores at the slots, in slot order.
let atSlots (name: string) (scores: CellScores) (c: Connectivity) : float32[] =
    let found: float32[] = Array.zeroCreate c.Nnz
    let rowPtr, colIdx = c.RowPtr.ToArray(), c.ColIdx.ToArray()

    scores.EachBlock(
        name,
        c.Rows,
        c.Cols,
        ScoreBlock(fun _ first count block stride ->
            for row in first .. first + count - 1 do
                for slot in rowPtr[row] .. rowPtr[row + 1] - 1 do
                    found[slot] <- block[(row - first) * stride + colIdx[slot]])
    )

    found

/// What the loss would change by without the weight, to first order: |w · gradient| (Mozer and Smolensky, 1988; SNIP, Lee et
/// al., ICLR 2019). The gradient is there because the grow rule beside it asks for it.
let bySensitivity =
    Drop.NamedScore(
        "sensitivity",
        fun state ->
            Array.map2 (fun w g -> abs (w * g)) state.Weight (atSlots "gradient" state.Gradient state.Connectivity)
    )

// 3. A grow rule: a score of every cell, computed some rows at a time; the highest come.

/// RigL's |gradient|, divided by the slots that the input has already, so that no few inputs get them all.
let balanced =
    Grow.NamedScore(
        "gradient by fan-out",
        GrowthInputs.Gradient,
        fun state ->
            let fanOut = Connectivity.fanOut state.Connectivity

            state.Gradient
            |> CellScores.mapi (fun _ col score -> abs score / float32 (1 + fanOut[col]))
    )

// 4. All of them, over three seeds.

torch.set_num_threads 1
let epochs, batch = 5, 50
let steps = int64 (epochs * 5000 / batch)
let rigL = Policy.rigL (Schedule.cosine 0.3 20L (3L * steps / 4L))

let variants =
    [ "RigL", Topology.uniform, rigL
      "own topology, static", butterfly, Policy.staticSparse
      "own topology, RigL", butterfly, rigL
      "own drop rule", Topology.uniform, { rigL with Drop = bySensitivity }
      "own grow rule", Topology.uniform, { rigL with Grow = balanced } ]

let tensors (digits: DigitSet) =
    let pixels = torch.tensor (digits.Pixels, dtype = torch.float32)

    pixels.view(-1L, int64 Idx.Pixels).div(255.0.ToScalar()).sub(0.1307.ToScalar()).div(0.3081.ToScalar()),
    torch.tensor (digits.Labels, dtype = torch.int64)

let train, test =
    Idx.ofFolder (Path.Combine(__SOURCE_DIRECTORY__, "Digits", "data"))

let (images, labels), (testImages, testLabels) = tensors train, tensors test

/// The part of the test digits that the network reads after its training, and the fan-out of the pixel that has most.
let run (topology: int -> int -> int -> Seed -> Connectivity) (policy: Policy) (seed: int) : float * int =
    torch.manual_seed (int64 seed) |> ignore
    let seed = Seed.ofInt seed

    use hidden =
        new SparseLinear(784, 300, sparsity = 0.98, topology = topology, seed = Seed.child 0 seed)

    use model = torch.nn.Sequential(hidden, torch.nn.ReLU(), torch.nn.Linear(300L, 10L))

    use optimizer = torch.optim.Adam(model.parameters (), 1e-3)

    let step: unit -> unit =
        if policy.Schedule = Schedule.never then
            fun () -> optimizer.step () |> ignore
        else
            let rewirer =
                new Rewirer(model, optimizer, policy, Seed.child 1 seed, Layers.Named "0")

            fun () -> rewirer.Step() |> ignore

    for _ in 1..epochs do
        use _ = torch.NewDisposeScope()

        for chosen in torch.randperm(labels.shape[0]).split(int64 batch) do
            use _ = torch.NewDisposeScope()
            optimizer.zero_grad ()
            let output = model.call (images.index_select (0L, chosen))
            torch.nn.functional.cross_entropy(output, labels.index_select (0L, chosen)).backward()
            step ()

    use _ = torch.no_grad ()
    use _ = torch.NewDisposeScope()

    let right = model.call(testImages).argmax(1L).eq(testLabels).sum().item<int64>()

    float right / float testLabels.shape[0], Array.max (Connectivity.fanOut hidden.Connectivity)

printfn "784-300-10, 98 %% sparse, 5,000 digits, %d epochs: test accuracy of seeds 1, 2, 3" epochs
printfn "%-22s %6s %6s %6s %6s   most slots of a pixel" "" "1" "2" "3" "mean"

for name, topology, policy in variants do
    let results = [ for seed in 1..3 -> run topology policy seed ]
    let mean = results |> List.averageBy fst
    let percent (part: float) = $"%.1f{100.0 * part}"

    let cells =
        [ for part in List.map fst results @ [ mean ] -> (percent part).PadLeft 6 ]

    printfn "%-22s %s   %d" name (String.concat " " cells) (results |> List.map snd |> List.max)
