module SparseFs.Tests.CpuSpmmTests

#nowarn "9"

open System
open Microsoft.FSharp.NativeInterop
open System.Runtime.InteropServices
open Expecto
open SparseFs
open SparseFs.Kernels
open SparseFs.Tests.Cases
open SparseFs.Tests.Guarded

let private spmm (machine: ExecutionPolicy) (c: Case) : float32[] =
    use values = new Guarded(c.Values)
    use bias = new Guarded(c.Bias)
    use x = new Guarded(flat c.X)
    use y = new Guarded(garbage (c.N * c.Pattern.Rows))
    CpuSpmm.spmm machine (SpmmPlans.planOf c.Pattern) values.Address bias.Address x.Address c.N y.Address
    y.CheckMargins "y"
    y.Values

let private spmmT (machine: ExecutionPolicy) (c: Case) : float32[] =
    use values = new Guarded(c.Values)
    use g = new Guarded(flat c.G)
    use x = new Guarded(garbage (c.N * c.Pattern.Cols))
    CpuSpmm.spmmT machine (SpmmPlans.planOf c.Pattern) values.Address g.Address c.N x.Address
    x.CheckMargins "x"
    x.Values

let private sddmm (machine: ExecutionPolicy) (c: Case) : float32[] =
    use g = new Guarded(flat c.G)
    use x = new Guarded(flat c.X)
    use d = new Guarded(garbage c.Pattern.Nnz)
    CpuGradients.sddmm machine (SpmmPlans.planOf c.Pattern) g.Address x.Address c.N d.Address
    d.CheckMargins "d"
    d.Values

let private spmmOfSparse (machine: ExecutionPolicy) (c: Case) : float32[] =
    use values = new Guarded(c.Values)
    use bias = new Guarded(c.Bias)
    use x = new Guarded(flat c.X)
    use y = new Guarded(garbage (c.N * c.Pattern.Rows))
    CpuSparseActivations.spmm machine (SpmmPlans.planOf c.Pattern) values.Address bias.Address x.Address c.N y.Address
    y.CheckMargins "y"
    y.Values

let private sddmmOfSparse (machine: ExecutionPolicy) (c: Case) : float32[] =
    use g = new Guarded(flat c.G)
    use x = new Guarded(flat c.X)
    use d = new Guarded(garbage c.Pattern.Nnz)
    CpuSparseActivations.sddmm machine (SpmmPlans.planOf c.Pattern) g.Address x.Address c.N d.Address
    d.CheckMargins "d"
    d.Values

/// spmm with the tiles of gradients, which may be five vectors wide, and fetched ahead: no public call takes them so yet.
let private spmmOfJoined (machine: ExecutionPolicy) (c: Case) : float32[] =
    use values = new Guarded(c.Values)
    use bias = new Guarded(c.Bias)
    use x = new Guarded(flat c.X)
    use y = new Guarded(garbage (c.N * c.Pattern.Rows))
    let rows, cols = c.Pattern.Rows, c.Pattern.Cols
    let cut = CpuSpmm.cutOfGradients machine c.Pattern c.N
    let scratch = ScratchPool.rent (cut.Floats cols)

    use rowPtr = fixed c.Pattern.RowPtrArray
    use colIdx = fixed c.Pattern.ColIdxArray

    let p =
        { Begin = rowPtr
          End = NativePtr.add rowPtr 1
          ColIdx = colIdx
          FetchTo = int64 c.Pattern.Nnz - 1L
          Group = (SpmmPlans.planOf c.Pattern).RowGroup }

    for index in 0 .. cut.Tiles - 1 do
        let tile = cut.Tile index
        let x = { Data = x.Address; Stride = cols }
        let y = { Data = y.Address; Stride = rows }
        KernelTable.ofWidth(cut.Width).Pack(tile, x, cols, scratch.Floats)
        KernelTable.multiply cut tile p values.Address bias.Address scratch.Floats { From = 0; To = rows } y

    ScratchPool.giveBack scratch
    y.CheckMargins "y"
    y.Values

/// The same case with few inputs that are not 0, some of them −0: whole samples and whole columns of zeros among them.
let private withFewInputs (c: Case) : Case =
    { c with
        X =
            c.X
            |> Array2D.mapi (fun n col x ->
                match (n * 7 + col * 13) % 10 with
                | 0 when n % 5 <> 1 && col % 4 <> 2 -> x
                | 1 -> -0.0f
                | _ -> 0.0f) }

/// The gradients of values, bias and input that are wanted; the others' places stay as they are.
let private gradients (machine: ExecutionPolicy) (wantsValues, wantsBias, wantsInput) (c: Case) =
    use values = new Guarded(c.Values)
    use g = new Guarded(flat c.G)
    use x = new Guarded(flat c.X)
    use dValues = new Guarded(garbage c.Pattern.Nnz)
    use dBias = new Guarded(garbage c.Pattern.Rows)
    use dInput = new Guarded(garbage (c.N * c.Pattern.Cols))

    let place wanted (guarded: Guarded) =
        if wanted then guarded.Address else nothing

    CpuGradients.gradients
        machine
        (SpmmPlans.planOf c.Pattern)
        (place wantsInput values)
        g.Address
        (place wantsValues x)
        c.N
        { Values = place wantsValues dValues
          Bias = place wantsBias dBias
          Input = place wantsInput dInput }

    dValues.CheckMargins "values"
    dBias.CheckMargins "bias"
    dInput.CheckMargins "input"
    dValues.Values, dBias.Values, dInput.Values

let private operations: (string * (Case -> float[] * float[]) * (ExecutionPolicy -> Case -> float32[])) list =
    [ "spmm", Wanted.spmm, spmm
      "spmmT", Wanted.spmmT, spmmT
      "sddmm", Wanted.sddmm, sddmm
      "spmm of sparse inputs", withFewInputs >> Wanted.spmm, (fun machine -> withFewInputs >> spmmOfSparse machine)
      "sddmm of sparse inputs", withFewInputs >> Wanted.sddmm, (fun machine -> withFewInputs >> sddmmOfSparse machine)
      "spmm of inputs taken to be sparse", Wanted.spmm, spmmOfSparse
      "sddmm of inputs taken to be sparse", Wanted.sddmm, sddmmOfSparse ]

let private ofWidth (width: Width) =
    let machine = CpuSpmm.machineOf width 1

    [ for name, wanted, run in operations ->
          law $"{name} at {width} is the dense product, within the rounding of its sums" 150 (fun c ->
              let bound, expected = wanted c
              run machine c |> expectWithin name bound expected) ]

/// Batches that end in two vectors, in three, in four and in five, whole and not, at each width, or are one; of up to ten tiles.
let private splitBatches =
    [ 1; 3; 5; 8; 9; 16; 17; 24; 33; 40; 48; 64; 65; 80; 81; 120; 131; 300 ]

/// Batches of which a tile is five vectors wide, or next to it, of 1, 4, 8 and 16 samples: that tile alone, or behind another.
let private aboutFiveVectors =
    [ 4; 5; 6; 9; 16; 17; 20; 21; 33; 36; 37; 40; 41; 64; 65; 72; 73; 80; 81; 131 ]

let private subsets =
    [ for values in [ true; false ] do
          for bias in [ true; false ] do
              for input in [ true; false ] -> values, bias, input ]

[<Tests>]
let dispatchTests =
    testList
        "Dispatch"
        [ testCase "the machine offers a scalar path and its widest last" (fun () ->
              Expect.equal (List.head CpuSpmm.widths) Width.Scalar "scalar first"
              Expect.equal (List.max CpuSpmm.widths) CpuSpmm.widest "widest last")

          testList "each width" (List.collect ofWidth CpuSpmm.widths)

          testList
              "five vectors"
              [ for name, wanted, run in ("spmm of joined tiles", Wanted.spmm, spmmOfJoined) :: List.take 3 operations do
                    for groups, wide in List.take 3 shared do
                        testCase $"{name}{groups} of batches about five vectors is the dense product" (fun () ->
                            for n in aboutFiveVectors do
                                let c = wide n
                                let bound, expected = wanted c

                                for width in CpuSpmm.widths do
                                    run (CpuSpmm.machineOf width 1) c
                                    |> expectWithin $"{name}, {width}, N = {n}" bound expected) ]

          testList
              "threads"
              [ for name, _, run in operations do
                    for width in CpuSpmm.widths do
                        for groups, wide in shared do
                            testCase $"{name} at {width}{groups} gives the same bits for 1, 2 and 3 threads" (fun () ->
                                for n in splitBatches do
                                    let c = wide n
                                    let one = run (CpuSpmm.machineOf width 1) c
                                    Expect.equal (run (CpuSpmm.machineOf width 2) c) one $"2 threads, N = {n}"
                                    Expect.equal (run (CpuSpmm.machineOf width 3) c) one $"3 threads, N = {n}") ]

          testList
              "gradients"
              [ for width in CpuSpmm.widths do
                    for groups, wide in shared do
                        testCase
                            $"at {width}{groups}, in one pass or not, are to the bit what the operations give"
                            (fun () ->
                                for n in 0 :: splitBatches do
                                    let c = wide n
                                    let one = CpuSpmm.machineOf width 1
                                    let alone = sddmm one c, spmmT one c
                                    let _, bias, _ = gradients one (true, true, true) c
                                    let bound, wanted = Wanted.biasGradient c
                                    expectWithin "bias" bound wanted bias

                                    for threads in 1..3 do
                                        for (wantsValues, wantsBias, wantsInput) as wants in subsets do
                                            let all = gradients (CpuSpmm.machineOf width threads) wants c
                                            let what = $"N = {n}, {threads} threads, {wants}"

                                            let same (got: float32[]) isWanted wanted (name: string) =
                                                let wanted = if isWanted then wanted else garbage got.Length
                                                let bits = Array.map BitConverter.SingleToInt32Bits
                                                Expect.equal (bits got) (bits wanted) $"{name}, {what}"

                                            let gotValues, gotBias, gotInput = all
                                            same gotValues wantsValues (fst alone) "values"
                                            same gotBias wantsBias bias "bias"
                                            same gotInput wantsInput (snd alone) "input") ]

          testCase "more threads than rows is no harm" (fun () ->
              let c = make (Connectivity.full 2 5) 40 1
              let bound, wanted = Wanted.spmm c

              spmm (CpuSpmm.machineOf CpuSpmm.widest 16) c |> expectWithin "spmm" bound wanted)

          testCase "very wide inputs, with the smallest tiles" (fun () ->
              // 60,000 columns leave room for 16 samples in a tile.
              let pattern = Topology.uniform 7 60_000 900 (Seed.ofInt 3)
              let c = make pattern 200 5
              let machine = CpuSpmm.machineOf CpuSpmm.widest 2
              let bound, wanted = Wanted.spmm c
              spmm machine c |> expectWithin "spmm" bound wanted
              let bound, wanted = Wanted.sddmm c
              sddmm machine c |> expectWithin "sddmm" bound wanted)

          testCase "a NaN in one sample stays in that sample" (fun () ->
              for width in CpuSpmm.widths do
                  let c = make (Connectivity.full 5 6) 21 2
                  c.X[20, 3] <- nanf
                  let y = spmm (CpuSpmm.machineOf width 1) c
                  Expect.all (Array.truncate 100 y) (Single.IsNaN >> not) $"{width}: samples 0 to 19"
                  Expect.all (Array.skip 100 y) Single.IsNaN $"{width}: sample 20")

          testCase "no bias is a bias of zeros" (fun () ->
              let c =
                  { wide 33 with
                      Bias = Array.zeroCreate 300 }

              use values = new Guarded(c.Values)
              use x = new Guarded(flat c.X)
              use y = new Guarded(garbage (33 * 300))
              let machine = CpuSpmm.machineOf CpuSpmm.widest 1
              CpuSpmm.spmm machine (SpmmPlans.planOf c.Pattern) values.Address nothing x.Address 33 y.Address
              Expect.equal y.Values (spmm machine c) "the same bits")

          testCase "the cases reach empty rows, empty columns, nnz 0, N 0 and full patterns" (fun () ->
              let drawn = FsCheck.FSharp.Gen.sample 300 cases.Generator

              let has what test =
                  Expect.isTrue (Array.exists test drawn) what

              for group in [ 2; 4 ] do
                  has $"groups of {group} rows" (fun c -> c.Pattern.Nnz > 0 && (SpmmPlan c.Pattern).RowGroup = group)

              has "a last group of fewer rows" (fun c ->
                  let group = (SpmmPlan c.Pattern).RowGroup
                  group > 1 && c.Pattern.Rows % group <> 0 && c.Pattern.Nnz > 0)

              has "nnz 0" (fun c -> c.Pattern.Nnz = 0 && c.Pattern.Cells > 0L)
              has "N 0" (fun c -> c.N = 0)
              has "full" (fun c -> c.Pattern.Cells > 100L && int64 c.Pattern.Nnz = c.Pattern.Cells)
              has "empty row" (fun c -> c.Pattern.Nnz > 0 && Array.contains 0 (Connectivity.fanIn c.Pattern))
              has "empty column" (fun c -> c.Pattern.Nnz > 0 && Array.contains 0 (Connectivity.fanOut c.Pattern))) ]

[<Tests>]
let planTests =
    testList
        "Plan"
        [ law "the transpose and the values in its order are the pattern's own, for any number of threads" 150 (fun c ->
              let transposed, slotMap = Connectivity.transpose c.Pattern
              use values = new Guarded(c.Values)

              for threads in 1..4 do
                  let plan = SpmmPlan c.Pattern

                  Expect.equal
                      (plan.Transposed(CpuSpmm.machineOf CpuSpmm.widest threads))
                      transposed
                      $"transpose, {threads} threads"

                  use ordered = new Guarded(garbage c.Pattern.Nnz)
                  plan.Order(CpuSpmm.machineOf CpuSpmm.widest threads, values.Address, ordered.Address)
                  ordered.CheckMargins "ordered"
                  let wanted = slotMap |> Array.map (fun slot -> c.Values[slot])
                  Expect.equal ordered.Values wanted $"values, {threads} threads")

          testCase "the cases reach patterns that several threads share" (fun () ->
              let c = wide 1
              Expect.isGreaterThan (c.Pattern.Nnz / (c.Pattern.Cols + 1)) 4 "slots a column"
              let transposed, _ = Connectivity.transpose c.Pattern

              for threads in 1..4 do
                  Expect.equal
                      ((SpmmPlan c.Pattern).Transposed(CpuSpmm.machineOf CpuSpmm.widest threads))
                      transposed
                      $"{threads} threads") ]

[<Tests>]
let scratchTests =
    testList
        "Scratch"
        [ testCase "a block is as large as asked, on a cache line, and comes back" (fun () ->
              let first = ScratchPool.rent 1000L
              Expect.isGreaterThanOrEqual first.Bytes 4000L "size"
              Expect.equal (NativePtr.toNativeInt first.Floats % 64n) 0n "alignment"
              let second = ScratchPool.rent 1000L
              Expect.notEqual first.Floats second.Floats "two that are out at once are not the same"
              ScratchPool.giveBack second
              ScratchPool.giveBack first)

          testCase "renting from many threads never hands one block out twice" (fun () ->
              let body (seed: int) =
                  let random = Random seed

                  for _ in 1..300 do
                      let block = ScratchPool.rent (int64 (random.Next(1, 5000)))
                      NativePtr.write block.Floats (float32 seed)
                      Threading.Thread.SpinWait 50
                      Expect.equal (NativePtr.read block.Floats) (float32 seed) "nobody else wrote"
                      ScratchPool.giveBack block

              Threading.Tasks.Parallel.For(1, 9, body) |> ignore) ]

[<Tests>]
let teamTests =
    testList
        "Team"
        [ for place, team in
              [ "the thread pool", ParallelFor.ThreadPool
                "the workers", ParallelFor.Workers ] do
              testCase $"every part runs exactly once on {place}" (fun () ->
                  for threads in 1..4 do
                      for parts in [ 0; 1; 2; 7; 64 ] do
                          let runs: int[] = Array.zeroCreate parts
                          team.Run(threads, parts, (fun part -> Threading.Interlocked.Increment &runs[part] |> ignore))
                          Expect.all runs ((=) 1) $"{threads} threads, {parts} parts")

          testCase "an exception in a part reaches the caller, and the other parts have run" (fun () ->
              for team, threads in List.allPairs [ ParallelFor.ThreadPool; ParallelFor.Workers ] [ 1; 2; 3 ] do
                  let ran: int[] = [| 0 |]

                  let fail () =
                      team.Run(
                          threads,
                          8,
                          fun part ->
                              if part = 7 then
                                  invalidOp "part 7"

                              Threading.Interlocked.Increment &ran[0] |> ignore
                      )

                  let e = Expect.throwsC fail id
                  Expect.stringContains (string e) "part 7" "the exception"
                  Expect.equal ran[0] 7 "the others") ]
