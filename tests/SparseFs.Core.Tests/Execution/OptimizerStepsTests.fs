/// Steps of optimizers: the same bits at every width and by any number of threads.
module SparseFs.Tests.OptimizerStepsTests

#nowarn "9"

open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs
open SparseFs.Kernels

/// Weight, gradient, and four more numbers of each slot; squares are not negative.
let private numbers (slots: int) (seed: int) : float32[][] =
    let draws = System.Random seed

    let signed () =
        float32 (draws.NextDouble() * 4.0 - 2.0)

    [| for i in 0..5 ->
           Array.init slots (fun _ ->
               if i = 3 || i = 4 then
                   // RMSProp's centred square: that of the mean is smaller.
                   5.0f + abs (signed ())
               else
                   signed ()) |]

/// The numbers after a step.
let private after (run: StepNumbers -> unit) (isWhole: bool) (start: float32[][]) : float32[][] =
    let own = start |> Array.map Array.copy
    use w = fixed own[0]
    use g = fixed own[1]
    use m = fixed own[2]
    use v = fixed own[3]
    use l = fixed own[4]
    use c = fixed own[5]
    let none = Pointer.nothing

    run
        { Weight = w
          Gradient = g
          Mean = m
          Square = v
          Largest = if isWhole then l else none
          Centre = if isWhole then c else none }

    own

let private adam =
    { Sign = -1.0f
      Decay = 0.125f
      Kept = 0.99f
      Beta1 = 0.9f
      Rest1 = 0.1f
      Beta2 = 0.99f
      Rest2 = 0.01f
      Correction = 0.3f
      Epsilon = 1e-6f
      Rate = -0.01f }

let private sgd =
    { SgdStep.Sign = 1.0f
      Decay = 0.125f
      Momentum = 0.9f
      Weight = 0.75f
      IsNesterov = true
      Rate = -0.1f }

let private rmsProp =
    { RmsPropStep.Sign = 1.0f
      Decay = 0.0f
      Alpha = 0.9f
      Rest = 0.1f
      Epsilon = 1e-6f
      Momentum = 0.9f
      Rate = -0.01f }

let private steps: (string * (Width -> int -> int -> StepNumbers -> unit)) list =
    let team = ParallelFor.ThreadPool

    [ "adam", (fun width threads slots x -> OptimizerSteps.adamAt width team threads slots x adam)
      "sgd", (fun width threads slots x -> OptimizerSteps.sgdAt width team threads slots x sgd)
      "rmsProp", (fun width threads slots x -> OptimizerSteps.rmsPropAt width team threads slots x rmsProp) ]

let private bits (all: float32[][]) =
    all |> Array.map (Array.map System.BitConverter.SingleToUInt32Bits)

[<Tests>]
let tests =
    testList
        "Optimizer steps"
        [ for name, step in steps do
              for width in Widths.ofMachine do
                  testPropertyWithConfig
                      { FsCheckConfig.defaultConfig with
                          maxTest = 30 }
                      $"{name} at {width} has the bits of one lane"
                      (Prop.forAll
                          (Arb.fromGen (
                              Gen.zip3 (Gen.choose (0, 70)) (Gen.choose (0, 1000)) (Gen.elements [ false; true ])
                          ))
                          (fun (slots, seed, isWhole) ->
                              let start = numbers slots seed

                              Expect.equal
                                  (bits (after (step width 1 slots) isWhole start))
                                  (bits (after (step Width.Scalar 1 slots) isWhole start))
                                  $"{slots} slots"))

              testCase $"{name} by many threads has the bits of one" (fun () ->
                  let slots = 5 * 32_768 + 13
                  let start = numbers slots 1

                  Expect.equal
                      (bits (after (step Widths.widest 3 slots) true start))
                      (bits (after (step Widths.widest 1 slots) true start))
                      "numbers")

          testCase "a norm is the sum of squares in float64, whatever the threads" (fun () ->
              for slots in [ 0; 1; 7; 8; 16_384; 100_003; 200_000 ] do
                  let g = Array.init slots (fun i -> float32 (i % 1000) * 1e15f)
                  let wanted = g |> Array.sumBy (fun x -> float x * float x)

                  let ofThreads threads =
                      use pin = fixed g
                      GradientNorm.squares ParallelFor.ThreadPool threads slots pin

                  Expect.floatClose Accuracy.high (ofThreads 1 / 1e36) (wanted / 1e36) $"{slots} slots"
                  Expect.equal (ofThreads 3) (ofThreads 1) $"{slots} slots by threads")

          testCase "gradients are scaled in place" (fun () ->
              let g = Array.init 70_001 float32

              do
                  use pin = fixed g
                  GradientNorm.scale ParallelFor.ThreadPool 2 g.Length pin 0.5f

              Expect.equal g (Array.init 70_001 (fun i -> 0.5f * float32 i)) "numbers") ]
