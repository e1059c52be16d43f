/// Mistakes in sparsities, sizes and counts.
module SparseFs.Tests.Mistakes.CountMistakes

open Expecto
open SparseFs
open SparseFs.Tests.Mistakes.Mistake
open TorchSharp

let private fraction =
    "expected a sparsity in [0, 1), got 90; sparsity is a fraction: write 0.9 for 90 %"

let private seed = Seed.ofInt 1

[<Tests>]
let tests =
    testList
        "Mistakes in sparsities and counts"
        [ expect "a sparsity in per cent" $"{fraction} (Parameter 'sparsity')\nActual value was 90." (fun () ->
              new SparseLinear(784, 300, sparsity = 90.0) |> ignore)

          expect
              "half a per cent more"
              "expected a sparsity in [0, 1), got 97.5; sparsity is a fraction: write 0.975 for 97.5 % (Parameter 'sparsity')\nActual value was 97.5."
              (fun () -> Sparsity.nnz 300 784 97.5 |> ignore)

          expect "per cent in Sparsify" $"{fraction} (Parameter 'sparsity')\nActual value was 90." (fun () ->
              use model = torch.nn.Sequential(torch.nn.Linear(20L, 10L))
              Sparsify.model (Sparsify.each 90.0) model |> ignore)

          expect
              "per cent for one layer of many: the layer is named"
              $"for '0': {fraction} (Parameter 'sparsityOf')\nActual value was 90."
              (fun () ->
                  use model = torch.nn.Sequential(torch.nn.Linear(20L, 10L))
                  Sparsify.model (Sparsify.byName (fun _ -> 90.0)) model |> ignore)

          expect "per cent in a conversion" $"{fraction} (Parameter 'sparsity')\nActual value was 90." (fun () ->
              use linear = torch.nn.Linear(20L, 10L)
              Conversion.ofDense 90.0 linear |> ignore)

          expect
              "per cent in a budget over layers"
              $"{fraction} (Parameter 'sparsity')\nActual value was 90."
              (fun () ->
                  SparsityDistribution.counts SparsityDistribution.Uniform [||] 90.0 [| [| 10; 20 |] |]
                  |> ignore)

          expect
              "per cent of units that do not win"
              $"{fraction} (Parameter 'sparsity')\nActual value was 90."
              (fun () -> new KWinners(784, KWinnersOptions.ofSparsity 90.0) |> ignore)

          expect
              "per cent in SparseLinear's words"
              $"{fraction} (Parameter 'actSparsity')\nActual value was 90."
              (fun () -> FromSparseLinear.ActivationSparsity(784, actSparsity = 90.0) |> ignore)

          expect "per cent in gradual pruning" $"{fraction} (Parameter 'final')\nActual value was 90." (fun () ->
              Policy.check (Policy.gradual 0.5 90.0 (Schedule.constant 0.3 100L 1000L))
              |> ignore)

          expect
              "a layer without any weight"
              "expected a sparsity in [0, 1), got 1 (Parameter 'sparsity')\nActual value was 1."
              (fun () -> new SparseLinear(784, 300, sparsity = 1.0) |> ignore)

          expect
              "XOR with the defaults: a layer too small for its sparsity"
              "expected a sparsity that leaves weights, got 0.9, which leaves none of the 4 of a layer [out_features, in_features] = [2, 2]: at most 0.5 leaves one a row (Parameter 'sparsity')\nActual value was 0.9."
              (fun () -> new SparseLinear(2, 2) |> ignore)

          expect
              "a dense layer too small for its sparsity"
              "expected a sparsity that leaves weights, got 0.95, which leaves none of the 6 of a layer [out_features, in_features] = [2, 3]: at most 0.666666 leaves one a row (Parameter 'sparsity')\nActual value was 0.95."
              (fun () ->
                  use linear = torch.nn.Linear(3L, 2L)
                  Conversion.ofDense 0.95 linear |> ignore)

          expect
              "a dense layer too small for its groups"
              "expected slots for a column of a group, got 3 in a layer [16, 4] in groups of 16: take smaller groups or a lower sparsity (Parameter 'sparsity')"
              (fun () ->
                  use linear = torch.nn.Linear(4L, 16L)
                  Conversion.ofDenseInRowGroups 16 RowGroupNorm.L2 0.95 linear |> ignore)

          expect "groups of no row in a conversion" "expected 1 row or more, got 0 (Parameter 'size')" (fun () ->
              use linear = torch.nn.Linear(4L, 16L)
              Conversion.ofDenseInRowGroups 0 RowGroupNorm.L2 0.5 linear |> ignore)

          expect "groups of no row in Sparsify" "expected 1 row or more, got 0 (Parameter 'size')" (fun () ->
              Sparsify.each 0.5 |> Sparsify.inRowGroups 0 RowGroupNorm.L2 |> ignore)

          expect "a norm that is none in Sparsify" "expected L1 or L2, got 2 (Parameter 'norm')" (fun () ->
              Sparsify.each 0.5 |> Sparsify.inRowGroups 4 (enum<RowGroupNorm> 2) |> ignore)

          expect
              "groups of no row, written into a rule"
              "expected 1 row or more, got -1 (Parameter 'RowGroup')"
              (fun () ->
                  use model = torch.nn.Sequential(torch.nn.Linear(20L, 10L))
                  Sparsify.model { Sparsify.each 0.5 with RowGroup = -1 } model |> ignore)

          expect
              "groups of no row in a budget over layers"
              "expected 1 row or more, got 0 (Parameter 'size')\nActual value was 0."
              (fun () ->
                  SparsityDistribution.countsInRowGroups 0 SparsityDistribution.Uniform [||] 0.9 [| [| 10; 20 |] |]
                  |> ignore)

          expect
              "a negative size"
              "expected a size in 0..2147483590, got -784 (Parameter 'inFeatures')\nActual value was -784."
              (fun () -> new SparseLinear(-784, 300) |> ignore)

          expect
              "more slots than cells"
              "expected 0..6 slots in a [2, 3] matrix, got 7 (Parameter 'nnz')\nActual value was 7."
              (fun () -> Topology.uniform 2 3 7 seed |> ignore)

          expect
              "more inputs a row than there are"
              "expected 0..3 (the columns), got 4 (Parameter 'fanIn')\nActual value was 4."
              (fun () -> Topology.constantFanIn 2 3 4 seed |> ignore)

          expect
              "no steps between updates, in SparseLinear's words"
              "expected ΔT of 1 or more, got 0 (Parameter 'deltaT')"
              (fun () -> FromSparseLinear.SparseLinear(784, 300, dynamic = true, deltaT = 0L) |> ignore)

          expect
              "a part that is rewired of more than all"
              "expected a part of the slots, α in [0, 1], got 30: write 0.3 for 30 % (Parameter 'alpha')"
              (fun () -> FromSparseLinear.SparseLinear(784, 300, dynamic = true, alpha = 30.0) |> ignore)

          expect
              "more winners than units"
              "expected 1..10 winners, got 11 (Parameter 'k')\nActual value was 11."
              (fun () -> new KWinners(10, KWinnersOptions.ofK 11) |> ignore) ]
