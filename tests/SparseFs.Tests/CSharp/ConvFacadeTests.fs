module SparseFs.Tests.ConvFacadeTests

open System
open Expecto
open SparseFs
open SparseFs.CSharp
open TorchSharp

/// All that a layer's arguments decide: weights are drawn from the same numbers.
let private told (make: unit -> SparseConv) =
    torch.manual_seed 7L |> ignore
    use layer = make ()

    let numbers (t: torch.Tensor) =
        use wide = t.detach().to_type torch.ScalarType.Float64
        wide.data<float>().ToArray()

    let bias =
        match layer.bias with
        | null -> [||]
        | bias -> numbers bias

    string layer, layer.weight.dtype, numbers layer.weight, bias, layer.Connectivity, isNull layer.Policy

let private size (first: int) (second: int) (third: int) (dimensions: int) : ConvSize =
    match dimensions with
    | 1 -> ConvSize.Of first
    | 2 -> ConvSize.Of(first, second)
    | _ -> ConvSize.Of(first, second, third)

let private policy = Policy.set (Schedule.constant 0.3 10L 1000L)

let private drawn =
    Func<_, _, _, _, _>(fun rows cols nnz seed -> Topology.constantFanIn rows cols (nnz / rows) seed)

let private float64 = Nullable torch.ScalarType.Float64
let private circular = PaddingModes.Circular
let private seed = Seed.ofInt 5

[<Tests>]
let tests =
    testSequenced // torch's generator is one for all
    <| testList
        "Convolutions of the facade"
        [ for d in 1..3 do
              let kernel, stride, dilation = size 3 2 1 d, size 2 1 3 d, size 1 2 2 d
              let padding = ConvPadding.op_Implicit (size 1 2 0 d)
              let cols = 2 * (kernel.Numbers.ToArray() |> Array.reduce (*))
              let c = Topology.uniform 6 cols 10 (Seed.ofInt 2)

              testCase $"every argument reaches SparseConv{d}d" (fun () ->
                  for hasBias in [ true; false ] do
                      let core () : SparseConv =
                          match d with
                          | 1 ->
                              new SparseConv1d(
                                  4,
                                  6,
                                  kernel,
                                  0.5,
                                  seed,
                                  stride,
                                  padding,
                                  dilation,
                                  2,
                                  circular,
                                  hasBias,
                                  Init.XavierUniform,
                                  torch.CPU,
                                  torch.ScalarType.Float64,
                                  (fun rows cols nnz seed -> drawn.Invoke(rows, cols, nnz, seed)),
                                  policy
                              )
                          | 2 ->
                              new SparseConv2d(
                                  4,
                                  6,
                                  kernel,
                                  0.5,
                                  seed,
                                  stride,
                                  padding,
                                  dilation,
                                  2,
                                  circular,
                                  hasBias,
                                  Init.XavierUniform,
                                  torch.CPU,
                                  torch.ScalarType.Float64,
                                  (fun rows cols nnz seed -> drawn.Invoke(rows, cols, nnz, seed)),
                                  policy
                              )
                          | _ ->
                              new SparseConv3d(
                                  4,
                                  6,
                                  kernel,
                                  0.5,
                                  seed,
                                  stride,
                                  padding,
                                  dilation,
                                  2,
                                  circular,
                                  hasBias,
                                  Init.XavierUniform,
                                  torch.CPU,
                                  torch.ScalarType.Float64,
                                  (fun rows cols nnz seed -> drawn.Invoke(rows, cols, nnz, seed)),
                                  policy
                              )

                      let facade () : SparseConv =
                          let xavier = Initialization.XavierUniform

                          match d with
                          | 1 ->
                              sparsenn.SparseConv1d(
                                  4L,
                                  6L,
                                  kernel,
                                  stride,
                                  padding,
                                  dilation,
                                  circular,
                                  2L,
                                  hasBias,
                                  0.5,
                                  drawn,
                                  seed,
                                  xavier,
                                  torch.CPU,
                                  float64,
                                  policy
                              )
                          | 2 ->
                              sparsenn.SparseConv2d(
                                  4L,
                                  6L,
                                  kernel,
                                  stride,
                                  padding,
                                  dilation,
                                  circular,
                                  2L,
                                  hasBias,
                                  0.5,
                                  drawn,
                                  seed,
                                  xavier,
                                  torch.CPU,
                                  float64,
                                  policy
                              )
                          | _ ->
                              sparsenn.SparseConv3d(
                                  4L,
                                  6L,
                                  kernel,
                                  stride,
                                  padding,
                                  dilation,
                                  circular,
                                  2L,
                                  hasBias,
                                  0.5,
                                  drawn,
                                  seed,
                                  xavier,
                                  torch.CPU,
                                  float64,
                                  policy
                              )

                      Expect.equal (told facade) (told core) $"bias {hasBias}")

              testCase $"every argument reaches SparseConv{d}d over a pattern" (fun () ->
                  for hasBias in [ true; false ] do
                      let core () : SparseConv =
                          match d with
                          | 1 ->
                              new SparseConv1d(
                                  c,
                                  4,
                                  kernel,
                                  stride,
                                  padding,
                                  dilation,
                                  2,
                                  circular,
                                  hasBias,
                                  Init.XavierUniform,
                                  torch.CPU,
                                  torch.ScalarType.Float64,
                                  policy
                              )
                          | 2 ->
                              new SparseConv2d(
                                  c,
                                  4,
                                  kernel,
                                  stride,
                                  padding,
                                  dilation,
                                  2,
                                  circular,
                                  hasBias,
                                  Init.XavierUniform,
                                  torch.CPU,
                                  torch.ScalarType.Float64,
                                  policy
                              )
                          | _ ->
                              new SparseConv3d(
                                  c,
                                  4,
                                  kernel,
                                  stride,
                                  padding,
                                  dilation,
                                  2,
                                  circular,
                                  hasBias,
                                  Init.XavierUniform,
                                  torch.CPU,
                                  torch.ScalarType.Float64,
                                  policy
                              )

                      let facade () : SparseConv =
                          let xavier = Initialization.XavierUniform

                          match d with
                          | 1 ->
                              sparsenn.SparseConv1d(
                                  c,
                                  4L,
                                  kernel,
                                  stride,
                                  padding,
                                  dilation,
                                  circular,
                                  2L,
                                  hasBias,
                                  xavier,
                                  torch.CPU,
                                  float64,
                                  policy
                              )
                          | 2 ->
                              sparsenn.SparseConv2d(
                                  c,
                                  4L,
                                  kernel,
                                  stride,
                                  padding,
                                  dilation,
                                  circular,
                                  2L,
                                  hasBias,
                                  xavier,
                                  torch.CPU,
                                  float64,
                                  policy
                              )
                          | _ ->
                              sparsenn.SparseConv3d(
                                  c,
                                  4L,
                                  kernel,
                                  stride,
                                  padding,
                                  dilation,
                                  circular,
                                  2L,
                                  hasBias,
                                  xavier,
                                  torch.CPU,
                                  float64,
                                  policy
                              )

                      Expect.equal (told facade) (told core) $"bias {hasBias}")

          testCase "what is not said is as in the core" (fun () ->
              let core () = new SparseConv2d(4, 6, 3) :> SparseConv

              Expect.equal (told (fun () -> sparsenn.SparseConv2d(4L, 6L, 3))) (told core) "drawn") ]
