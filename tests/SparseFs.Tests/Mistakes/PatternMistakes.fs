/// Mistakes in patterns, and in what draws them.
module SparseFs.Tests.Mistakes.PatternMistakes

open Expecto
open SparseFs
open SparseFs.Tests.Mistakes.Mistake
open TorchSharp

let private seed = Seed.ofInt 1

[<Tests>]
let tests =
    testList
        "Mistakes in seeds and patterns"
        [ expect
              "a column twice in a row"
              "expected each cell at most once, got (0, 1) twice (Parameter 'colIdx')"
              (fun () -> Connectivity.create 1 3 [| 0; 2 |] [| 1; 1 |] |> ignore)

          expect
              "columns that do not rise"
              "expected rising columns in row 0, got 0 after 2 (Parameter 'colIdx')"
              (fun () -> Connectivity.create 1 3 [| 0; 2 |] [| 2; 0 |] |> ignore)

          expect
              "rows and columns exchanged in row_ptr"
              "expected rows + 1 = 3 entries, got 4 (Parameter 'rowPtr')"
              (fun () -> Connectivity.create 2 3 [| 0; 1; 2; 3 |] [| 0; 1; 2 |] |> ignore)

          expect "a column that is not there" "expected 0..2, got column 3 in row 0 (Parameter 'colIdx')" (fun () ->
              Connectivity.ofPairs 1 3 [| 0 |] [| 3 |] |> ignore)

          expect
              "pairs in a tensor that lies on its side"
              "expected shape [2, nnz], got [5, 2] (Parameter 'indices')"
              (fun () ->
                  use indices = torch.zeros (5L, 2L, dtype = torch.int64)
                  Coo.toConnectivity 3 3 indices |> ignore)

          expect
              "a topology that draws another number of slots"
              "expected a pattern [3, 4] with 6 slots, got [3, 4] with 12 (Parameter 'topology')"
              (fun () ->
                  new SparseLinear(
                      4,
                      3,
                      sparsity = 0.5,
                      seed = seed,
                      topology = fun rows cols _ _ -> Connectivity.full rows cols
                  )
                  |> ignore)

          expect
              "a topology that has rows and columns exchanged"
              "expected a pattern [3, 4] with 6 slots, got [4, 3] with 6 (Parameter 'topology')"
              (fun () ->
                  new SparseLinear(
                      4,
                      3,
                      sparsity = 0.5,
                      seed = seed,
                      topology = fun rows cols nnz seed -> Topology.uniform cols rows nnz seed
                  )
                  |> ignore)

          expect
              "a pattern of another shape than the layer is said to have"
              "expected shape [outFeatures, inFeatures] = [3, 4], got [4, 3] (Parameter 'connectivity')"
              (fun () ->
                  FromSparseLinear.SparseLinear(4, 3, connectivity = Connectivity.full 4 3)
                  |> ignore)

          expect
              "a small world that is too sparse to be one"
              "expected at least 3 slots, the cells at distance 0, whose chance is 1 whatever λ is; got 1 (Parameter 'nnz')\nActual value was 1."
              (fun () -> Topology.smallWorld 3 3 1 seed |> ignore)

          expect
              "columns that cannot share the slots"
              "expected 3 times fanIn to be a multiple of the 4 columns, got 1 (Parameter 'fanIn')\nActual value was 1."
              (fun () -> Topology.biregular 3 4 1 seed |> ignore)

          expect
              "a dense layer of another shape than the pattern"
              "expected shape [out_features, in_features] = [3, 4], got [4, 3] (Parameter 'connectivity')"
              (fun () ->
                  use linear = torch.nn.Linear(4L, 3L)
                  Conversion.ofDensePattern (Connectivity.full 4 3) linear |> ignore) ]
