/// Array files on whatever file system the tests run on.
module SparseFs.Tests.FileLawsTests

open Expecto
open SparseFs

[<Tests>]
let fileLawsTests =
    testList
        "FileLaws"
        [ FileLaws.ofSave "Npy.write" (fun file -> Npy.write file (NpyArray([| 2 |], [| 1.0; 2.0 |])))
          FileLaws.ofSave "MatrixMarket.write" (fun file ->
              MatrixMarket.write
                  file
                  { Connectivity = Connectivity.full 1 1
                    Values = [| 1.0 |] }) ]
