/// Whose turn it is, and on which threads.
module SparseFs.Tests.ProcessorsTests

open System
open System.Threading
open Expecto
open SparseFs
open SparseFs.Kernels

let private start (bodies: (unit -> unit) list) : Thread list =
    let threads = [ for body in bodies -> Thread(body, IsBackground = true) ]
    threads |> List.iter _.Start()
    threads

let private join (threads: Thread list) =
    for t in threads do
        Expect.isTrue (t.Join(TimeSpan.FromSeconds 60.0)) "it ends"

[<Tests>]
let processorsTests =
    testList
        "Processors"
        [ testCase
              "never more than there are, each call at least one and at most what it wants, and none is lost"
              (fun () ->
                  for count in [ 1; 2; 3; 8 ] do
                      let processors = Processors count
                      let held: int[] = [| 0 |]
                      let ran: int[] = [| 0 |]
                      let wrong = ResizeArray<string>()

                      let calls (seed: int) () =
                          let random = Random seed

                          for _ in 1..300 do
                              let wanted = random.Next(1, 2 * count + 1)
                              let pause = random.Next 200

                              processors.Call(
                                  wanted,
                                  fun granted ->
                                      let now = Interlocked.Add(&held[0], granted)

                                      if granted < 1 || granted > wanted || now > count then
                                          lock wrong (fun () ->
                                              wrong.Add $"{granted} of {wanted}, {now} of {count} at a time")

                                      Thread.SpinWait pause
                                      Interlocked.Increment &ran[0] |> ignore
                                      Interlocked.Add(&held[0], -granted) |> ignore
                              )

                      join (start [ for seed in 1..12 -> calls seed ])
                      Expect.isEmpty wrong $"of {count}"
                      Expect.equal ran[0] (12 * 300) "each once"
                      Thread.Sleep 100 // until nobody but the next call counts as a caller
                      processors.Call(count + 1, (fun granted -> Expect.equal granted count "all are free again")))

          testCase "calls are served in the order in which they came" (fun () ->
              let processors = Processors 1
              let served = ResizeArray<int>()
              let mutable threads: Thread list = []

              processors.Call(
                  1,
                  fun _ ->
                      threads <-
                          [ for caller in 1..10 do
                                // There is one processor, so only one adds at a time.
                                let call () =
                                    processors.Call(4, (fun _ -> served.Add caller))

                                yield! start [ call ]

                                while processors.Waiting < caller do
                                    Thread.Sleep 0 ]
              )

              join threads
              Expect.sequenceEqual served [ 1..10 ] "the order")

          testCase "a lone caller gets all that it wants, and those who wait share what becomes free" (fun () ->
              let processors = Processors 9
              let granted: int[] = Array.zeroCreate 2
              let mutable threads: Thread list = []

              processors.Call(
                  9,
                  fun alone ->
                      Expect.equal alone 9 "alone"

                      threads <-
                          [ for caller in 0..1 do
                                let call () =
                                    processors.Call(9, (fun count -> granted[caller] <- count))

                                yield! start [ call ]

                                while processors.Waiting <= caller do
                                    Thread.Sleep 0 ]
              )

              join threads
              Expect.equal granted [| 3; 3 |] "three callers have been seen, so a third each")

          testCase "a call inside of another runs on its own thread, and waits for nobody" (fun () ->
              let policy =
                  { Width = Width.Scalar
                    Threads = 2
                    Team = ParallelFor.Workers }

              let inner: int[] = [| 0 |]

              let part _ =
                  let here = Environment.CurrentManagedThreadId

                  ExecutionPolicy.call policy (fun policy ->
                      policy.Team.Run(
                          policy.Threads,
                          4,
                          fun _ ->
                              if Environment.CurrentManagedThreadId = here then
                                  Interlocked.Increment &inner[0] |> ignore
                      ))

              let outer () =
                  ExecutionPolicy.call policy (fun policy -> policy.Team.Share(2, 16, part))

              join (start (List.replicate 8 outer))
              Expect.equal inner[0] (8 * 16 * 4) "all parts of all calls, each on the thread of its outer part"
              Expect.isFalse InsideCall.IsHere "afterwards")

          testCase "an interrupted caller leaves when its call has ended, and no earlier" (fun () ->
              let processors = Processors 1
              use mayEnd = new ManualResetEventSlim(false)
              let ended: bool[] = [| false |]
              let leftEarly: bool[] = [| false |]
              let isInterrupted: bool[] = [| false |]
              let mutable threads: Thread list = []

              let call () =
                  processors.Call(
                      1,
                      fun _ ->
                          mayEnd.Wait()
                          ended[0] <- true
                  )

                  leftEarly[0] <- not ended[0]

                  try
                      Thread.Sleep 0
                      Thread.Sleep 1
                  with :? ThreadInterruptedException ->
                      isInterrupted[0] <- true

              // It waits for the processor first, then for the worker that computes its call.
              processors.Call(
                  1,
                  fun _ ->
                      threads <- start [ call ]

                      while processors.Waiting < 1 do
                          Thread.Sleep 0

                      threads.Head.Interrupt()
                      Thread.Sleep 20
              )

              threads.Head.Interrupt()
              Thread.Sleep 20
              mayEnd.Set()
              join threads
              Expect.isTrue ended[0] "the call has ended"
              Expect.isFalse leftEarly[0] "the caller was there until then"
              Expect.isTrue isInterrupted[0] "and is interrupted afterwards"
              processors.Call(1, (fun granted -> Expect.equal granted 1 "the processor is free again")))

          testCase "a call that fails raises at its caller, and its processors are free again" (fun () ->
              let processors = Processors 2
              let raised: int[] = [| 0 |]

              let fails (caller: int) () =
                  for _ in 1..50 do
                      try
                          processors.Call(2, (fun _ -> invalidOp $"caller {caller}"))
                      with :? InvalidOperationException as e ->
                          if e.Message = $"caller {caller}" then
                              Interlocked.Increment &raised[0] |> ignore

              join (start [ for caller in 1..6 -> fails caller ])
              Expect.equal raised[0] (6 * 50) "each its own"
              Thread.Sleep 100
              processors.Call(2, (fun granted -> Expect.equal granted 2 "all are free again"))) ]

[<Tests>]
let workersTests =
    testList
        "Workers"
        [ testCase "every part of every caller runs once, on few threads" (fun () ->
              let callers = 12
              let helpers = Collections.Concurrent.ConcurrentDictionary<string, bool>()
              let wrong = ResizeArray<string>()

              let calls (caller: int) () =
                  for call in 1..100 do
                      let parts = 2 + (caller + call) % 7
                      let runs: int[] = Array.zeroCreate parts

                      ParallelFor.Workers.Share(
                          1 + parts / 2,
                          parts,
                          fun part ->
                              Interlocked.Increment &runs[part] |> ignore

                              match Thread.CurrentThread.Name with
                              | null -> ()
                              | name -> helpers[name] <- true
                      )

                      if Array.exists (fun count -> count <> 1) runs then
                          lock wrong (fun () -> wrong.Add $"{List.ofArray runs}")

              join (start [ for caller in 1..callers -> calls caller ])
              Expect.isEmpty wrong "once"

              let workers = helpers.Keys |> Seq.filter _.StartsWith("SparseFs worker")
              Expect.isLessThanOrEqual (Seq.length workers) Environment.ProcessorCount "workers")

          testCase "many callers of the shared kernels get what one gets, to the bit" (fun () ->
              let cases =
                  [| for rows, cols, samples in [ 300, 200, 40; 64, 900, 9; 700, 100, 65; 500, 500, 1 ] do
                         let pattern = Topology.uniform rows cols (rows * cols / 5) (Seed.ofInt rows)
                         let random = Random(rows + cols)

                         let numbers count =
                             Array.init count (fun _ -> random.NextSingle() - 0.5f)

                         let plan, values, x =
                             SpmmPlan pattern, numbers pattern.Nnz, numbers (samples * cols)

                         let g = numbers (samples * rows)

                         let products (kernels: CpuKernels) () =
                             let y: float32[] = Array.zeroCreate (samples * rows)
                             let d: float32[] = Array.zeroCreate pattern.Nnz
                             kernels.Spmm(plan, values, ReadOnlySpan.Empty, x, samples, y)
                             kernels.Sddmm(plan, g, x, samples, d)
                             y, d

                         products, products (CpuKernels(1, ParallelFor.Workers)) () |]

              let wrong: int[] = [| 0 |]

              let calls (caller: int) () =
                  for call in 0..200 do
                      let products, expected = cases[(caller + call) % cases.Length]

                      if products CpuKernels.Shared () <> expected then
                          Interlocked.Increment &wrong[0] |> ignore

              join (start [ for caller in 1..8 -> calls caller ])
              Expect.equal wrong[0] 0 "to the bit") ]
