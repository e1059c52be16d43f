/// Mistakes in C# calls of layers: each error has C#'s names of the arguments.
module SparseFs.Tests.Mistakes.CSharpLayerMistakes

open System
open Expecto
open SparseFs
open SparseFs.CSharp
open SparseFs.Tests.Mistakes.Mistake
open TorchSharp

let private fraction =
    "expected a sparsity in [0, 1), got 90; sparsity is a fraction: write 0.9 for 90 %"

let private seed = Seed.ofInt 1

[<Tests>]
let tests =
    testList
        "Mistakes in C# calls of layers"
        [ expect "a sparsity in per cent" $"{fraction} (Parameter 'sparsity')\nActual value was 90." (fun () ->
              sparsenn.SparseLinear(784L, 300L, sparsity = 90.0) |> ignore)

          expect
              "a negative size"
              "expected 0..2147483647, got -1 (Parameter 'inFeatures')\nActual value was -1."
              (fun () -> sparsenn.SparseLinear(-1L, 300L) |> ignore)

          expect
              "XOR with the defaults"
              "expected a sparsity that leaves weights, got 0.9, which leaves none of the 4 of a layer [out_features, in_features] = [2, 2]: at most 0.5 leaves one a row (Parameter 'sparsity')\nActual value was 0.9."
              (fun () -> sparsenn.SparseLinear(2L, 2L) |> ignore)

          expect "no steps between updates" "expected ΔT of 1 or more, got 0 (Parameter 'deltaT')" (fun () ->
              sparsenn.SparseLinear(784L, 300L, dynamic = true, deltaT = 0L) |> ignore)

          expect
              "a last update before the first step"
              "expected an end at 0 or later, got -1 (Parameter 'tEnd')"
              (fun () -> sparsenn.SparseLinear(784L, 300L, dynamic = true, tEnd = -1L) |> ignore)

          expect
              "a part that is rewired of more than all"
              "expected a part of the slots, α in [0, 1], got 30: write 0.3 for 30 % (Parameter 'alpha')"
              (fun () -> sparsenn.SparseLinear(784L, 300L, dynamic = true, alpha = 30.0) |> ignore)

          expect "no pattern" "Value cannot be null. (Parameter 'connectivity')" (fun () ->
              sparsenn.SparseLinear(Unchecked.defaultof<Connectivity>) |> ignore)

          expect "no topology" "Value cannot be null. (Parameter 'topology')" (fun () ->
              sparsenn.SparseLinear(784L, 300L, Unchecked.defaultof<Func<int, int, int, Seed, Connectivity>>)
              |> ignore)

          expect
              "per cent of units that do not win"
              $"{fraction} (Parameter 'actSparsity')\nActual value was 90."
              (fun () -> sparsenn.ActivationSparsity(784L, actSparsity = 90.0) |> ignore)

          expect
              "more winners than units: the options hold the number"
              "expected 1..10 winners, got 11 (Parameter 'options')\nActual value was 11."
              (fun () -> sparsenn.KWinners(10L, KWinnersSettings.Create(k = 11)) |> ignore)

          expect "per cent in the options" $"{fraction} (Parameter 'sparsity')\nActual value was 90." (fun () ->
              KWinnersSettings.Create(sparsity = 90.0) |> ignore)

          expect
              "a product of two dtypes"
              "x is Float64, values Float32: x.to(torch.float32), or values.to(torch.float64); F# writes ``to`` (Parameter 'x')"
              (fun () ->
                  use _ = torch.NewDisposeScope()
                  let x = torch.ones ([| 2L; 4L |], dtype = torch.float64)

                  sparsenn.functional.spmm (Connectivity.full 3 4, torch.ones 12L, x) |> ignore)

          expect
              "no such rule of initial weights"
              "The value of argument 'init' (7) is invalid for Enum type 'Initialization'. (Parameter 'init')"
              (fun () ->
                  use layer = sparsenn.SparseLinear(20L, 10L, seed)
                  layer.Reset(enum<Initialization> 7)) ]
