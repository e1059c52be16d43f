/// The kernels of k-winners at each width, held to the specification to the bit.
module SparseFs.Tests.CpuTopKTests

#nowarn "9"

open System
open System.Runtime.InteropServices
open Expecto
open FsCheck
open FsCheck.FSharp
open Microsoft.FSharp.NativeInterop
open SparseFs
open SparseFs.Kernels
open SparseFs.Testing

/// A pinned copy between two margins, which nobody may write to.
type private Guarded<'a when 'a: unmanaged and 'a: equality>(values: 'a[], sentinel: 'a) =
    let margin = 80

    let room =
        Array.concat [ Array.create margin sentinel; values; Array.create margin sentinel ]

    let handle = GCHandle.Alloc(room, GCHandleType.Pinned)

    member _.Address: nativeptr<'a> =
        NativePtr.ofNativeInt (handle.AddrOfPinnedObject() + nativeint (sizeof<'a> * margin))

    member _.Values = Array.sub room margin values.Length

    member _.CheckMargins(what: string) =
        Expect.all (Array.truncate margin room) ((=) sentinel) $"{what}: margin before"
        Expect.all (Array.skip (margin + values.Length) room) ((=) sentinel) $"{what}: margin after"

    interface IDisposable with
        member _.Dispose() = handle.Free()

let private floats (values: float32[]) =
    new Guarded<float32>(values, 123456.75f)

let private ints (values: int[]) = new Guarded<int>(values, 987654321)

type private Result =
    {
        Y: float32[]
        /// Whether each element's bit is set.
        Mask: bool[]
        Wins: int[]
    }

let private bitsOf (n: int) (words: int[]) : bool[] =
    [| for word in 0 .. words.Length - 1 do
           let inRow = word % TopKRows.blocks n

           for bit in 0 .. min 31 (n - 1 - 32 * inRow) do
               (words[word] >>> bit) &&& 1 = 1 |]

let private select
    (machine: ExecutionPolicy)
    (form: Scores)
    (terms: float32[])
    (rows: int)
    (n: int)
    (k: int)
    (x: float32[])
    =
    use x = floats x
    use terms = floats terms
    use y = floats (Array.create (rows * n) nanf) // garbage that must be overwritten, never added to
    use mask = ints (Array.create (rows * TopKRows.blocks n) -1)
    use wins = ints (Array.create n -1)

    CpuTopK.select
        machine
        { X = x.Address
          Form = form
          Terms =
            (if form = Scores.Inputs then
                 NativePtr.ofNativeInt 0n
             else
                 terms.Address)
          Rows = rows
          N = n
          K = k
          Y = y.Address
          Mask = mask.Address
          Wins = wins.Address }

    y.CheckMargins "y"
    mask.CheckMargins "mask"
    wins.CheckMargins "wins"

    { Y = y.Values
      Mask = bitsOf n mask.Values
      Wins = wins.Values }

let private scoresOf (form: Scores) (terms: float32[]) (x: float32[]) : float32[] =
    match form with
    | Scores.Products -> Array.map2 (fun (x: float32) t -> x * t) x terms
    | Scores.Sums -> Array.map2 (fun (x: float32) t -> x + t) x terms
    | _ -> x

let private wanted (form: Scores) (terms: float32[]) (n: int) (k: int) (x: float32[]) : Result =
    let rows = Array.chunkBySize n x

    let winners =
        rows |> Array.map (scoresOf form terms >> Array.map float >> KWinners.winners k)

    let mask =
        winners
        |> Array.collect (fun won -> Array.init n (fun i -> Array.contains i won))

    { Y = Array.map2 (fun x isWinner -> if isWinner then x else 0.0f) x mask
      Mask = mask
      Wins = Array.init n (fun i -> winners |> Array.filter (Array.contains i) |> Array.length) }

let private expectSame (what: string) (wanted: Result) (got: Result) =
    let bits = Array.map BitConverter.SingleToInt32Bits
    Expect.equal got.Mask wanted.Mask $"{what}: mask"
    Expect.equal (bits got.Y) (bits wanted.Y) $"{what}: y, to the bit"
    Expect.equal got.Wins wanted.Wins $"{what}: wins"

let private forms =
    [ "inputs", Scores.Inputs; "products", Scores.Products; "sums", Scores.Sums ]

/// Numbers of both signs over many magnitudes, some of them equal.
let private numbers (seed: int) (length: int) : float32[] =
    let random = Random seed

    Array.init length (fun _ ->
        match random.Next 8 with
        | 0 -> 0.0f
        | 1 -> -0.0f
        | 2 -> float32 (random.Next(-3, 4))
        | _ ->
            (2.0f * random.NextSingle() - 1.0f)
            * MathF.Pow(10.0f, float32 (random.Next(-30, 30))))

/// All tails of vectors and of words of the mask.
let private lengths = [ 1..40 ] @ [ 63; 64; 65; 95; 96; 97; 127; 129; 500 ]

let private againstSpecification (width: Width) =
    testList
        $"at {width}"
        [ for name, form in forms do
              testCase $"{name}: every length is the specification's" (fun () ->
                  for n in lengths do
                      let terms = Array.init n (fun i -> 0.5f + float32 (i % 5) / 4.0f)

                      for k in List.distinct [ 1; (n + 1) / 2; n - 1; n ] |> List.filter (fun k -> k >= 1) do
                          let x = numbers (n + k) (3 * n)

                          select (CpuSpmm.machineOf width 1) form terms 3 n k x
                          |> expectSame $"n {n}, k {k}" (wanted form terms n k x))

          testProperty
              "the laws of a choice hold, ties and all"
              (KWinnersLaws.winners (fun k scores ->
                  let x = Array.map float32 scores
                  let result = select (CpuSpmm.machineOf width 1) Scores.Inputs x 1 x.Length k x
                  Array.indexed result.Mask |> Array.filter snd |> Array.map fst))

          testPropertyWithConfig
              { FsCheckConfig.defaultConfig with
                  maxTest = 300 }
              "many ties, any form: the specification's winners"
              (Prop.forAll KWinnersGenerators.selections (fun (k, scores) ->
                  let x = Array.map float32 scores
                  let n = x.Length
                  let terms = Array.init n (fun i -> float32 (1 + i % 2))

                  // An infinite score may meet no term of the other sign here, so no NaN comes about.
                  for _, form in forms do
                      select (CpuSpmm.machineOf width 1) form terms 1 n k x
                      |> expectSame $"{form}" (wanted form terms n k x)))

          testCase "NaN of either sign counts as the largest, the lower index first, and k stays exact" (fun () ->
              let negativeNaN = BitConverter.Int32BitsToSingle(0xFFC00000)

              for n in [ 5; 33; 70 ] do
                  let x = Array.init n float32
                  x[1] <- nanf
                  x[3] <- negativeNaN
                  x[n - 1] <- infinityf

                  for k in [ 1; 2; 3 ] do
                      let result = select (CpuSpmm.machineOf width 1) Scores.Inputs x 1 n k x
                      let won = Array.indexed result.Mask |> Array.filter snd |> Array.map fst
                      Expect.equal won (Array.truncate k [| 1; 3; n - 1 |]) $"n {n}, k {k}"

                  let all = Array.create n negativeNaN
                  let result = select (CpuSpmm.machineOf width 1) Scores.Inputs all 1 n 4 all
                  Expect.equal (Array.indexed result.Mask |> Array.filter snd |> Array.map fst) [| 0..3 |] "all NaN")

          testCase "the mask lets its winners' gradients through and no other, also of winners that are 0" (fun () ->
              for n in lengths do
                  let x: float32[] = Array.zeroCreate (2 * n)
                  let k = (n + 1) / 2
                  use input = floats x
                  use y = floats (Array.create (2 * n) nanf)
                  use mask = ints (Array.create (2 * TopKRows.blocks n) -1)

                  CpuTopK.select
                      (CpuSpmm.machineOf width 1)
                      { X = input.Address
                        Form = Scores.Inputs
                        Terms = NativePtr.ofNativeInt 0n
                        Rows = 2
                        N = n
                        K = k
                        Y = y.Address
                        Mask = mask.Address
                        Wins = NativePtr.ofNativeInt 0n }

                  let upstream = Array.init (2 * n) (fun i -> float32 (i + 1))
                  use u = floats upstream
                  use d = floats (Array.create (2 * n) nanf)
                  CpuTopK.keep (CpuSpmm.machineOf width 1) mask.Address u.Address 2 n d.Address
                  d.CheckMargins "d"

                  Expect.equal d.Values (upstream |> Array.mapi (fun i v -> if i % n < k then v else 0.0f)) $"n {n}") ]

[<Tests>]
let kernelTests =
    testList
        "Winners kernels"
        [ for width in CpuSpmm.widths do
              againstSpecification width

          testCase "results are the same to the bit for any width and any number of threads" (fun () ->
              for rows, n in [ 1, 700; 7, 300; 64, 129 ] do
                  let x = numbers rows (rows * n)
                  let terms = numbers 5 n |> Array.map (fun t -> 1.0f + float32 (Math.Tanh(float t)))
                  let k = n / 3
                  let first = wanted Scores.Products terms n k x

                  for width in CpuSpmm.widths do
                      for threads in [ 1; 2; 3; 8 ] do
                          select (CpuSpmm.machineOf width threads) Scores.Products terms rows n k x
                          |> expectSame $"{width}, {threads} threads, {rows} rows" first)

          testCase "no row: nothing is written but the wins, which are 0" (fun () ->
              for width in CpuSpmm.widths do
                  let result = select (CpuSpmm.machineOf width 2) Scores.Inputs [||] 0 40 3 [||]
                  Expect.equal result.Wins (Array.zeroCreate 40) "wins") ]
