module SparseFs.Tests.ConvScoresTests

open System
open Expecto
open FsCheck.FSharp
open SparseFs
open SparseFs.Kernels
open SparseFs.Torch
open TorchSharp

/// A convolution, its input and an upstream gradient, of a seed; pixels are small whole numbers, so that no sum is rounded.
let private grown (seed: int) : SparseConv2d * torch.Tensor * torch.Tensor =
    let random = Random seed
    let groups = random.Next(1, 4)
    let inputs, outputs = groups * random.Next(1, 4), groups * random.Next(1, 4)

    let layer =
        new SparseConv2d(
            inputs,
            outputs,
            (random.Next(1, 4), random.Next(1, 4)),
            stride = random.Next(1, 3),
            padding = random.Next(0, 3),
            dilation = random.Next(1, 3),
            groups = groups,
            sparsity = 0.4, // which leaves the one weight of the smallest layer
            hasBias = false
        )

    let whole (shape: int64[]) =
        torch.randint (-3L, 4L, shape, dtype = torch.float32)

    let x = whole [| int64 (random.Next(1, 4)); int64 inputs; 7L; 8L |]
    let y = layer.call x
    layer, x, whole y.shape

[<Tests>]
let growth =
    testList
        "SparseConv scores"
        [ testPropertyWithConfig
              { FsCheckConfig.defaultConfig with
                  maxTest = 60 }
              "scores are the dense convolution's weight gradient, exactly"
              (Prop.forAll (Arb.fromGen (Gen.choose (0, 1_000_000))) (fun seed ->
                  use _ = torch.NewDisposeScope()
                  let layer, x, g = grown seed
                  let c = layer.Connectivity
                  let geometry = layer.Description.Convolution.Value
                  let volume (t: torch.Tensor) = t.unsqueeze 2L

                  let halves =
                      if x.shape[0] > 1L then
                          [ for from, count in [ 0L, 1L; 1L, x.shape[0] - 1L ] ->
                                struct (volume (g.narrow (0L, from, count)), volume (x.narrow (0L, from, count))) ]
                      else
                          [ struct (volume g, volume x) ]

                  let scores =
                      ConvScores.ofPasses
                          geometry
                          (Lazy<struct (torch.Tensor * torch.Tensor)[]>(fun () -> Array.ofList halves))

                  let shape = layer.Description.DenseShape
                  let weight = torch.zeros (shape, requires_grad = true)

                  let two (size: ConvSize) =
                      match size.Numbers.ToArray() |> Array.map int64 with
                      | [| one |] -> [| one; one |]
                      | both -> both

                  let y =
                      torch.nn.functional.conv2d (
                          x,
                          weight,
                          null,
                          two layer.stride,
                          two layer.padding.Size,
                          two layer.dilation,
                          layer.groups
                      )

                  let loss = y.mul(g).sum()
                  let gradient = (torch.autograd.grad ([| loss |], [| weight |]))[0]
                  let wanted = gradient.view (int64 c.Rows, int64 c.Cols)

                  for first in 0 .. c.Rows - 1 do
                      for count in 1 .. c.Rows - first do
                          let got = scores.Rows(first, count)

                          let rows =
                              wanted.narrow(0L, int64 first, int64 count).contiguous().data<float32>().ToArray()

                          Expect.equal got rows $"{layer}: rows {first}, {count} of them"))

          testCase "policies rewire convolutions and keep nnz" (fun () ->
              use _ = torch.NewDisposeScope()
              torch.manual_seed 5L |> ignore

              for policy in
                  [ Policy.rigL (Schedule.constant 0.5 1L 100L)
                    Policy.set (Schedule.constant 0.5 1L 100L)
                    Policy.snfs (Schedule.constant 0.5 1L 100L) ] do
                  use model =
                      torch.nn.Sequential(
                          new SparseConv2d(3, 8, 3, padding = 1, sparsity = 0.8),
                          torch.nn.ReLU(),
                          new SparseConv2d(8, 6, 3, stride = 2, padding = 1, groups = 2, sparsity = 0.6),
                          torch.nn.Flatten(),
                          new SparseLinear(6 * 4 * 4, 5, sparsity = 0.5)
                      )

                  let optimizer = torch.optim.SGD(model.parameters (), 0.05, momentum = 0.9)
                  use rewirer = new Rewirer(model, optimizer, policy, Seed.ofInt 3)

                  let layers =
                      SparseLayers.ofModel model |> List.map (fun (struct (_, layer)) -> layer)

                  let patterns () = layers |> List.map _.Connectivity
                  let first = patterns ()
                  let weights (c: Connectivity list) = c |> List.map _.Nnz

                  // SNFS shares the budget of all layers.
                  let counted (c: Connectivity list) =
                      if policy.Budget.IsRedistributedByMomentum then
                          [ List.sum (weights c) ]
                      else
                          weights c

                  let x = torch.randn (16L, 3L, 8L, 8L)
                  let labels = (torch.randint (0L, 5L, [| 16L |], dtype = torch.int64))

                  for _ in 1..6 do
                      optimizer.zero_grad ()
                      torch.nn.functional.cross_entropy(model.call x, labels).backward()
                      rewirer.Step() |> ignore
                      Expect.equal (counted (patterns ())) (counted first) $"{policy}: nnz"

                  for before, after in List.zip first (patterns ()) do
                      Expect.notEqual after before $"{policy}: rewired") ]
