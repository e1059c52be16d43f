module SparseFs.Tests.TorchTests

open Expecto
open TorchSharp

[<Tests>]
let torchTests =
    testList
        "Torch"
        [ testCase "libtorch loads and adds" (fun () ->
              use ones = torch.ones 3L
              use sum = ones.sum ()
              Expect.equal (sum.item<float32>()) 3.0f "1 + 1 + 1") ]
