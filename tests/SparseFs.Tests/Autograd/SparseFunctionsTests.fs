module SparseFs.Tests.SparseFunctionsTests

open System
open Expecto
open SparseFs
open SparseFs.Kernels
open SparseFs.Torch
open SparseFs.Tests.Cases
open SparseFs.Tests.Oracle
open TorchSharp

/// A bilinear operation: how the library computes it, and how the oracle does from numbers that carry derivatives. Its
/// two arguments and its result are flat here; a shape says how to lay them out.
type private Operation =
    {
        Name: string
        First: Case -> float[]
        FirstShape: Case -> int64[]
        Second: Case -> float[]
        SecondShape: Case -> int64[]
        Run: Backend -> Connectivity -> torch.Tensor -> torch.Tensor -> torch.Tensor
        Wanted: Case -> HyperDual[] -> HyperDual[] -> HyperDual[]
        /// The longest sum in any of the products that a first or second derivative is made of.
        Terms: Case -> int
    }

let private shapeX (c: Case) = [| int64 c.N; int64 c.Pattern.Cols |]
let private shapeG (c: Case) = [| int64 c.N; int64 c.Pattern.Rows |]
let private shapeV (c: Case) = [| int64 c.Pattern.Nnz |]
let private wide (m: float32[,]) = flat m |> Array.map float

let private matrix (columns: int) (values: 'a[]) : 'a[,] =
    Array2D.init (values.Length / columns) columns (fun i j -> values[i * columns + j])

let private operations: Operation list =
    // Three sums are ever chained: along a row, along a column, over the samples.
    let terms (c: Case) = c.Pattern.Rows + c.Pattern.Cols + c.N

    [ { Name = "spmm"
        First = fun c -> Array.map float c.Values
        FirstShape = shapeV
        Second = fun c -> wide c.X
        SecondShape = shapeX
        Run = fun backend pattern values x -> SparseOps.linearWith backend pattern values null x
        Wanted = fun c values x -> spmm hyperDuals c.Pattern values (matrix c.Pattern.Cols x) |> flat
        Terms = terms }
      { Name = "spmmT"
        First = fun c -> Array.map float c.Values
        FirstShape = shapeV
        Second = fun c -> wide c.G
        SecondShape = shapeG
        Run = fun backend pattern values g -> SparseOps.spmmTWith backend pattern values g
        Wanted = fun c values g -> spmmT hyperDuals c.Pattern values (matrix c.Pattern.Rows g) |> flat
        Terms = terms }
      { Name = "sddmm"
        First = fun c -> wide c.G
        FirstShape = shapeG
        Second = fun c -> wide c.X
        SecondShape = shapeX
        Run = fun backend pattern g x -> SparseOps.sddmmWith backend pattern g x
        Wanted = fun c g x -> sddmm hyperDuals c.Pattern (matrix c.Pattern.Rows g) (matrix c.Pattern.Cols x)
        Terms = terms } ]

/// A precision and an implementation that has it.
type private Setting =
    { Label: string
      Dtype: torch.ScalarType
      Roundoff: float
      Backend: Backend }

let private settings: Setting list =
    [ { Label = "float64, portable"
        Dtype = torch.ScalarType.Float64
        Roundoff = 2.0 ** -53.0
        Backend = PortableBackend.backend }
      { Label = "float64, dense"
        Dtype = torch.ScalarType.Float64
        Roundoff = 2.0 ** -53.0
        Backend = Backends.dense PortableBackend.backend }
      for width in CpuSpmm.widths do
          { Label = $"float32, kernels at {width}"
            Dtype = torch.ScalarType.Float32
            Roundoff = float32Roundoff
            Backend = CpuBackend.backend (Backends.forced (CpuSpmm.machineOf width 1)) } ]

/// Directions that are float32 numbers, so that both precisions start from the same ones.
let private direction (seed: int) (length: int) : float[] =
    let random = System.Random seed
    Array.init length (fun _ -> float (2.0f * random.NextSingle() - 1.0f))

let private lift (value: float[]) (d1: float[]) (d2: float[]) : HyperDual[] =
    Array.init value.Length (fun i ->
        { Value = value[i]
          D1 = d1[i]
          D2 = d2[i]
          D12 = 0.0 })

/// The sum of the cubes of the result: no derivative of it, up to the sixth, is trivial.
let private sumOfCubes (results: HyperDual[]) : HyperDual =
    let times, plus = hyperDuals.Multiply, hyperDuals.Add

    results
    |> Array.fold (fun sum y -> plus sum (times y (times y y))) hyperDuals.Zero

let private tensor (setting: Setting) (shape: int64[]) (values: float[]) : torch.Tensor =
    torch.tensor(values).view(shape).to_type setting.Dtype

let private dot (a: torch.Tensor) (b: torch.Tensor) = a.mul(b).sum()

let private number (t: torch.Tensor) =
    t.to_type(torch.ScalarType.Float64).item<float>()

let private small: Case list =
    [ make (Topology.uniform 7 9 20 (Seed.ofInt 1)) 5 1
      make (Topology.uniform 12 6 9 (Seed.ofInt 2)) 18 2 // rows and columns without a slot
      make (Connectivity.full 3 4) 1 3
      make (Connectivity.empty 3 4) 2 4 ]

/// The first derivative along d1 and the mixed second one along d1 and d2, by autograd.
let private derivatives (op: Operation) (setting: Setting) (c: Case) (d1: float[] * float[]) (d2: float[] * float[]) =
    let leaf shape values =
        (tensor setting shape values).requires_grad_ true

    let a = leaf (op.FirstShape c) (op.First c)
    let b = leaf (op.SecondShape c) (op.Second c)

    let along (first: float[], second: float[]) =
        tensor setting (op.FirstShape c) first, tensor setting (op.SecondShape c) second

    let y = op.Run setting.Backend c.Pattern a b
    let f = y.mul(y).mul(y).sum()

    let gradient =
        torch.autograd.grad ([| f |], [| a; b |], retain_graph = true, create_graph = true)

    let a1, b1 = along d1
    let first = (dot gradient[0] a1).add(dot gradient[1] b1)
    let second = torch.autograd.grad ([| first |], [| a; b |], retain_graph = true)
    let a2, b2 = along d2
    number first, number ((dot second[0] a2).add(dot second[1] b2))

let private againstHyperDuals (op: Operation) (setting: Setting) =
    testCase $"{op.Name}, {setting.Label}: first and second derivatives are the hyper-dual ones" (fun () ->
        for c in small do
            use _ = torch.NewDisposeScope()
            let first, second = op.First c, op.Second c
            let d1 = direction 5 first.Length, direction 6 second.Length
            let d2 = direction 7 first.Length, direction 8 second.Length
            let gotFirst, gotSecond = derivatives op setting c d1 d2

            let evaluate change =
                let lifted values (d1: float[]) (d2: float[]) =
                    lift (change values) (change d1) (change d2)

                op.Wanted c (lifted first (fst d1) (fst d2)) (lifted second (snd d1) (snd d2))
                |> sumOfCubes

            let wanted = evaluate id
            // The same polynomial of the absolute values bounds the sum of the sizes of all its terms; a term is a
            // product of at most 8 factors that passes through four chained sums of the case, each twice at most.
            let size = evaluate (Array.map abs)

            let bound =
                gamma
                    setting.Roundoff
                    (2 * (op.Terms c + c.N * (c.Pattern.Rows + c.Pattern.Cols) + c.Pattern.Nnz) + 16)

            Expect.isLessThanOrEqual (abs (gotFirst - wanted.D1)) (bound * size.D1) $"first derivative, {c}"
            Expect.isLessThanOrEqual (abs (gotSecond - wanted.D12)) (bound * size.D12) $"second derivative, {c}")

let private byCentralDifferences (op: Operation) =
    testCase $"{op.Name}: first and second derivatives are the central differences" (fun () ->
        // A fixed linear function of a bilinear operation: of degree 2 along any line, its gradient of degree 1. So
        // central differences are exact but for rounding, which grows as 1 / h.
        let setting = settings.Head
        let h = 2.0 ** -6.0

        for c in small do
            use _ = torch.NewDisposeScope()
            let shapes = op.FirstShape c, op.SecondShape c

            let a0, b0 =
                tensor setting (fst shapes) (op.First c), tensor setting (snd shapes) (op.Second c)

            let along seed (shape: int64[]) =
                tensor setting shape (direction seed (int (Array.fold (*) 1L shape)))

            let a1, b1 = along 1 (fst shapes), along 2 (snd shapes)
            let a2, b2 = along 3 (fst shapes), along 4 (snd shapes)
            use step = h.ToScalar()
            let weights = along 9 (op.Run setting.Backend c.Pattern a0 b0).shape

            let f (a: torch.Tensor) (b: torch.Tensor) =
                dot weights (op.Run setting.Backend c.Pattern a b)

            /// The derivative along (a1, b1) at a point.
            let slope (a: torch.Tensor) (b: torch.Tensor) (keep: bool) =
                let a, b = a.detach().requires_grad_ true, b.detach().requires_grad_ true

                let g =
                    torch.autograd.grad ([| f a b |], [| a; b |], retain_graph = true, create_graph = keep)

                let along = (dot g[0] a1).add(dot g[1] b1)
                along, a, b

            let moved (sign: float) (t: torch.Tensor) (d: torch.Tensor) =
                t.add (d.mul step |> fun d -> d.mul (sign.ToScalar()))

            let bound =
                gamma setting.Roundoff (4 * (op.Terms c + c.Pattern.Nnz) + 16)
                * float (c.Pattern.Nnz * c.N + 1)
                * 8.0
                / h

            let first, a, b = slope a0 b0 true

            let difference =
                (number (f (moved 1.0 a0 a1) (moved 1.0 b0 b1))
                 - number (f (moved -1.0 a0 a1) (moved -1.0 b0 b1)))
                / (2.0 * h)

            Expect.isLessThanOrEqual (abs (number first - difference)) bound $"first derivative, {c}"

            let second = torch.autograd.grad ([| first |], [| a; b |], retain_graph = true)
            let second = number ((dot second[0] a2).add(dot second[1] b2))
            let plus, _, _ = slope (moved 1.0 a0 a2) (moved 1.0 b0 b2) false
            let minus, _, _ = slope (moved -1.0 a0 a2) (moved -1.0 b0 b2) false
            let difference = (number plus - number minus) / (2.0 * h)
            Expect.isLessThanOrEqual (abs (second - difference)) bound $"second derivative, {c}")

let private backward (n: int) (wantsValues: bool) (wantsBias: bool) (wantsX: bool) =
    use _ = torch.NewDisposeScope()
    let c = Cases.wide n
    let leaf (wants: bool) (t: torch.Tensor) = t.requires_grad_ wants
    let values = leaf wantsValues (torch.tensor c.Values)
    let bias = leaf wantsBias (torch.tensor c.Bias)
    let x = leaf wantsX (torch.tensor c.X)
    let g = torch.tensor c.G
    (SparseOps.linear c.Pattern values bias x).backward([| g |])

    let same (wants: bool) (t: torch.Tensor) (wanted: unit -> torch.Tensor) (what: string) =
        if wants then
            SparseOpsTests.sameBits t.PresentGrad (wanted ()) what
        else
            Expect.isNull t.grad $"nobody asked: {what}"

    same wantsValues values (fun () -> SparseOps.sddmm c.Pattern g (x.detach ())) "values"
    same wantsX x (fun () -> SparseOps.spmmT c.Pattern (values.detach ()) g) "x"

    if wantsBias then
        let bound, wanted = Wanted.biasGradient c
        expectWithin "bias" bound wanted (bias.PresentGrad.data<float32>().ToArray())
    else
        Expect.isNull bias.grad "nobody asked: bias"

[<Tests>]
let autogradTests =
    testList
        "Autograd"
        [ testList
              "hyper-dual numbers"
              [ for op in operations do
                    for setting in settings do
                        againstHyperDuals op setting ]

          testList "central differences" (List.map byCentralDifferences operations)

          testList
              "backward gives each gradient that is asked for, to the bit the operation's, and no other"
              [ for values in [ true; false ] do
                    for bias in [ true; false ] do
                        for x in [ true; false ] do
                            // One tile, and several groups of tiles.
                            for n in [ 20; 300 ] do
                                if values || bias || x then
                                    testCase $"values {values}, bias {bias}, x {x}, N = {n}" (fun () ->
                                        backward n values bias x) ]

          testCase "an upstream gradient that is expanded is taken as it is" (fun () ->
              use _ = torch.NewDisposeScope()
              let c = Cases.wide 20
              let values = (torch.tensor c.Values).requires_grad_ true
              let x = torch.tensor c.X
              (SparseOps.spmm c.Pattern values x).sum().backward()
              let ones = torch.ones (20L, 300L)
              SparseOpsTests.sameBits values.PresentGrad (SparseOps.sddmm c.Pattern ones x) "gradient")

          testCase "a layer that is used twice in one graph gets the sum of both gradients" (fun () ->
              use _ = torch.NewDisposeScope()
              let pattern = Topology.uniform 30 30 200 (Seed.ofInt 4)
              let c = make pattern 10 4
              let values = (torch.tensor c.Values).requires_grad_ true
              let x = torch.tensor c.X
              let inner = SparseOps.spmm pattern values x
              (SparseOps.spmm pattern values inner).sum().backward()
              let ones = torch.ones (10L, 30L)
              let outer = SparseOps.sddmm pattern ones (inner.detach ())

              let through =
                  SparseOps.sddmm pattern (SparseOps.spmmT pattern (values.detach ()) ones) x

              let bound =
                  gamma float32Roundoff 2
                  * float (outer.abs().add(through.abs ()).max().item<float32>())

              let error = values.PresentGrad.sub(outer.add through).abs().max().item<float32>()
              Expect.isLessThanOrEqual (float error) bound "sum")

          testList
              "a factor that was changed in place before backward is an error that can be caught"
              [ for hasBias in [ true; false ] do
                    for change in [ "values"; "x" ] do
                        testCase $"{change}, bias {hasBias}" (fun () ->
                            use _ = torch.NewDisposeScope()
                            let c = Cases.wide 4
                            let values = (torch.tensor c.Values).requires_grad_ true

                            let bias =
                                if hasBias then
                                    (torch.tensor c.Bias).requires_grad_ true
                                else
                                    null

                            let x = (torch.tensor c.X).requires_grad_ true
                            let y = SparseOps.linear c.Pattern values bias x

                            using (torch.no_grad ()) (fun _ ->
                                (if change = "x" then x else values).mul_(2.0f.ToScalar()) |> ignore)

                            let error = Expect.throwsC (fun () -> y.sum().backward()) id
                            Expect.stringContains error.Message "invalid gradient" "libtorch's own error"
                            Expect.isNull values.grad "no gradient for the values"

                            // The reason comes with the next call, once.
                            let told =
                                Expect.throwsC (fun () -> SparseOps.linear c.Pattern values bias x |> ignore) (fun e ->
                                    e :?> InvalidOperationException)

                            Expect.stringContains told.PresentInner.Message "inplace operation" "the reason"
                            Expect.isNotNull told.PresentInner.StackTrace "where it was"
                            // The next graph is not touched by the failed one.
                            (SparseOps.linear c.Pattern values bias x).sum().backward()
                            Expect.isNotNull values.grad "a gradient again") ]

          testCase "no graph is recorded under no_grad" (fun () ->
              use _ = torch.NewDisposeScope()
              let c = Cases.wide 3
              let values = (torch.tensor c.Values).requires_grad_ true
              use _ = torch.no_grad ()
              Expect.isFalse (SparseOps.spmm c.Pattern values (torch.tensor c.X)).requires_grad "requires_grad") ]
