/// The kernels' public face: spans in, spans out, every size checked.
module SparseFs.Tests.CpuKernelsTests

open System
open System.Threading.Tasks
open Expecto
open SparseFs
open SparseFs.Kernels
open SparseFs.Tests.Cases
open SparseFs.Tests.Refusals
open SparseFs.Tests.Outcomes

let private span (numbers: float32[]) = ReadOnlySpan<float32> numbers

/// Garbage that must be overwritten, never added to.
let private garbage (length: int) = Array.create length nanf

let private expectClose (what: string) (bounds: float[], wanted: float[]) (got: float32[]) =
    Expect.equal got.Length wanted.Length $"{what}: length"

    for i in 0 .. got.Length - 1 do
        if not (abs (float got[i] - wanted[i]) <= bounds[i]) then
            failtest $"{what}, at {i}: expected {wanted[i]} ± {bounds[i]}, got {got[i]}"

let private spmm (kernels: CpuKernels) (plan: SpmmPlan) (c: Case) =
    let y = garbage (c.N * c.Pattern.Rows)
    kernels.Spmm(plan, span c.Values, span c.Bias, span (flat c.X), c.N, Span y)
    y

let private spmmT (kernels: CpuKernels) (plan: SpmmPlan) (c: Case) =
    let x = garbage (c.N * c.Pattern.Cols)
    kernels.SpmmT(plan, span c.Values, span (flat c.G), c.N, Span x)
    x

let private sddmm (kernels: CpuKernels) (plan: SpmmPlan) (c: Case) =
    let d = garbage c.Pattern.Nnz
    kernels.Sddmm(plan, span (flat c.G), span (flat c.X), c.N, Span d)
    d

let private backward (kernels: CpuKernels) (plan: SpmmPlan) (c: Case) =
    let dValues, dBias, dx =
        garbage c.Pattern.Nnz, garbage c.Pattern.Rows, garbage (c.N * c.Pattern.Cols)

    kernels.Backward(plan, span c.Values, span (flat c.G), span (flat c.X), c.N, Span dValues, Span dBias, Span dx)

    dValues, dBias, dx

/// On one thread, and on more than a small product would take.
let private all: CpuKernels list =
    [ CpuKernels(1, ParallelFor.ThreadPool); CpuKernels(3, ParallelFor.ThreadPool) ]

let private sorted (k: int) (row: float32[]) : float32[] =
    let winners =
        [| 0 .. row.Length - 1 |]
        |> Array.sortBy (fun i -> -row[i], i)
        |> Array.take k
        |> Set.ofArray

    row |> Array.mapi (fun i value -> if winners.Contains i then value else 0.0f)

let private plan = SpmmPlan(Topology.uniform 3 4 6 (Seed.ofInt 1))
let private kernels = CpuKernels.Shared

let private zeros (length: int) : float32[] = Array.zeroCreate length

[<Tests>]
let cpuKernelsTests =
    testList
        "CpuKernels"
        [ law "the products are those of float64 within rounding" 150 (fun c ->
              let plan = SpmmPlan c.Pattern

              for kernels in all do
                  expectClose "spmm" (Wanted.spmm c) (spmm kernels plan c)
                  expectClose "spmmT" (Wanted.spmmT c) (spmmT kernels plan c)
                  expectClose "sddmm" (Wanted.sddmm c) (sddmm kernels plan c)
                  let dValues, dBias, dx = backward kernels plan c
                  expectClose "values" (Wanted.sddmm c) dValues
                  expectClose "bias" (Wanted.biasGradient c) dBias
                  expectClose "input" (Wanted.spmmT c) dx)

          testCase "many threads that call one object get the bits of one" (fun () ->
              let c = make (Topology.uniform 200 300 6000 (Seed.ofInt 3)) 70 5
              let plan = SpmmPlan c.Pattern
              let one = CpuKernels(1, ParallelFor.ThreadPool)
              let wanted = spmm one plan c, spmmT one plan c, backward one plan c

              Parallel.For(
                  0,
                  40,
                  fun _ ->
                      Expect.equal
                          (spmm kernels plan c, spmmT kernels plan c, backward kernels plan c)
                          wanted
                          "to the bit"
              )
              |> ignore)

          law "the k largest of each row stay" 100 (fun c ->
              let rows, n = c.N, c.Pattern.Cols

              if n > 0 then
                  for k in List.distinct [ 1; (n + 1) / 2; n ] do
                      let y = garbage (rows * n)
                      kernels.TopKRows(span (flat c.X), rows, n, k, Span y)

                      let wanted =
                          [| for row in 0 .. rows - 1 do
                                 yield! sorted k c.X[row, *] |]

                      Expect.equal y wanted $"k = {k}")

          law "scores of growth are the dense product's, by blocks and by rows" 60 (fun c ->
              let rows, cols = c.Pattern.Rows, c.Pattern.Cols

              let full =
                  { c with
                      Pattern = Connectivity.full rows cols }

              let scores = kernels.GrowthScores(rows, cols, flat c.G, flat c.X, c.N)
              let wanted = Wanted.sddmm full
              expectClose "rows" wanted (Array.copy (scores.Rows(0, rows)))
              let found = garbage (rows * cols)

              scores.EachBlock(
                  "scores",
                  rows,
                  cols,
                  fun _ first count block stride ->
                      for row in 0 .. count - 1 do
                          Array.blit block (row * stride) found ((first + row) * cols) cols
              )

              expectClose "blocks" wanted found)

          testCase "a rewire by these scores grows the largest" (fun () ->
              let c = make (Topology.uniform 12 9 30 (Seed.ofInt 2)) 20 7
              let scores = kernels.GrowthScores(12, 9, flat c.G, flat c.X, c.N)

              let state =
                  { Rewire.state c.Pattern c.Values 1L (Seed.ofInt 1) with
                      Gradient = scores
                      Momentum = scores }

              let rewired: Rewired =
                  Array.exactlyOne (Rewire.step (Policy.rigL (Schedule.constant 0.3 1L 10L)) [| state |])

              Expect.equal rewired.Connectivity.Nnz 30 "nnz"
              Expect.isGreaterThan (countsOf rewired.Outcome).Grown 0 "grown")

          testCase "one thread allocates nothing in a product, once its scratch is there" (fun () ->
              let c = make (Topology.uniform 200 300 6000 (Seed.ofInt 3)) 70 5
              let plan, one = SpmmPlan c.Pattern, CpuKernels(1, ParallelFor.ThreadPool)
              let x, y = flat c.X, garbage (70 * 200)

              let multiply () =
                  one.Spmm(plan, span c.Values, span c.Bias, span x, c.N, Span y)

              multiply ()

              let allocated () =
                  multiply ()
                  let before = GC.GetAllocatedBytesForCurrentThread()

                  for _ in 1..100 do
                      multiply ()

                  GC.GetAllocatedBytesForCurrentThread() - before

              // Where other tests take the scratch meanwhile, there is none, and a call makes its own: so the least of some tries.
              let least = List.min [ for _ in 1..20 -> allocated () ]
              Expect.isLessThan least 100L "less than a byte a call")

          testCase "what the vectors are is one of four" (fun () ->
              Expect.contains [ 32; 128; 256; 512 ] kernels.VectorBits "bits"
              Expect.equal kernels.Threads Environment.ProcessorCount "threads")

          refuses "threads below 1" "threads" "expected 1 or more, got 0" (fun () ->
              CpuKernels(0, ParallelFor.ThreadPool))
          refuses "no team" "team" "null" (fun () -> CpuKernels(1, Unchecked.defaultof<_>))
          refuses "no plan" "plan" "null" (fun () ->
              kernels.Spmm(Unchecked.defaultof<_>, span [||], span [||], span [||], 0, Span [||]))
          refuses "values of another pattern" "values" "expected nnz = 6 numbers, got 5" (fun () ->
              kernels.Spmm(plan, span (zeros 5), span [||], span (zeros 4), 1, Span(zeros 3)))
          refuses "a bias of another size" "bias" "expected rows = 3 numbers, got 4" (fun () ->
              kernels.Spmm(plan, span (zeros 6), span (zeros 4), span (zeros 4), 1, Span(zeros 3)))
          refuses "an input of another size" "x" "expected samples · cols = 8 numbers, got 4" (fun () ->
              kernels.Spmm(plan, span (zeros 6), span [||], span (zeros 4), 2, Span(zeros 6)))
          refuses "an output of another size" "y" "expected samples · rows = 3 numbers, got 4" (fun () ->
              kernels.Spmm(plan, span (zeros 6), span [||], span (zeros 4), 1, Span(zeros 4)))
          refuses "an output in an input" "y" "memory of its own" (fun () ->
              let x = zeros 7
              kernels.Spmm(plan, span (zeros 6), span [||], ReadOnlySpan(x, 0, 4), 1, Span(x, 3, 3)))
          refuses "samples below 0" "samples" "expected 0 or more, got -1" (fun () ->
              kernels.SpmmT(plan, span (zeros 6), span [||], -1, Span [||]))
          refuses "a gradient in another's memory" "dBias" "memory of its own" (fun () ->
              let d = zeros 8

              kernels.Backward(
                  plan,
                  span (zeros 6),
                  span (zeros 3),
                  span (zeros 4),
                  1,
                  Span(d, 0, 6),
                  Span(d, 5, 3),
                  Span [||]
              ))
          refuses "k above n" "k" "expected 1 to 3, got 4" (fun () ->
              kernels.TopKRows(span (zeros 3), 1, 3, 4, Span(zeros 3)))
          refuses "scores of another size" "g" "expected samples · rows = 6 numbers, got 5" (fun () ->
              kernels.GrowthScores(3, 4, zeros 5, zeros 8, 2)) ]
