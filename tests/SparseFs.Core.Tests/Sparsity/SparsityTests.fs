module SparseFs.Tests.SparsityTests

open System
open System.Numerics
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs
open SparseFs.Testing

let private law name arb (body: 'a -> unit) =
    testProperty name (Prop.forAll arb body)

/// A sparsity as the exact decimal Digits / 10^Places, below 1.
type private Written =
    { Digits: int64
      Places: int }

    member d.Scale = BigInteger.Pow(10I, d.Places)

    member d.Float =
        Double.Parse($"{d.Digits}e-{d.Places}", Globalization.CultureInfo.InvariantCulture)

    /// (1 - sparsity) · cells, times Scale.
    member d.Scaled(cells: BigInteger) = (d.Scale - BigInteger d.Digits) * cells

/// What a person writes (0.9, 0.95), what makes ties (halves, fifths), and up to 15 digits.
let private decimals: Gen<Written> =
    gen {
        let! places = Gen.frequency [ 4, Gen.choose (1, 3); 1, Gen.choose (4, 15) ]
        let! digits = Gen.choose64 (0L, pown 10L places - 1L)
        return { Digits = digits; Places = places }
    }

let private shapes: Gen<int * int> =
    Gen.frequency
        [ 1, Gen.elements [ 0, 0; 0, 7; 7, 0; 1, 1 ]
          4, Gen.zip (Gen.choose (0, 60)) (Gen.choose (0, 60))
          2, Gen.zip (Gen.choose (0, 46340)) (Gen.choose (0, 46340)) ]

let private cellsOf (rows: int, cols: int) = BigInteger rows * BigInteger cols

/// numerator / denominator, rounded half to even, in whole numbers alone.
let private halfToEven (numerator: BigInteger) (denominator: BigInteger) =
    let floor = numerator / denominator
    let twice = 2I * (numerator - floor * denominator)

    if twice > denominator || (twice = denominator && not floor.IsEven) then
        floor + 1I
    else
        floor

let private isTie (d: Written) (cells: BigInteger) =
    2I * d.Scaled cells % (2I * d.Scale) = d.Scale

/// Largest remainders, one slot at a time to the first layer that lacks most.
let private allocate (d: Written) (layers: (int * int)[]) =
    let wanted = layers |> Array.map (cellsOf >> d.Scaled)
    let counts = wanted |> Array.map (fun w -> w / d.Scale)
    let budget = halfToEven (Array.sum wanted) d.Scale

    while Array.sum counts < budget do
        let lacks = Array.map2 (fun w c -> w - c * d.Scale) wanted counts
        let layer = Array.findIndex (fun l -> l = Array.max lacks) lacks
        counts[layer] <- counts[layer] + 1I

    counts

let private layers: Arbitrary<Written * (int * int)[]> =
    let shrink (d, shapes: _[]) =
        seq { for i in 0 .. shapes.Length - 1 -> d, Array.removeAt i shapes }

    Arb.fromGenShrink (Gen.zip decimals (Gen.choose (0, 8) |> Gen.bind (fun n -> Gen.arrayOfLength n shapes)), shrink)

let private one = Arb.fromGen (Gen.zip decimals shapes)

let private refuses (paramName: string) (says: string list) (action: unit -> unit) =
    try
        action ()
        failtest $"expected an ArgumentOutOfRangeException for {paramName}, got none"
    with :? ArgumentOutOfRangeException as e ->
        Expect.equal e.ParamName paramName "ParamName"

        for part in says do
            Expect.stringContains e.Message part "message"

let private uniformly (sparsity: float) (shapes: (int * int)[]) : int[] =
    SparsityDistribution.counts
        SparsityDistribution.Uniform
        [||]
        sparsity
        [| for rows, cols in shapes -> [| rows; cols |] |]

[<Tests>]
let sparsity =
    testList
        "Sparsity"
        [ law
              "nnz is (1 - sparsity) · rows · cols in exact decimals, rounded half to even"
              one
              (fun (d, (rows, cols)) ->
                  let expected = halfToEven (d.Scaled(cellsOf (rows, cols))) d.Scale
                  Expect.equal (BigInteger(Sparsity.nnz rows cols d.Float)) expected "nnz")

          testCase "the drawn sparsities and shapes reach ties, large shapes and shapes without a cell" (fun () ->
              let drawn = Statistics.sample 2000 (Gen.zip decimals shapes)

              let reaches what holds =
                  Expect.isTrue (Array.exists holds drawn) $"not vacuous: {what}"

              reaches "a tie" (fun (d, shape) -> isTie d (cellsOf shape))

              reaches "a tie of an odd count" (fun (d, s) ->
                  isTie d (cellsOf s) && not (d.Scaled(cellsOf s) / d.Scale).IsEven)

              reaches "a billion cells" (fun (_, shape) -> cellsOf shape > 1000000000I)
              reaches "no cell" (fun (_, shape) -> (cellsOf shape).IsZero)
              reaches "15 digits" (fun (d, _) -> d.Places = 15))

          testCase "a tie goes to the even count" (fun () ->
              let cases =
                  [ (1, 5), 0.9, 0 // half a slot
                    (3, 5), 0.9, 2 // one and a half
                    (5, 5), 0.9, 2 // two and a half
                    (5, 7), 0.9, 4 // three and a half
                    (1, 1), 0.5, 0
                    (1, 3), 0.5, 2
                    (1, 10), 0.95, 0
                    (2, 15), 0.95, 2
                    (2, 125), 0.99, 2 ]

              for (rows, cols), sparsity, expected in cases do
                  Expect.equal (Sparsity.nnz rows cols sparsity) expected $"[{rows}, {cols}] at {sparsity}")

          testCase "a tie is a tie however near to 1 the sparsity is" (fun () ->
              // 1 - 0.99999999 in binary floats is 9.9999999392e-9: a little less than a tie.
              Expect.equal (Sparsity.nnz 15000 10000 0.99999999) 2 "one and a half"
              Expect.equal (Sparsity.nnz 25000 10000 0.99999999) 2 "two and a half")

          testCase "sparsity 0 keeps every cell, and what is near 1 keeps few or none" (fun () ->
              Expect.equal (Sparsity.nnz 30 40 0.0) 1200 "0"
              Expect.equal (Sparsity.nnz 30 40 -0.0) 1200 "-0"
              Expect.equal (Sparsity.nnz 30 40 Double.Epsilon) 1200 "the smallest number"
              Expect.equal (Sparsity.nnz 30 40 0.999999999999999) 0 "near 1"
              Expect.equal (Sparsity.nnz 30 40 (Math.BitDecrement 1.0)) 0 "next to 1"
              Expect.equal (Sparsity.nnz 1000000 1000000 0.999999999999) 1 "one slot in 10^12 cells"
              Expect.equal (Sparsity.nnz 0 40 0.5) 0 "no rows"
              Expect.equal (Sparsity.nnz 30 0 0.5) 0 "no columns")

          testCase "a sparsity outside [0, 1) is refused by name" (fun () ->
              let wrong =
                  [ Double.NaN
                    1.0
                    1.5
                    -0.1
                    -Double.Epsilon
                    Double.PositiveInfinity
                    Double.NegativeInfinity ]

              for sparsity in wrong do
                  refuses "sparsity" [ "[0, 1)" ] (fun () -> Sparsity.nnz 3 4 sparsity |> ignore)
                  refuses "sparsity" [ "[0, 1)" ] (fun () -> uniformly sparsity [| 3, 4 |] |> ignore)
                  refuses "sparsity" [ "[0, 1)" ] (fun () -> uniformly sparsity [||] |> ignore))

          testCase "a negative size is refused by name" (fun () ->
              refuses "rows" [ "0.."; "-1" ] (fun () -> Sparsity.nnz -1 4 0.5 |> ignore)
              refuses "cols" [ "0.."; "-2" ] (fun () -> Sparsity.nnz 4 -2 0.5 |> ignore)
              refuses "rows" [ "0.."; "-1" ] (fun () -> Sparsity.ofNnz -1 4 0 |> ignore)
              refuses "cols" [ "0.."; "-2" ] (fun () -> Sparsity.ofNnz 4 -2 0 |> ignore))

          testCase "2^31 - 1 slots are legal, one more is refused" (fun () ->
              Expect.equal (Sparsity.nnz 1 (Array.MaxLength - 1) 0.0) (Array.MaxLength - 1) "one row"
              Expect.equal (Sparsity.nnz 65536 65536 0.5000000005) 2147483646 "just below"
              refuses "sparsity" [ "2147483647"; "2147483648" ] (fun () -> Sparsity.nnz 65536 32768 0.0 |> ignore)
              refuses "sparsity" [ "2147483647"; "2147483648" ] (fun () -> Sparsity.nnz 65536 65536 0.5 |> ignore)

              refuses "sparsity" [] (fun () -> Sparsity.nnz (Array.MaxLength - 1) (Array.MaxLength - 1) 0.0 |> ignore)

              refuses "sparsity" [ "layer 1" ] (fun () -> uniformly 0.0 [| 1, 1; 65536, 65536 |] |> ignore))

          law "ofNnz gives back the sparsity to within the rounding of nnz" one (fun (d, (rows, cols)) ->
              let nnz = Sparsity.nnz rows cols d.Float
              let back = Sparsity.ofNnz rows cols nnz

              if cellsOf (rows, cols) = 0I then
                  Expect.equal back 1.0 "no cell"
              else
                  Expect.isLessThanOrEqual
                      (abs (back - d.Float))
                      (0.5 / float (cellsOf (rows, cols)) + 1e-15)
                      "half a slot")

          law "nnz gives back the count that ofNnz was given" (Arb.fromGen shapes) (fun (rows, cols) ->
              for nnz in [ 0; 1; rows; cols; rows * cols / 3; rows * cols ] do
                  if nnz > 0 && nnz <= rows * cols then
                      Expect.equal (Sparsity.nnz rows cols (Sparsity.ofNnz rows cols nnz)) nnz $"{nnz} slots")

          testCase "ofNnz is 0 for all cells and 1 for none, and refuses a count outside 0..cells" (fun () ->
              Expect.equal (Sparsity.ofNnz 3 4 12) 0.0 "all"
              Expect.equal (Sparsity.ofNnz 3 4 0) 1.0 "none"
              Expect.equal (Sparsity.ofNnz 3 4 9) 0.25 "a quarter is absent"
              refuses "nnz" [ "0..12"; "-1" ] (fun () -> Sparsity.ofNnz 3 4 -1 |> ignore)
              refuses "nnz" [ "0..12"; "13" ] (fun () -> Sparsity.ofNnz 3 4 13 |> ignore))

          law
              "a uniform allocation gives each layer its largest remainder, ties to the lower layer"
              layers
              (fun (d, shapes) ->
                  let actual = uniformly d.Float shapes |> Array.map BigInteger
                  Expect.equal actual (allocate d shapes) "counts")

          law
              "a uniform allocation meets the budget of all cells exactly, each layer within 1 of its share"
              layers
              (fun (d, shapes) ->
                  let counts = uniformly d.Float shapes |> Array.map BigInteger
                  let wanted = shapes |> Array.map (cellsOf >> d.Scaled)
                  Expect.equal (Array.sum counts) (halfToEven (Array.sum wanted) d.Scale) "sum"

                  for count, share, shape in Array.zip3 counts wanted shapes do
                      Expect.isTrue (BigInteger.Abs(count * d.Scale - share) < d.Scale) "within 1"
                      Expect.isTrue (0I <= count && count <= cellsOf shape) "fits")

          testCase "ties between layers go to the lower one" (fun () ->
              Expect.equal (uniformly 0.9 (Array.create 4 (1, 5))) [| 1; 1; 0; 0 |] "four halves"

              Expect.equal (uniformly 0.9 (Array.create 3 (1, 5))) [| 1; 1; 0 |] "three halves: even sum"

              Expect.equal (uniformly 0.9 [| 1, 5 |]) [| 0 |] "one half"

              Expect.equal (uniformly 0.9 [| 1, 3; 1, 4; 1, 4 |]) [| 0; 1; 0 |] "the larger remainder first")

          testCase "no layers and layers without cells get nothing" (fun () ->
              Expect.equal (uniformly 0.5 [||]) [||] "no layers"
              Expect.equal (uniformly 0.5 [| 0, 9; 9, 0; 0, 0 |]) [| 0; 0; 0 |] "no cells"
              Expect.equal (uniformly 0.5 [| 0, 9; 1, 1; 1, 1 |]) [| 0; 1; 0 |] "beside others")

          testCase "budgets beyond 2^31 are met as long as each layer fits" (fun () ->
              let layer = 40000, 40000
              let counts = uniformly 0.1 (Array.create 5 layer)
              Expect.equal counts (Array.create 5 1440000000) "7.2 billion slots")

          testCase "the drawn layers reach none, some without cells, and tied remainders" (fun () ->
              let drawn = Statistics.sample 2000 layers.Generator

              let reaches what holds =
                  Expect.isTrue (Array.exists holds drawn) $"not vacuous: {what}"

              reaches "no layers" (fun (_, shapes) -> shapes.Length = 0)
              reaches "layers without cells" (fun (_, shapes) -> shapes |> Array.exists (fun s -> cellsOf s = 0I))

              reaches "an extra slot for one of two tied layers" (fun (d, shapes) ->
                  let extra =
                      Array.map2
                          (fun s c -> d.Scaled(cellsOf s) % d.Scale, c * d.Scale > d.Scaled(cellsOf s))
                          shapes
                          (allocate d shapes)

                  extra |> Array.exists (fun (r, up) -> up && Array.contains (r, false) extra))) ]
