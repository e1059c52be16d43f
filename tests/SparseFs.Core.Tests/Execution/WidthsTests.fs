module SparseFs.Tests.WidthsTests

#nowarn "9"

open System
open System.IO
open System.Runtime.Intrinsics
open System.Runtime.Intrinsics.X86
open Microsoft.FSharp.NativeInterop
open Expecto
open SparseFs
open SparseFs.Kernels

/// Numbers of few values, zeros of both signs among them.
let private numbers (seed: int) (length: int) : float32[] =
    let random = Random seed

    Array.init length (fun _ ->
        match random.Next 4 with
        | 0 -> 0.0f
        | 1 -> -0.0f
        | _ -> float32 (random.Next 9 - 4) / 3.0f)

let private bits = Array.map BitConverter.SingleToInt32Bits

let private ofWidths name (body: Width -> unit) =
    testList name [ for width in CpuSpmm.widths -> testCase $"{width}" (fun () -> body width) ]

/// Every tail of 4, 8 and 16 lanes.
let private sizes = [ 0..35 ] @ [ 63; 64; 65 ]

/// The count best of those that are not taken, ties to the lower index.
let private best (count: int) (isMagnitude: bool) (isTaken: int -> bool) (scores: float32[]) =
    [| 0 .. scores.Length - 1 |]
    |> Array.filter (fun i -> not (isTaken i))
    |> Array.sortBy (fun i -> -(if isMagnitude then abs scores[i] else scores[i]), i)
    |> Array.truncate count
    |> Array.sort
    |> Array.map int64

let private adamOf (width: Width) (slots: int) (stride: int) (decay: float32) =
    let random = Random 3
    let cohorts = Array.init slots (fun _ -> byte (max 0 (random.Next 8 - 4)))

    let tables =
        Array.init (4 * stride) (fun i -> if i % stride = 0 then 0.0f else random.NextSingle())

    let draw () =
        Array.init slots (fun _ -> random.NextSingle() - 0.5f)

    let g, w, m, v, most =
        draw (), draw (), draw (), Array.map abs (draw ()), Array.map abs (draw ())

    use gPin = fixed g
    use wPin = fixed w
    use mPin = fixed m
    use vPin = fixed v
    use mostPin = fixed most

    let x =
        { Gradient = gPin
          Weight = wPin
          Mean = mPin
          Square = vPin
          Largest = mostPin
          Sign = -1.0f
          Decay = decay }

    let team = ParallelFor.ThreadPool
    YoungMoments.adamAt width team 1 cohorts tables stride 2 x

    if stride = YoungMoments.Few then
        YoungMoments.adamMeansAt
            width
            team
            1
            cohorts
            tables
            2
            x
            { Beta1 = 0.9f
              Rest1 = 0.1f
              Beta2 = 0.999f
              Rest2 = 0.001f }

        YoungMoments.adamUpdateAt
            width
            team
            1
            slots
            vPin
            mPin
            wPin
            { Kept = 0.99f
              Correction = 0.7f
              Epsilon = 1e-3f
              Rate = -0.01f }

    bits (Array.concat [ w; m; v; most ])

[<Tests>]
let widths =
    testList
        "Widths"
        [ testCase "the machine's widths begin with one lane and end with the widest" (fun () ->
              Expect.equal (List.head Widths.ofMachine) Width.Scalar "one lane"
              Expect.equal (List.sort Widths.ofMachine) Widths.ofMachine "rising"
              Expect.equal (List.last Widths.ofMachine) Widths.widest "widest")

          ofWidths "the best of scores, those that are taken left out" (fun width ->
              for size in sizes do
                  let scores = numbers size size
                  let isTaken i = i % 5 = 1 || i % 7 = 0

                  let taken =
                      Array.init (size / 8 + 1) (fun byte8 ->
                          [ 0..7 ]
                          |> List.sumBy (fun bit -> if isTaken (8 * byte8 + bit) then 1 <<< bit else 0)
                          |> byte)

                  for isMagnitude in [ true; false ] do
                      for count in [ 0; 1; 5; size ] do
                          let top = StreamingTopK(count, width)
                          // The second row ties with all of the first, and comes later.
                          Expect.isTrue (top.Offer(scores, 0, size, taken, isMagnitude, 0L)) "finite"
                          let twice = Array.append scores scores
                          Expect.isTrue (top.Offer(twice, size, size, taken, isMagnitude, int64 size)) "finite"
                          let wanted = best count isMagnitude (fun i -> isTaken (i % max 1 size)) twice
                          Expect.equal (top.Cells()) wanted $"{count} of {size}, {isMagnitude}")

          ofWidths "a score that is not finite is told of, wherever it is and taken or not" (fun width ->
              for size in sizes do
                  for at in 0 .. size - 1 do
                      for wrong in [ nanf; infinityf; -infinityf ] do
                          let scores = numbers size size
                          scores[at] <- wrong

                          for taken in [ Array.zeroCreate<byte>(size / 8 + 1); Array.create (size / 8 + 1) 0xFFuy ] do
                              let top = StreamingTopK(3, width)

                              Expect.isFalse
                                  (top.Offer(scores, 0, size, taken, false, 0L))
                                  $"{wrong} at {at} of {size}")

          ofWidths "the first number that is not finite is found" (fun width ->
              for size in sizes do
                  Expect.equal (ScoreScan.firstNotFinite width (numbers 1 size)) size $"none of {size}"

                  for at in 0 .. size - 1 do
                      let wrong = numbers 1 size
                      wrong[at] <- if at % 2 = 0 then nanf else -infinityf
                      wrong[size - 1] <- infinityf
                      Expect.equal (ScoreScan.firstNotFinite width wrong) at $"at {at} of {size}")

          ofWidths "sums of groups are to the bit those of one lane, and write nothing else" (fun width ->
              for length in sizes do
                  let groups = 3
                  let partial = Array.map (fun x -> x * 1.1f) (numbers length (groups * length + 1))
                  let total = Array.create (length + 16) 7.0f
                  use partialPin = fixed partial
                  use totalPin = fixed total
                  KernelTable.ofWidth(width).AddGroups(groups, length, partialPin, totalPin)

                  let wanted =
                      Array.init length (fun i -> (partial[i] + partial[length + i]) + partial[2 * length + i])

                  Expect.equal (bits total[.. length - 1]) (bits wanted) $"{length}"
                  Expect.all total[length..] ((=) 7.0f) "margin")

          ofWidths "products with few inputs are to the bit those of one lane" (fun width ->
              for n in [ 1; 5; 16; 33 ] do
                  let pattern = Topology.uniform 21 37 150 (Seed.ofInt n)
                  let values, x, g = numbers 1 150, numbers 2 (n * 37), numbers 3 (n * 21)

                  let run width =
                      let machine = CpuSpmm.machineOf width 1
                      let y, d: float32[] * float32[] = Array.zeroCreate (n * 21), Array.zeroCreate 150
                      use valuesPin = fixed values
                      use xPin = fixed x
                      use gPin = fixed g
                      use yPin = fixed y
                      use dPin = fixed d
                      let plan = SpmmPlan pattern
                      CpuSparseActivations.spmm machine plan valuesPin Pointer.nothing xPin n yPin
                      CpuSparseActivations.sddmm machine plan gPin xPin n dPin
                      bits (Array.append y d)

                  Expect.equal (run width) (run Width.Scalar) $"N = {n}")

          ofWidths "moments of grown slots are to the bit those of one lane" (fun width ->
              for slots in sizes do
                  for stride in [ YoungMoments.Few; 256 ] do
                      for decay in [ 0.0f; 0.03f ] do
                          Expect.equal
                              (adamOf width slots stride decay)
                              (adamOf Width.Scalar slots stride decay)
                              $"{slots} slots, {stride}, {decay}")

          testCase "the processor's own caches are those that Linux tells" (fun () ->
              let folder = "/sys/devices/system/cpu/cpu0/cache"

              let told (level: int) =
                  [ if Directory.Exists folder && X86Base.IsSupported then
                        for index in Directory.GetDirectories(folder, "index*") do
                            let text (name: string) =
                                File.ReadAllText(Path.Combine(index, name)).Trim()

                            if text "type" <> "Instruction" && int (text "level") = level then
                                1024L * Int64.Parse((text "size").TrimEnd 'K') ]

              for level, bytes in [ 1, CacheLevels.first; 2, CacheLevels.second ] do
                  match told level with
                  | [] -> Expect.isGreaterThan bytes 0L $"level {level}, of which nobody tells"
                  | told -> Expect.equal [ bytes ] told $"level {level}")

          testCase "128 bits have the same bits by SSE as by any machine's own means" (fun () ->
              if Sse.IsSupported then
                  for seed in 1..20 do
                      let source = numbers seed 40 |> Array.mapi (fun i x -> x + 1e-3f * float32 i)
                      use src = fixed source

                      let at i =
                          Vector128.Load(NativePtr.add src (4 * i))

                      Expect.equal
                          (Shuffles128.sum4 (at 0) (at 1) (at 2) (at 3))
                          (Shuffles128.sum4OfSse (at 0) (at 1) (at 2) (at 3))
                          "sums"

                      let one, other: float32[] * float32[] = Array.zeroCreate 40, Array.zeroCreate 40
                      use onePin = fixed one
                      use otherPin = fixed other
                      Shuffles128.transpose src 5L onePin 6L
                      Shuffles128.transposeOfSse src 5L otherPin 6L
                      Expect.equal one other "transposes"
                      Expect.equal one[6 * 3 + 2] source[5 * 2 + 3] "row 2, column 3") ]
