/// Inputs of the operations: any pattern, any batch, numbers of both signs.
module SparseFs.Tests.Cases

open System
open FsCheck
open FsCheck.FSharp
open Expecto
open SparseFs
open SparseFs.Testing

type Case =
    { Pattern: Connectivity
      N: int
      Values: float32[]
      Bias: float32[]
      X: float32[,]
      G: float32[,] }

    override c.ToString() = $"{c.Pattern}, N = {c.N}"

let private numbers (random: Random) (length: int) =
    Array.init length (fun _ -> 2.0f * random.NextSingle() - 1.0f)

let private matrix (random: Random) (rows: int) (cols: int) =
    Array2D.init rows cols (fun _ _ -> 2.0f * random.NextSingle() - 1.0f)

let make (pattern: Connectivity) (n: int) (seed: int) : Case =
    let random = Random seed

    { Pattern = pattern
      N = n
      Values = numbers random pattern.Nnz
      Bias = numbers random pattern.Rows
      X = matrix random n pattern.Cols
      G = matrix random n pattern.Rows }

/// Every tail of vectors of 4, 8 and 16 samples, of tiles of 16 to 64 and of one vector more, and of two tiles.
let batches =
    [ 0
      1
      2
      3
      4
      5
      7
      8
      9
      15
      16
      17
      20
      21
      31
      32
      33
      40
      41
      48
      63
      64
      65
      73
      80
      81
      100
      128
      131 ]

/// Groups that the kernels take together, groups that they do not, and a last group of fewer rows, in half of them.
let private patterns: Gen<Connectivity> =
    Gen.oneof
        [ Generators.connectivity.Generator
          Generators.rowGroups.Generator |> Gen.map snd ]

let private shrinkPattern (c: Connectivity) : Connectivity seq =
    let size = Connectivity.rowGroupSize c

    if size = 1 then
        Generators.connectivity.Shrinker c
    else
        Generators.rowGroups.Shrinker(size, c) |> Seq.map snd

let cases: Arbitrary<Case> =
    let draw =
        gen {
            let! pattern = patterns
            let! n = Gen.elements batches
            let! seed = Gen.choose (0, 1_000_000)
            return make pattern n seed
        }

    let shrink (c: Case) =
        seq {
            for pattern in shrinkPattern c.Pattern do
                make pattern c.N 1

            for n in batches do
                if n < c.N then
                    make c.Pattern n 1
        }

    Arb.fromGenShrink (draw, shrink)

let law name (count: int) (body: Case -> unit) =
    testPropertyWithConfig
        { FsCheckConfig.defaultConfig with
            maxTest = count }
        name
        (Prop.forAll cases body)

/// A shape that threads can split.
let wide (n: int) : Case =
    let pattern = Topology.uniform 300 200 9_000 (Seed.ofInt 7)
    make pattern n 11

/// The same in groups of so many rows, which do not divide the rows evenly.
let wideGroups (group: int) (n: int) : Case =
    make (Topology.rowGroups group 301 200 9_000 (Seed.ofInt 7)) n 11

/// Shapes that threads can split: without groups, and with those that the kernels take together.
let shared: (string * (int -> Case)) list =
    [ "", wide
      ", groups of 2", wideGroups 2
      ", groups of 4", wideGroups 4
      ", groups of 6", wideGroups 6 ]

/// Fails with the first number that is further from the wanted one than its bound.
let expectWithin (what: string) (bound: float[]) (wanted: float[]) (got: float32[]) =
    Expect.equal got.Length wanted.Length $"{what}: length"

    for i in 0 .. wanted.Length - 1 do
        let error = abs (float got[i] - wanted[i])

        if not (error <= bound[i]) then
            failtest $"{what}[{i}]: expected {wanted[i]} within {bound[i]}, got {got[i]}"

/// Row-major elements.
let flat (m: 'a[,]) : 'a[] = Seq.cast<'a> m |> Array.ofSeq

/// The wanted result of each operation and how far rounding may lead a float32 sum away from it.
module Wanted =

    let private absolute = Array.map (fun (v: float32) -> abs (float v))
    let private wide = Array.map float
    let private wideM = Array2D.map (fun (v: float32) -> float v)
    let private absoluteM = Array2D.map (fun (v: float32) -> abs (float v))

    // A sum over k slots: k products, and one more term for the bias.
    let private bounds (terms: int) (sums: float[]) =
        sums
        |> Array.map (fun sum -> Oracle.gamma Oracle.float32Roundoff (terms + 2) * sum)

    let private most (counts: int[]) = Array.fold max 0 counts

    let spmm (c: Case) : float[] * float[] =
        let addBias (bias: float[]) (y: float[,]) =
            Array2D.mapi (fun _ r v -> v + bias[r]) y |> flat

        let wanted = Oracle.spmm Oracle.floats c.Pattern (wide c.Values) (wideM c.X)
        let size = Oracle.spmm Oracle.floats c.Pattern (absolute c.Values) (absoluteM c.X)
        let terms = most (Connectivity.fanIn c.Pattern)
        bounds terms (addBias (absolute c.Bias) size), addBias (wide c.Bias) wanted

    let spmmT (c: Case) : float[] * float[] =
        let wanted = Oracle.spmmT Oracle.floats c.Pattern (wide c.Values) (wideM c.G)
        let size = Oracle.spmmT Oracle.floats c.Pattern (absolute c.Values) (absoluteM c.G)
        bounds (most (Connectivity.fanOut c.Pattern)) (flat size), flat wanted

    let sddmm (c: Case) : float[] * float[] =
        let wanted = Oracle.sddmm Oracle.floats c.Pattern (wideM c.G) (wideM c.X)
        let size = Oracle.sddmm Oracle.floats c.Pattern (absoluteM c.G) (absoluteM c.X)
        bounds c.N size, wanted

    /// The sums of g over its samples.
    let biasGradient (c: Case) : float[] * float[] =
        let over (g: float[,]) =
            Array.init c.Pattern.Rows (fun r -> Array.sum g[*, r])

        bounds c.N (over (absoluteM c.G)), over (wideM c.G)
