/// Layers with names, without upcasts.
module SparseFs.Tests.SequentialBuilderTests

open System
open Expecto
open SparseFs
open SparseFs.Tests.CheckpointFiles
open SparseFs.Tests.Refusals
open TorchSharp
open TorchSharp.Modules

let private namesOf (model: Sequential) : string list =
    [ for struct (name, _) in model.named_children () -> name ]

let private network (blocks: int) (hasWinners: bool) : Sequential =
    sequential {
        "input", new SparseLinear(6, 5, seed = Seed.ofInt 1)

        for i in 1..blocks do
            $"block {i}", new SparseLinear(5, 5, seed = Seed.ofInt i)
            $"relu {i}", torch.nn.ReLU()

        if hasWinners then
            "winners", new KWinners(5)

        match blocks with
        | 0 -> "identity", torch.nn.Identity()
        | _ -> "dropout", torch.nn.Dropout 0.1

        "output", torch.nn.Linear(5L, 2L)
    }

[<Tests>]
let sequentialBuilderTests =
    testList
        "SequentialBuilder"
        [ testCase "layers of any kind stand in their order, under their names" (fun () ->
              use plain = network 0 false
              Expect.equal (namesOf plain) [ "input"; "identity"; "output" ] "plain"
              use all = network 2 true

              Expect.equal
                  (namesOf all)
                  [ "input"
                    "block 1"
                    "relu 1"
                    "block 2"
                    "relu 2"
                    "winners"
                    "dropout"
                    "output" ]
                  "all"

              use x = torch.ones (3L, 6L)
              use y = x |> all.call
              Expect.equal y.shape [| 3L; 2L |] "called")

          testCase "state_dict, files and events carry the names" (fun () ->
              withFile (fun file ->
                  use model = network 1 true
                  let names = model.state_dict().Keys |> List.ofSeq
                  Expect.containsAll names [ "input.weight"; "block 1.row_ptr"; "winners.duty_cycle" ] "state_dict"
                  Checkpoint.save file model

                  let inFile = [ for tensor in (Safetensors.inspect file).Tensors -> tensor.Name ]

                  Expect.containsAll inFile names "the file"
                  let optimizer = torch.optim.SGD(model.parameters (), 0.1)

                  use rewirer =
                      new Rewirer(model, optimizer, Policy.set (Schedule.constant 0.3 1L 9L), Seed.ofInt 3)

                  use x = torch.ones (3L, 6L)
                  model.call(x).sum().backward()
                  Expect.equal [ for event in rewirer.Step() -> event.Layer ] [ "input"; "block 1" ] "events"))

          refuses "a name that is there twice" "name" "two named 'a'" (fun () ->
              sequential {
                  "a", torch.nn.ReLU()
                  "a", torch.nn.Tanh()
              })

          refuses "a name with a dot" "name" "got 'a.b'" (fun () -> sequential { "a.b", torch.nn.ReLU() })

          refuses "no layer" "layer" "under the name 'a'" (fun () ->
              sequential { "a", Unchecked.defaultof<SparseLinear> }) ]
