/// Products with packed weights: those of float64 within rounding, in every form, at every width and group size.
module SparseFs.Tests.PackedProductsTests

#nowarn "9"

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs
open SparseFs.Kernels
open SparseFs.Testing
open SparseFs.Tests.Cases
open SparseFs.Tests.Guarded
open SparseFs.Tests.Refusals

let private forms = [ ValueForm.Float32; ValueForm.BFloat16; ValueForm.Int8 ]

/// Sizes that kernels take together, others, and a last group of fewer rows; none; sides of 0; all rows alike.
let private patterns: Gen<Connectivity> =
    let groups =
        gen {
            let! group = Gen.elements [ 2; 4; 8; 12; 16; 32 ]
            let! rows = Gen.choose (0, 70)
            let! cols = Gen.choose (0, 70)
            let! nnz = Gen.choose (0, rows * cols)
            let! seed = Gen.choose (0, 1_000_000)
            return Topology.rowGroups group rows cols nnz (Seed.ofInt seed)
        }

    Gen.oneof [ Generators.connectivity.Generator; groups ]

let private packedCases: Arbitrary<Case> =
    gen {
        let! pattern = patterns
        let! n = Gen.choose (1, 3)
        let! seed = Gen.choose (0, 1_000_000)
        return make pattern n seed
    }
    |> Arb.fromGen

let private law name (count: int) (body: Case -> unit) =
    testPropertyWithConfig
        { FsCheckConfig.defaultConfig with
            maxTest = count }
        name
        (Prop.forAll packedCases body)

let private run (machine: ExecutionPolicy) (packed: PackedRows) (c: Case) : float32[] =
    use bias = new Guarded(c.Bias)
    use x = new Guarded(flat c.X)
    use y = new Guarded(garbage (c.N * c.Pattern.Rows))
    PackedProducts.multiply machine packed bias.Address x.Address c.N y.Address
    y.CheckMargins "y"
    y.Values

/// The weights that a form keeps, exactly: an integer of 8 bits times a float32 is a float64.
let private kept (form: ValueForm) (c: Case) : float[] =
    match CompactValues.ofFloat32 form c.Pattern c.Values with
    | CompactValues.Int8(quantized, scales) ->
        let rows = Connectivity.rowIndices c.Pattern
        Array.init quantized.Length (fun slot -> float quantized[slot] * float scales[rows[slot]])
    | values -> CompactValues.toFloat32 c.Pattern values |> Array.map float

/// y = x · Wᵀ + bias in float64 for weights, row by row.
let private dense (c: Case) (weights: float[]) (bias: float[]) (x: float[,]) : float[] =
    Oracle.spmm Oracle.floats c.Pattern weights x
    |> Array2D.mapi (fun _ row sum -> sum + bias[row])
    |> flat

/// What is wanted, and how far off it a float32 sum of a row's slots, times its scale, and its bias may be.
let private wanted (form: ValueForm) (c: Case) : float[] * float[] =
    let weights, bias, x = kept form c, Array.map float c.Bias, Array2D.map float c.X
    let size = dense c (Array.map abs weights) (Array.map abs bias) (Array2D.map abs x)
    let terms = Array.fold max 0 (Connectivity.fanIn c.Pattern)

    size
    |> Array.map (fun size -> Oracle.gamma Oracle.float32Roundoff (terms + 3) * size),
    dense c weights bias x

let private everywhere (c: Case) (body: string -> ValueForm -> ExecutionPolicy -> PackedRows -> unit) =
    for form in forms do
        let packed = PackedRows.Create(c.Pattern, form, c.Values)

        for width in CpuSpmm.widths do
            body $"{form}, {width}, groups of {packed.Group}" form (CpuSpmm.machineOf width 1) packed

let private expectDense (c: Case) =
    everywhere c (fun what form machine packed ->
        let bound, wanted = wanted form c
        run machine packed c |> expectWithin what bound wanted)

let private bits (numbers: float32[]) =
    Array.map BitConverter.SingleToInt32Bits numbers

/// Of rows long enough for every loop, whose groups the kernels take together, or not; beyond 65,536 columns too.
let private long: (string * Case) list =
    [ for cols in [ 300; 70_000 ] do
          $"{cols} columns", make (Topology.uniform 45 cols 4_000 (Seed.ofInt 3)) 2 5

          for group in [ 2; 4; 8; 16 ] do
              $"{cols} columns, groups of {group}",
              make (Topology.rowGroups group 45 cols (200 * 45 / group) (Seed.ofInt 3)) 2 5 ]

/// Infinities and NaN among the inputs.
let private withSpecials (c: Case) : Case =
    { c with
        X =
            c.X
            |> Array2D.mapi (fun n col x ->
                match (n * 5 + col * 11) % 23 with
                | 0 -> nanf
                | 1 -> infinityf
                | 2 -> -infinityf
                | _ -> x) }

let private expectSame (what: string) (bound: float[]) (wanted: float[]) (got: float32[]) =
    for i in 0 .. wanted.Length - 1 do
        let isRight =
            if Double.IsNaN wanted[i] then
                Single.IsNaN got[i]
            elif Double.IsInfinity wanted[i] then
                float got[i] = wanted[i]
            else
                abs (float got[i] - wanted[i]) <= bound[i]

        if not isRight then
            failtest $"{what}[{i}]: expected {wanted[i]}, got {got[i]}"

let private pattern = Topology.uniform 3 4 6 (Seed.ofInt 1)

let private packed =
    PackedRows.Create(pattern, ValueForm.Float32, Array.create 6 1.0f)

let private numbers (length: int) : float32[] = Array.zeroCreate length

let private multiply (bias: float32[]) (x: float32[]) (samples: int) (y: float32[]) =
    CpuKernels.Shared.Multiply(packed, ReadOnlySpan bias, ReadOnlySpan x, samples, Span y)

[<Tests>]
let tests =
    testList
        "Packed products"
        [ law "each is the dense product, within the rounding of its sums" 300 expectDense

          testList
              "long rows"
              [ for name, c in long do
                    testCase name (fun () -> expectDense c) ]

          law "NaN and infinities come through as in the dense product of the stored slots" 200 (fun c ->
              let c = withSpecials c

              everywhere c (fun what form machine packed ->
                  let bound, wanted = wanted form c
                  run machine packed c |> expectSame what bound wanted))

          testCase "a weight that is no number stays in its row" (fun () ->
              for _, c in long do
                  let row = 17
                  let values = Array.copy c.Values
                  values[c.Pattern.RowPtr[row]] <- nanf

                  for form in [ ValueForm.Float32; ValueForm.BFloat16 ] do
                      let clean, spoilt =
                          PackedRows.Create(c.Pattern, form, c.Values), PackedRows.Create(c.Pattern, form, values)

                      for width in CpuSpmm.widths do
                          let machine = CpuSpmm.machineOf width 1
                          let wanted, got = run machine clean c, run machine spoilt c

                          for i in 0 .. got.Length - 1 do
                              if i % c.Pattern.Rows = row then
                                  Expect.isTrue (Single.IsNaN got[i]) $"{form}, {width}: its row"
                              else
                                  Expect.equal got[i] wanted[i] $"{form}, {width}: row {i % c.Pattern.Rows}")

          testList
              "threads"
              [ for name, c in
                    long
                    @ [ for group in [ 1; 4; 16 ] -> $"300 rows, groups of {group}", wideGroups group 3 ] do
                    testCase $"{name}: the same bits for any number" (fun () ->
                        everywhere c (fun what _ machine packed ->
                            let one = bits (run machine packed c)

                            for threads in [ 2; 3; 7 ] do
                                let many = run (CpuSpmm.machineOf machine.Width threads) packed c
                                Expect.equal (bits many) one $"{what}, {threads} threads")) ]

          law "samples together give the bits that each gives alone" 100 (fun c ->
              everywhere c (fun what _ machine packed ->
                  let together = run machine packed c

                  for n in 0 .. c.N - 1 do
                      let alone =
                          { c with
                              N = 1
                              X = Array2D.init 1 c.Pattern.Cols (fun _ col -> c.X[n, col]) }

                      let rows = c.Pattern.Rows

                      Expect.equal
                          (bits (run machine packed alone))
                          (bits together[n * rows .. (n + 1) * rows - 1])
                          what))

          testCase "the kernels' groups are the largest that a pattern has" (fun () ->
              for size, wanted in [ 1, 1; 2, 1; 3, 1; 4, 4; 6, 1; 8, 8; 12, 4; 16, 16; 24, 8; 32, 16; 48, 16 ] do
                  let pattern = Topology.rowGroups size (4 * size + 1) 100 (100 * size) (Seed.ofInt 2)
                  Expect.equal (PackedLayout.groupOf pattern) wanted $"groups of {size}"

              // All rows alike: as few rows as can be are there in vain.
              for rows, wanted in [ 3, 1; 4, 4; 8, 8; 10, 4; 16, 16; 20, 4; 24, 8; 31, 16 ] do
                  Expect.equal (PackedLayout.groupOf (Connectivity.full rows 5)) wanted $"{rows} full rows")

          testCase "over spans, on one thread and several, as beneath" (fun () ->
              for samples in [ 0; 1; 4 ] do
                  let c = make (Topology.rowGroups 4 1_001 200 60_000 (Seed.ofInt 3)) samples 5
                  let packed = PackedRows.Create(c.Pattern, ValueForm.BFloat16, c.Values)
                  let bound, wanted = wanted ValueForm.BFloat16 c

                  for threads in [ 1; 3 ] do
                      let y = garbage (samples * 1_001)
                      let kernels = CpuKernels(threads, ParallelFor.Workers)
                      kernels.Multiply(packed, ReadOnlySpan c.Bias, ReadOnlySpan(flat c.X), samples, Span y)
                      expectWithin $"{threads} threads" bound wanted y)

          testCase "no bias is none" (fun () ->
              let y = garbage 3
              multiply [||] [| 1.0f; 1.0f; 1.0f; 1.0f |] 1 y
              Expect.equal y (Connectivity.fanIn pattern |> Array.map float32) "counts of slots")

          testCase "one thread allocates nothing" (fun () ->
              let c = make (Topology.rowGroups 4 101 200 6_000 (Seed.ofInt 3)) 2 5
              let kernels = CpuKernels(1, ParallelFor.Workers)
              let x, y = flat c.X, garbage 202

              for form in forms do
                  let packed = PackedRows.Create(c.Pattern, form, c.Values)

                  let call () =
                      kernels.Multiply(packed, ReadOnlySpan c.Bias, ReadOnlySpan x, 2, Span y)

                  call ()
                  let before = GC.GetAllocatedBytesForCurrentThread()
                  call ()
                  Expect.equal (GC.GetAllocatedBytesForCurrentThread() - before) 0L $"{form}")

          testCase "a slot takes the bytes of its value, and those of its column once for a group" (fun () ->
              let rows, cols, nnz = 1_024, 1_024, 104_960

              for group, columnBytes in [ 1, 2.0; 4, 0.5; 8, 0.25; 16, 0.125 ] do
                  let pattern = Topology.rowGroups group rows cols nnz (Seed.ofInt 3)
                  let values = Array.create nnz 1.0f

                  for form, valueBytes in List.zip forms [ 4.0; 2.0; 1.0 ] do
                      let packed = PackedRows.Create(pattern, form, values)
                      let slot = valueBytes + columnBytes
                      // Padding: less than 16 slots a row, or 8 a group; beside them 12 bytes a row, and two lines.
                      let most = slot * float (nnz + 16 * rows) + float (12 * rows + 512)
                      Expect.isLessThanOrEqual (float packed.Bytes) most $"{form}, groups of {group}"
                      Expect.isGreaterThanOrEqual (float packed.Bytes) (slot * float nnz) $"{form}, groups of {group}")

          refuses "a bias of another size" "bias" "rows = 3" (fun () -> multiply (numbers 2) (numbers 4) 1 (numbers 3))
          refuses "inputs of another size" "x" "samples · cols = 4" (fun () -> multiply [||] (numbers 5) 1 (numbers 3))
          refuses "outputs of another size" "y" "samples · rows = 6" (fun () -> multiply [||] (numbers 8) 2 (numbers 3))
          refuses "fewer samples than none" "samples" "0 or more" (fun () -> multiply [||] [||] -1 [||])

          refuses "an output that is the input" "y" "memory of its own" (fun () ->
              let x = numbers 4
              CpuKernels.Shared.Multiply(packed, ReadOnlySpan.Empty, ReadOnlySpan x, 1, Span(x, 0, 3)))

          refuses "fewer numbers than slots" "numbers" "nnz = 6" (fun () ->
              PackedRows.Create(pattern, CompactValues.BFloat16 [| 0us |]))

          refuses "fewer scales than rows" "numbers" "rows = 3" (fun () ->
              PackedRows.Create(pattern, CompactValues.Int8(Array.zeroCreate 6, [| 1.0f |]))) ]
