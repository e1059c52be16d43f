module SparseFs.Tests.CooTests

open Expecto
open SparseFs
open SparseFs.Tests.Cases
open SparseFs.Tests.Refusals
open TorchSharp

[<Tests>]
let indicesTests =
    testList
        "Coo"
        [ law "to a tensor and back gives the pattern back" 50 (fun case ->
              use indices = Coo.ofConnectivity case.Pattern
              Expect.equal indices.shape [| 2L; int64 case.Pattern.Nnz |] "shape"
              let c = case.Pattern
              Expect.equal (Coo.toConnectivity c.Rows c.Cols indices) c "pattern")

          testCase "any order, 32 bits and a view are taken" (fun () ->
              let wanted = Connectivity.ofPairs 2 4 [| 0; 1; 1 |] [| 3; 0; 2 |]
              use pairs = torch.tensor (array2D [ [ 1; 2 ]; [ 0; 3 ]; [ 1; 0 ] ]) // a row a pair
              use view = pairs.t ()
              Expect.equal view.dtype torch.ScalarType.Int32 "dtype"
              Expect.equal (Coo.toConnectivity 2 4 view) wanted "pattern")

          refuses "one row" "indices" "expected shape [2, nnz], got [1, 3]" (fun () ->
              Coo.toConnectivity 2 4 (torch.zeros (1L, 3L, dtype = torch.int64)))
          refuses "floats" "indices" "expected Int64 or Int32, got Float32" (fun () ->
              Coo.toConnectivity 2 4 (torch.zeros (2L, 3L)))
          refuses "a pair twice" "indices" "(0, 0) twice" (fun () ->
              Coo.toConnectivity 2 4 (torch.zeros (2L, 3L, dtype = torch.int64)))
          refuses "a negative size" "rows" "got [-1, 4]" (fun () ->
              Coo.toConnectivity -1 4 (torch.zeros (2L, 0L, dtype = torch.int64))) ]
