/// bench tells of the calls that it made.
module SparseFs.Tests.BenchTests

open System
open System.Diagnostics
open Expecto
open FsCheck.FSharp
open SparseFs.Tool

[<Tests>]
let benchTests =
    testSequenced
    <| testList
        "sparsefs bench"
        [ testProperty
              "so many calls were at most as long as a percentile, and fewer would do with any shorter time"
              (Prop.forAll
                  (Arb.fromGen (
                      Gen.zip (Gen.nonEmptyListOf (Gen.choose (1, 50))) (Gen.elements [ 0.01; 0.5; 0.9; 0.99; 1.0 ])
                  ))
                  (fun (calls, part) ->
                      let ticks = calls |> List.map int64 |> List.sort |> Array.ofList

                      let times =
                          { Ticks = ticks
                            Seconds = 1.0
                            AllocatedBytes = 0L }

                      let found = times.Microseconds part * float Stopwatch.Frequency / 1e6

                      let within =
                          ticks |> Array.filter (fun t -> float t <= found + 1e-6) |> Array.length

                      let below = ticks |> Array.filter (fun t -> float t < found - 1e-6) |> Array.length
                      let needed = part * float ticks.Length

                      Expect.isGreaterThanOrEqual (float within) (needed - 1e-9) "within"
                      Expect.isLessThan (float below) (needed + 1e-9) "below"))

          test "a measurement counts its calls, their bytes, and the time that they took together" {
              let mutable calls = 0
              let mutable kept: byte[] = [||]

              let times =
                  BenchCommand.measure 0.05 (fun () ->
                      calls <- calls + 1
                      kept <- Array.zeroCreate 10_000)

              Expect.isLessThanOrEqual times.Ticks.Length calls "those before the first do not count"
              Expect.isGreaterThanOrEqual times.AllocatedBytes (10_000L * int64 times.Ticks.Length) "bytes"
              Expect.equal times.Ticks (Array.sort times.Ticks) "ascending"
              let sum = float (Array.sum times.Ticks) / float Stopwatch.Frequency
              Expect.floatClose Accuracy.medium sum times.Seconds "the calls fill the time"
          }

          test "it prints the median, percentiles, samples and bytes" {
              inFolder (fun folder ->
                  writeNetwork folder 1 [ 30; 20; 5 ]

                  let said =
                      succeeds folder [ "bench"; "@network"; "--batch"; "3"; "--seconds"; "0.02"; "--threads"; "1" ]

                  for word in
                      [ "batch 3, threads 1"
                        "median"
                        "p90"
                        "p99"
                        "samples a second"
                        "bytes allocated a call" ] do
                      Expect.stringContains said word word)
          }

          test "a batch that no array holds is refused" {
              inFolder (fun folder ->
                  writeNetwork folder 1 [ 30; 20; 5 ]

                  Expect.stringContains
                      (fails 1 folder [ "bench"; "@network"; "--batch"; string Int32.MaxValue ])
                      "--batch: expected at most"
                      "the reason")
          } ]
