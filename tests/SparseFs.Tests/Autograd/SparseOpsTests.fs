module SparseFs.Tests.SparseOpsTests

open System
open Expecto
open SparseFs
open SparseFs.Kernels
open SparseFs.Torch
open SparseFs.Tests.Cases
open TorchSharp

/// Every implementation of float32 that this machine has.
let private backends: (string * Backend) list =
    [ "portable", PortableBackend.backend
      "dense, portable", Backends.dense PortableBackend.backend
      for width in CpuSpmm.widths do
          let kernels = CpuBackend.backend (Backends.forced (CpuSpmm.machineOf width 2))
          $"kernels at {width}", kernels
          $"dense, kernels at {width}", Backends.dense kernels ]

let vector (values: float32[]) : torch.Tensor = torch.tensor values

/// The ways in which a matrix may lie in memory.
let layouts: (string * (float32[,] -> torch.Tensor)) list =
    [ "contiguous", (fun m -> torch.tensor m)
      "transposed", (fun m -> (torch.tensor m).t().contiguous().t())
      "a view with an offset, contiguous",
      (fun m ->
          let t = torch.tensor m
          torch.cat([| torch.full_like (t, nanf.ToScalar()); t |], 0L).narrow(0L, t.shape[0], t.shape[0]))
      "a view with an offset and a stride",
      (fun m ->
          let t = torch.tensor m
          let padding = torch.full (t.shape[0], 3L, nanf.ToScalar())
          torch.cat([| padding; t; padding |], 1L).narrow(1L, 3L, t.shape[1])) ]

let numbersOf (t: torch.Tensor) : float32[] =
    t.contiguous().view(-1L).data<float32>().ToArray()

let private scoped (body: unit -> unit) =
    use _ = torch.NewDisposeScope()
    body ()

let private againstOracle (name: string) (backend: Backend) =
    law $"{name}: the three operations are the dense products, in every layout" 40 (fun c ->
        scoped (fun () ->
            let values, bias = vector c.Values, vector c.Bias

            for layout, place in layouts do
                let x, g = place c.X, place c.G
                let bound, wanted = Wanted.spmm c
                let y = SparseOps.linearWith backend c.Pattern values bias x
                Expect.equal y.shape [| int64 c.N; int64 c.Pattern.Rows |] "shape of y"
                expectWithin $"linear, {layout}" bound wanted (numbersOf y)
                let bound, wanted = Wanted.spmmT c

                expectWithin
                    $"spmmT, {layout}"
                    bound
                    wanted
                    (numbersOf (SparseOps.spmmTWith backend c.Pattern values g))

                let bound, wanted = Wanted.sddmm c
                expectWithin $"sddmm, {layout}" bound wanted (numbersOf (SparseOps.sddmmWith backend c.Pattern g x))))

let sameBits (a: torch.Tensor) (b: torch.Tensor) (what: string) =
    Expect.equal a.shape b.shape $"{what}: shape"
    Expect.equal a.dtype b.dtype $"{what}: dtype"
    let bits (t: torch.Tensor) = t.contiguous().bytes.ToArray()
    Expect.equal (bits a) (bits b) what

let refuses (name: string) (words: string list) (run: unit -> torch.Tensor) =
    try
        use _ = run ()
        failtest $"expected {name} to be refused"
    with :? ArgumentException as e ->
        Expect.equal e.ParamName name "argument"

        for word in words do
            Expect.stringContains e.Message word "message"

[<Tests>]
let sparseOpsTests =
    testList
        "SparseOps"
        [ testList
              "oracle"
              [ for name, backend in backends do
                    againstOracle name backend ]

          testCase "float64 is as exact as float64 can be" (fun () ->
              scoped (fun () ->
                  let c = wide 33
                  let f64 (t: torch.Tensor) = t.to_type torch.ScalarType.Float64
                  let y = SparseOps.spmm c.Pattern (f64 (vector c.Values)) (f64 (torch.tensor c.X))
                  Expect.equal y.dtype torch.ScalarType.Float64 "dtype"
                  let wide = Array2D.map float c.X

                  let wanted =
                      Oracle.spmm Oracle.floats c.Pattern (Array.map float c.Values) wide |> flat

                  let size =
                      Oracle.spmm Oracle.floats c.Pattern (Array.map (float >> abs) c.Values) (Array2D.map abs wide)

                  let terms = Array.max (Connectivity.fanIn c.Pattern)

                  for i, (got, wanted, size) in
                      Array.indexed (Array.zip3 (y.data<float>().ToArray()) wanted (flat size)) do
                      let bound = 2.0 * Oracle.gamma (2.0 ** -53.0) (terms + 2) * size
                      Expect.isLessThanOrEqual (abs (got - wanted)) bound $"y[{i}]"))

          testList
              "half precision"
              [ for dtype in [ torch.ScalarType.Float16; torch.ScalarType.BFloat16 ] do
                    testCase $"{dtype} is float32, rounded once" (fun () ->
                        scoped (fun () ->
                            let c = wide 19
                            let half (t: torch.Tensor) = t.to_type dtype
                            let back (t: torch.Tensor) = t.to_type torch.ScalarType.Float32
                            let values, bias = half (vector c.Values), half (vector c.Bias)
                            let x, g = half (torch.tensor c.X), half (torch.tensor c.G)
                            let y = SparseOps.linear c.Pattern values bias x
                            sameBits y (half (SparseOps.linear c.Pattern (back values) (back bias) (back x))) "linear"
                            let gx = SparseOps.spmmT c.Pattern values g
                            sameBits gx (half (SparseOps.spmmT c.Pattern (back values) (back g))) "spmmT"
                            let d = SparseOps.sddmm c.Pattern g x
                            sameBits d (half (SparseOps.sddmm c.Pattern (back g) (back x))) "sddmm")) ]

          testCase "leading dimensions are kept, whatever the rank" (fun () ->
              scoped (fun () ->
                  let c = wide 24
                  let values, x = vector c.Values, torch.tensor c.X
                  let y = SparseOps.spmm c.Pattern values x

                  for shape in [ [| 2L; 3L; 4L |]; [| 24L; 1L |]; [| 1L; 24L |]; [| 2L; 2L; 3L; 2L |] ] do
                      let reshaped =
                          SparseOps.spmm c.Pattern values (x.view (Array.append shape [| 200L |]))

                      sameBits reshaped (y.view (Array.append shape [| 300L |])) $"{shape}"

                  let one = SparseOps.spmm c.Pattern values x[0L]
                  sameBits one (SparseOps.spmm c.Pattern values (x.narrow (0L, 0L, 1L))).[0L] "one vector"
                  let none = SparseOps.spmm c.Pattern values (torch.zeros (0L, 5L, 200L))
                  Expect.equal none.shape [| 0L; 5L; 300L |] "no sample"))

          testCase "a sample's result does not depend on the other samples of a full tile" (fun () ->
              scoped (fun () ->
                  let c = wide 64
                  let values, x = vector c.Values, torch.tensor c.X
                  let shuffled = x.flip [| 0L |]
                  let y = SparseOps.spmm c.Pattern values x
                  sameBits (SparseOps.spmm c.Pattern values shuffled) (y.flip [| 0L |]) "flipped"))

          testCase "toDense has the values at the pattern and 0 elsewhere" (fun () ->
              scoped (fun () ->
                  let c = wide 1
                  let dense = SparseOps.toDense c.Pattern (vector c.Values)
                  let wanted = Array2D.zeroCreate 300 200

                  for slot, (row, col) in Array.indexed (Oracle.slots c.Pattern) do
                      wanted[row, col] <- c.Values[slot]

                  sameBits dense (torch.tensor wanted) "dense"))

          testList
              "bad input"
              [ let c = Topology.uniform 6 5 9 (Seed.ofInt 1)
                let values () = torch.ones 9L
                let x () = torch.ones (2L, 5L)
                let linear v b x () = SparseOps.linear c v b x

                let case name argument words run =
                    testCase name (fun () -> scoped (fun () -> refuses argument words (run ())))

                case "a wrong last dimension" "x" [ "[*, 5]"; "[2, 6]" ] (fun () ->
                    linear (values ()) null (torch.ones (2L, 6L)))

                case "a scalar" "x" [ "[*, 5]"; "[]" ] (fun () -> linear (values ()) null (torch.tensor 1.0f))

                case "an integer input" "x" [ "x is Int64"; "x.to(torch.float32)" ] (fun () ->
                    linear (values ()) null (torch.ones ([| 2L; 5L |], dtype = torch.ScalarType.Int64)))

                case "a complex input" "x" [ "x is Complex"; "x.to(torch.float32)" ] (fun () ->
                    linear (values ()) null (torch.zeros ([| 2L; 5L |], dtype = torch.ScalarType.ComplexFloat32)))

                case "a boolean input" "x" [ "x is Bool"; "x.to(torch.float32)" ] (fun () ->
                    linear (values ()) null (torch.zeros ([| 2L; 5L |], dtype = torch.ScalarType.Bool)))

                case "another dtype than the values" "x" [ "Float32"; "Float64" ] (fun () ->
                    linear (values ()) null (torch.ones ([| 2L; 5L |], dtype = torch.ScalarType.Float64)))

                case "another device than the values" "x" [ "cpu"; "meta" ] (fun () ->
                    linear (values ()) null (torch.ones ([| 2L; 5L |], device = torch.META)))

                case "values of another length" "values" [ "[9]"; "[8]" ] (fun () -> linear (torch.ones 8L) null (x ()))

                case "values of another rank" "values" [ "[9]"; "[3, 3]" ] (fun () ->
                    linear (torch.ones (3L, 3L)) null (x ()))

                case "a bias of another length" "bias" [ "[6]"; "[5]" ] (fun () ->
                    linear (values ()) (torch.ones 5L) (x ()))

                case "a bias of another dtype" "bias" [ "Float32"; "Float64" ] (fun () ->
                    linear (values ()) (torch.ones ([| 6L |], dtype = torch.ScalarType.Float64)) (x ()))

                case "no values" "values" [] (fun () -> linear Unchecked.defaultof<_> null (x ()))
                case "no input" "x" [] (fun () -> linear (values ()) null Unchecked.defaultof<_>)

                case "spmmT with cols for rows" "g" [ "[*, 6]"; "[2, 5]" ] (fun () () ->
                    SparseOps.spmmT c (values ()) (x ()))

                case "sddmm with other numbers of samples" "x" [ "2 samples"; "3" ] (fun () () ->
                    SparseOps.sddmm c (torch.ones (2L, 6L)) (torch.ones (3L, 5L))) ] ]
