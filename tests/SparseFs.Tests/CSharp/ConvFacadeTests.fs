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

/// Both ways of making a transposed convolution, by reflection: three kinds with the same arguments.
module private Transposed =

    /// Whether a member takes so many arguments, of which the first is of its kind.
    let private fits (arguments: obj list) (m: Reflection.MethodBase) =
        let parameters = m.GetParameters()

        parameters.Length = arguments.Length
        && parameters[0].ParameterType.IsInstanceOfType arguments.Head

    let core (dimensions: int) (arguments: obj list) () : SparseConv =
        let kind =
            typeof<SparseConv>.Assembly.GetType($"SparseFs.SparseConvTranspose{dimensions}d", true)
            |> Unchecked.nonNull

        let made = kind.GetConstructors() |> Array.find (fits arguments)

        /// Optional parameters are options.
        let given (p: Reflection.ParameterInfo) (value: obj) : obj =
            if p.ParameterType.IsInstanceOfType value then
                value
            else
                Unchecked.nonNull (Activator.CreateInstance(p.ParameterType, value))

        made.Invoke(Array.map2 given (made.GetParameters()) (Array.ofList arguments)) :?> SparseConv

    let facade (dimensions: int) (arguments: obj list) () : SparseConv =
        let made =
            typeof<sparsenn>.GetMethods()
            |> Array.find (fun m -> m.Name = $"SparseConvTranspose{dimensions}d" && fits arguments m)

        Unchecked.nonNull (made.Invoke(null, Array.ofList arguments)) :?> SparseConv

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

          for d in 1..3 do
              let kernel: obj = size 3 2 1 d
              let cols = 4 * ((size 3 2 1 d).Numbers.ToArray() |> Array.reduce (*))
              let c: obj = Topology.uniform 4 cols 10 (Seed.ofInt 2)

              let topology: int -> int -> int -> Seed -> Connectivity =
                  fun rows cols nnz seed -> drawn.Invoke(rows, cols, nnz, seed)

              let place: obj list = [ torch.CPU; torch.ScalarType.Float64; policy ]
              let xavier: obj = Initialization.XavierUniform

              let sizes: obj list =
                  [ kernel; size 2 1 3 d; size 1 0 0 d; size 1 1 2 d; size 1 2 2 d ]

              testCase $"every argument reaches SparseConvTranspose{d}d" (fun () ->
                  for hasBias in [ true; false ] do
                      let core: obj list =
                          [ 4; 8; kernel; 0.5; seed ]
                          @ sizes.Tail
                          @ [ 2; hasBias; Init.XavierUniform ]
                          @ place[..1]
                          @ [ topology; policy ]

                      let facade: obj list =
                          [ 4L; 8L ] @ sizes @ [ 2L; hasBias; 0.5; drawn; seed; xavier ] @ place

                      Expect.equal
                          (told (Transposed.facade d facade))
                          (told (Transposed.core d core))
                          $"bias {hasBias}")

              testCase $"every argument reaches SparseConvTranspose{d}d over a pattern" (fun () ->
                  for hasBias in [ true; false ] do
                      let core: obj list = [ c; 8 ] @ sizes @ [ 2; hasBias; Init.XavierUniform ] @ place

                      let facade: obj list = [ c; 8L ] @ sizes @ [ 2L; hasBias; xavier ] @ place

                      Expect.equal
                          (told (Transposed.facade d facade))
                          (told (Transposed.core d core))
                          $"bias {hasBias}")

          testCase "what is not said is as in the core" (fun () ->
              let core () = new SparseConv2d(4, 6, 3) :> SparseConv

              Expect.equal (told (fun () -> sparsenn.SparseConv2d(4L, 6L, 3))) (told core) "drawn"

              let core () =
                  new SparseConvTranspose2d(4, 6, 3) :> SparseConv

              Expect.equal (told (fun () -> sparsenn.SparseConvTranspose2d(4L, 6L, 3))) (told core) "transposed") ]
