namespace SparseFs.Tests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs
open SparseFs.Testing

/// Tests of a distribution. Seeds are fixed, so that a test either always passes or always fails; a good generator fails
/// one of 5,000 such tests when it is written, and none later.
module Statistics =

    /// Quantile of chi-square: Wilson and Hilferty, "The distribution of chi-square", PNAS 17, 1931, 684-688.
    let private quantile (freedom: int) (z: float) =
        let k = float freedom
        k * Math.Pow(1.0 - 2.0 / (9.0 * k) + z * sqrt (2.0 / (9.0 * k)), 3.0)

    /// Pearson's chi-square at significance 1e-4 on each side: too far from the expected counts, or too near.
    let fits (what: string) (expected: float[]) (observed: int[]) =
        Expect.isTrue (expected |> Array.forall (fun e -> e >= 5.0)) $"{what}: at least 5 expected in each bin"
        Expect.equal observed.Length expected.Length $"{what}: bins"

        let chiSquare =
            Array.map2 (fun e (o: int) -> (float o - e) * (float o - e) / e) expected observed
            |> Array.sum

        let freedom = observed.Length - 1
        Expect.isLessThan chiSquare (quantile freedom 3.719) $"{what}: the counts differ too much"

        if freedom >= 15 then
            Expect.isGreaterThan chiSquare (quantile freedom -3.719) $"{what}: the counts are too even"

    /// As fits, all bins being equally likely.
    let isUniform (what: string) (observed: int[]) =
        let each = float (Array.sum observed) / float observed.Length
        fits what (Array.create observed.Length each) observed

    /// How many of n values fall in each bin.
    let count (bins: int) (n: int) (bin: int -> int) : int[] =
        let counts = Array.zeroCreate bins

        for i in 0 .. n - 1 do
            counts[bin i] <- counts[bin i] + 1

        counts

    /// What a generator draws, the same in every run: whether it reaches a corner is no matter of luck.
    let sample (n: int) (gen: Gen<'a>) : 'a[] =
        Gen.sampleWithSeed (Rnd 2026UL) 100 n gen

module SeedTests =

    open Statistics

    let private law name arb (body: 'a -> unit) =
        testProperty name (Prop.forAll arb body)

    let private draws (n: int) (seed: Seed) =
        Array.init n (fun i -> Seed.bitsAt (int64 i) seed)

    /// Bin of two draws: four bits of each.
    let private pair (shift: int) (a: uint64) (b: uint64) =
        int ((a >>> shift) &&& 15UL) * 16 + int ((b >>> shift) &&& 15UL)

    /// Two streams look unrelated: pairs of draws at low, middle and high bits, and the bits in which they differ.
    let private areUnrelated (what: string) (n: int) (a: int -> uint64) (b: int -> uint64) =
        for shift in [ 0; 30; 60 ] do
            isUniform $"{what}, pairs at bit {shift}" (count 256 n (fun i -> pair shift (a i) (b i)))

        for bit in 0..63 do
            let differs = count 2 n (fun i -> int (((a i ^^^ b i) >>> bit) &&& 1UL))
            isUniform $"{what}, bit {bit} differs half the time" differs

    /// SplitMix64 as its authors publish it, a state that each draw moves on, in numbers that cannot overflow.
    let private splitMix (state: bigint) (n: int) : uint64 list =
        let word = bigint.Pow(2I, 64)
        let shifted (z: bigint) (bits: int) = (z ^^^ (z >>> bits)) % word

        let mix z =
            let z = shifted z 30 * 13787848793156543929I % word
            let z = shifted z 27 * 10723151780598845931I % word
            shifted z 31

        [ for i in 1..n -> uint64 (mix ((state + bigint i * 11400714819323198485I) % word)) ]

    let private anyInt64 = Arb.fromGen (Gen.choose64 (Int64.MinValue, Int64.MaxValue))

    /// 1, both sides of every power of two up to 2^62, the largest bound, and bounds in between.
    let private bounds =
        let nearPower =
            gen {
                let! power = Gen.choose (1, 62)
                let! offset = Gen.choose (-1, 1)
                return max 1L ((1L <<< power) + int64 offset)
            }

        Gen.frequency
            [ 1, Gen.elements [ 1L; Int64.MaxValue ]
              3, nearPower
              2, Gen.choose64 (1L, Int64.MaxValue)
              2, Gen.choose64 (1L, 1000L) ]

    let private below (bound: int64) (n: int) (seed: Seed) =
        let draws = Draws seed
        Array.init n (fun _ -> draws.Below bound)

    [<Tests>]
    let seeds =
        testList
            "Seed"
            [ law
                  "equal numbers give equal seeds, whether int or int64"
                  (Arb.fromGen (Gen.choose (-99999, 99999)))
                  (fun n ->
                      Expect.equal (Seed.ofInt n) (Seed.ofInt n) "again"
                      Expect.equal (Seed.ofInt n) (Seed.ofInt64 (int64 n)) "int64")

              law "a seed's text is the number that it was made from, also at the ends" anyInt64 (fun n ->
                  for n in [ n; -1L; 0L; System.Int64.MaxValue; System.Int64.MinValue ] do
                      Expect.equal
                          (Seed.text (Seed.ofInt64 n))
                          (n.ToString System.Globalization.CultureInfo.InvariantCulture)
                          "text")

              law
                  "a child's text is no number, but what it is"
                  (Arb.zip (anyInt64, Arb.fromGen (Gen.choose (0, 99))))
                  (fun (n, i) ->
                      let child = Seed.child i (Seed.ofInt64 n)
                      Expect.equal (Seed.text child) (string child) "text")

              law
                  "a seed is printed as what makes it, by ToString and by %A"
                  (Arb.zip (anyInt64, Arb.fromGen (Gen.choose (0, 99))))
                  (fun (n, i) ->
                      let readBack (text: string) : Seed =
                          let words = text.Split ' '

                          match words[0] with
                          | "Seed.ofInt" -> Seed.ofInt (int words[1])
                          | "Seed.ofInt64" -> Seed.ofInt64 (int64 (words[1].TrimEnd 'L'))
                          | "Seed.ofWords" ->
                              let word (text: string) =
                                  System.Convert.ToUInt64(text.Replace("UL", ""), 16)

                              Seed.ofWords (word words[1]) (word words[2])
                          | other -> failtest $"expected one of three functions, got {other}"

                      let seed = Seed.ofInt64 n
                      let first, second = Seed.split seed

                      for seed in [ seed; Seed.child i seed; first; second; Seed.ofInt (int n) ] do
                          Expect.equal (readBack (string seed)) seed $"ToString: {seed}"
                          Expect.equal (sprintf "%A" seed) (string seed) "%A")

              testCase "a small number is an int's, and C#'s default is 0's" (fun () ->
                  for text, seed in
                      [ "Seed.ofInt 3", Seed.ofInt 3
                        "Seed.ofInt -3", Seed.ofInt64 -3L
                        "Seed.ofInt64 2147483648L", Seed.ofInt64 2147483648L
                        "Seed.ofInt 0", Unchecked.defaultof<Seed>
                        "Seed.ofWords 0x669BB27A971CD2E4UL 0x82CEA35F8FE6ADF1UL", Seed.child 1 (Seed.ofInt 3) ] do
                      Expect.equal (string seed) text "ToString"

                  Expect.equal (sprintf "%A" (Some(Seed.ofInt 3))) "Some Seed.ofInt 3" "in an option")

              testCase "an even second word makes no seed" (fun () ->
                  let refused =
                      Expect.throwsC (fun () -> Seed.ofWords 1UL 2UL |> ignore) (fun e ->
                          e :?> System.ArgumentException)

                  Expect.equal refused.ParamName "gamma" "the argument"
                  Expect.stringContains refused.Message "0x0000000000000002UL" "what came")

              law "other numbers give other seeds" (Arb.zip (anyInt64, anyInt64)) (fun (a, b) ->
                  Expect.equal (Seed.ofInt64 a = Seed.ofInt64 b) (a = b) "seed"
                  Expect.equal (draws 2 (Seed.ofInt64 a) = draws 2 (Seed.ofInt64 b)) (a = b) "draws")

              law "a draw depends on its index alone, not on the draws before it" Generators.seed (fun seed ->
                  let forth = [ for i in 0L .. 20L -> Seed.bitsAt i seed ]
                  let back = [ for i in 0L .. 20L -> Seed.bitsAt (20L - i) seed ]
                  Expect.equal (List.rev back) forth "in reverse")

              law "a child and a split depend on the parent alone" Generators.seed (fun seed ->
                  let before = Seed.child 3 seed
                  draws 10 seed |> ignore
                  Expect.equal (Seed.child 3 seed) before "child"
                  Expect.equal (Seed.split seed) (Seed.child 0 seed, Seed.child 1 seed) "split")

              law "a number's draws are SplitMix64's, from its mixed state" anyInt64 (fun n ->
                  // Draw 0 of state s is mix (s + gamma): going one gamma back gives mix n itself.
                  let word = bigint.Pow(2I, 64)
                  let from = ((bigint n - 11400714819323198485I) % word + word) % word
                  let state = bigint (List.head (splitMix from 1))
                  Expect.equal (List.ofArray (draws 5 (Seed.ofInt64 n))) (splitMix state 5) "draws")

              testCase "the draws of seed 0 are the published ones of SplitMix64" (fun () ->
                  let published =
                      [| 0xE220A8397B1DCDAFUL
                         0x6E789E6AA1B965F4UL
                         0x06C45D188009454FUL
                         0xF88BB8A8724C81ECUL |]

                  Expect.equal (draws 4 (Seed.ofInt 0)) published "first four")

              testCase "streams are pinned: a change of them would change every saved topology" (fun () ->
                  let first (seed: Seed) = Seed.bitsAt 0L seed
                  let left, right = Seed.split (Seed.ofInt 42)

                  let pinned =
                      [ "ofInt 42", first (Seed.ofInt 42), 0x989B3F130A063869UL
                        "ofInt -1", first (Seed.ofInt -1), 0xA577782BC52A9F5AUL
                        "draw 2^40 of ofInt 42", Seed.bitsAt (1L <<< 40) (Seed.ofInt 42), 0xADF02FA554E5373CUL
                        "child 7", first (Seed.child 7 (Seed.ofInt 42)), 0x4A4BA3F8D96CA83CUL
                        "child 0 of child 1",
                        first (Seed.ofInt 42 |> Seed.child 1 |> Seed.child 0),
                        0xCCA3953CC794DA8CUL
                        "left", first left, 0x4FCD7FD049B7D588UL
                        "right", first right, 0x48552EA82E19AFF5UL ]

                  for what, actual, expected in pinned do
                      Expect.equal actual expected what

                  Expect.equal (below 10L 8 (Seed.ofInt 42)) [| 5L; 1L; 1L; 0L; 9L; 2L; 2L; 1L |] "below 10")

              testCase "a parent, its children and theirs share no draw" (fun () ->
                  let root = Seed.ofInt 5
                  let children = [| for i in 0..99 -> Seed.child i root |]
                  let family = Array.concat [ children; children |> Array.map (Seed.child 0) ]
                  let all = family |> Array.collect (draws 100)
                  Expect.equal (Array.distinct all).Length all.Length "distinct"
                  Expect.equal (Array.distinct family).Length family.Length "seeds")

              testCase "each bit of a stream is fair, and so are pairs of neighbouring draws" (fun () ->
                  for seed in [ Seed.ofInt 1; Seed.child 0 (Seed.ofInt 1); Seed.ofInt64 Int64.MinValue ] do
                      let at i = Seed.bitsAt (int64 i) seed
                      isUniform "low byte" (count 256 20000 (fun i -> int (at i &&& 255UL)))
                      isUniform "high byte" (count 256 20000 (fun i -> int (at i >>> 56)))
                      areUnrelated "neighbouring draws" 20000 at (fun i -> at (i + 1)))

              testCase "the two halves of a split are unrelated" (fun () ->
                  let left, right = Seed.split (Seed.ofInt 2)

                  areUnrelated "split" 20000 (fun i -> Seed.bitsAt (int64 i) left) (fun i ->
                      Seed.bitsAt (int64 i) right))

              testCase "neighbouring children are unrelated" (fun () ->
                  let first i =
                      Seed.bitsAt 0L (Seed.child i (Seed.ofInt 3))

                  isUniform "first draws" (count 256 20000 (fun i -> int (first i &&& 255UL)))
                  areUnrelated "children" 20000 first (fun i -> first (i + 1)))

              testCase "a child is unrelated to its parent" (fun () ->
                  let parent = Seed.ofInt 4
                  let child = Seed.child 0 parent

                  areUnrelated "child" 20000 (fun i -> Seed.bitsAt (int64 i) parent) (fun i ->
                      Seed.bitsAt (int64 i) child))

              testCase "neighbouring numbers give unrelated seeds" (fun () ->
                  let first i = Seed.bitsAt 0L (Seed.ofInt i)
                  isUniform "first draws" (count 256 20000 (fun i -> int (first i &&& 255UL)))
                  areUnrelated "numbers" 20000 first (fun i -> first (i + 1))) ]

    [<Tests>]
    let bounded =
        testList
            "Draws"
            [ law "Next walks the draws in order" Generators.seed (fun seed ->
                  let walk = Draws seed
                  Expect.equal (Array.init 10 (fun _ -> walk.Next())) (draws 10 seed) "walk")

              law "Below stays in 0 .. bound - 1" (Arb.zip (Arb.fromGen bounds, Generators.seed)) (fun (bound, seed) ->
                  for x in below bound 20 seed do
                      Expect.isTrue (0L <= x && x < bound) $"{x} below {bound}")

              law "Below 1 is 0" Generators.seed (fun seed -> Expect.equal (below 1L 5 seed) (Array.zeroCreate 5) "0")

              testCase "Below reaches both ends of a small range" (fun () ->
                  for bound in 1L .. 20L do
                      let seen = below bound 2000 (Seed.ofInt 6) |> set
                      Expect.equal seen (set [ 0L .. bound - 1L ]) $"all below {bound}")

              testCase "Below is uniform for bounds that are no powers of two" (fun () ->
                  for bound in [ 2; 3; 5; 6; 7; 10; 100; 1000; 1023 ] do
                      let drawn = below (int64 bound) 50000 (Seed.child bound (Seed.ofInt 7))
                      isUniform $"below {bound}" (count bound 50000 (fun i -> int drawn[i])))

              testCase "pairs of neighbouring draws of Below are uniform" (fun () ->
                  let drawn = below 13L 50001 (Seed.ofInt 8)
                  isUniform "pairs" (count 169 50000 (fun i -> int (drawn[i] * 13L + drawn[i + 1]))))

              testCase "Below rejects what would favour some values of a large range" (fun () ->
                  // Of 2^64 words a share of 2^64 / bound falls on each value. Without rejection values 0, 1 and 2 of each
                  // three would get 6, 5 and 5 words of 16 at 3·2^60, and 3, 3 and 2 of 8 at 3·2^61.
                  for bound in [ 3L <<< 60; 3L <<< 61; (3L <<< 60) - 3L ] do
                      let drawn = below bound 50000 (Seed.ofInt 9)
                      isUniform $"modulo 3 of {bound}" (count 3 50000 (fun i -> int (drawn[i] % 3L)))

                  for bound in [ (1L <<< 62) - 1L; (1L <<< 62) + 1L; Int64.MaxValue ] do
                      let drawn = below bound 50000 (Seed.ofInt 10)

                      isUniform
                          $"sixteenths of {bound}"
                          (count 16 50000 (fun i -> int (drawn[i] / (bound / 16L + 1L)))))

              testCase "the bounds that are drawn reach 1, powers of two, their neighbours and 2^62" (fun () ->
                  let drawn = sample 2000 bounds |> set

                  for expected in [ 1L; 2L; 3L; 4L; (1L <<< 62) - 1L; 1L <<< 62; Int64.MaxValue ] do
                      Expect.isTrue (drawn.Contains expected) $"not vacuous: {expected}") ]
