module SparseFs.Tests.DropoutTests

#nowarn "9"

open System
open Expecto
open FsCheck.FSharp
open SparseFs
open SparseFs.Kernels
open SparseFs.Tests.Guarded

/// What a place is multiplied by, in the plainest words.
let internal factor (d: DropoutDraw) (place: int64) : float32 =
    let mixed (x: uint32) =
        let x = (x ^^^ (x >>> 16)) * 0x21F0AAADu
        let x = (x ^^^ (x >>> 15)) * 0xD35A2D97u
        x ^^^ (x >>> 15)

    let high = uint32 (d.Key >>> 32) + mixed (uint32 (uint64 place >>> 32))
    let draw = mixed (mixed (uint32 place ^^^ uint32 d.Key) + high) >>> 8
    if int draw >= d.Dropping then d.Scale else 0.0f

let private computed (threads: int) (d: DropoutDraw) (x: float32[]) : float32[] =
    let from, into = new Guarded(x), new Guarded(Array.create x.Length nanf)

    try
        CpuDropout.run (CpuSpmm.machineOf CpuSpmm.widest threads) d (int64 x.Length) from.Address into.Address
        into.CheckMargins "y"
        into.Values
    finally
        (from :> IDisposable).Dispose()
        (into :> IDisposable).Dispose()

let private numbers (seed: int) (count: int) =
    let random = Random seed
    Array.init count (fun _ -> 2.0f * random.NextSingle() - 1.0f)

[<Tests>]
let dropoutTests =
    testList
        "Dropout"
        [ testProperty
              "each number is multiplied by its own factor, whatever the threads, and wherever the numbers begin"
              (Prop.forAll (Arb.fromGen (Gen.choose (0, Int32.MaxValue))) (fun seed ->
                  let random = Random seed
                  let x = numbers seed (random.Next 20_000)
                  let d = DropoutDraw.Of(Seed.ofInt seed, random.NextDouble())
                  let expected = x |> Array.mapi (fun i x -> x * factor d (int64 i))

                  for threads in 1..3 do
                      Expect.equal (computed threads d x) expected $"{threads} threads"

                  // Places whose upper half changes within the numbers.
                  let first = 0x2_0000_0000L - int64 (random.Next 100)
                  let some = Array.truncate 300 x
                  use own = new Guarded(some)
                  Dropout.apply d first some.Length own.Address own.Address

                  Expect.equal
                      own.Values
                      (some |> Array.mapi (fun i x -> x * factor d (first + int64 i)))
                      "in place, from a far place on"))

          test "a part is dropped, of all numbers and of each residue; what is kept makes up for it" {
              let n = 1_000_000

              for part in [ 0.01; 0.1; 0.5; 0.9 ] do
                  for seed in 1..5 do
                      let y = computed 1 (DropoutDraw.Of(Seed.ofInt seed, part)) (Array.create n 1.0f)
                      let expected = float32 (1.0 / (1.0 - part))
                      Expect.isTrue (y |> Array.forall (fun y -> y = 0.0f || y = expected)) $"{part}: two numbers"

                      for residue in 0..8 do
                          let own =
                              if residue = 8 then
                                  y
                              else
                                  y
                                  |> Array.indexed
                                  |> Array.filter (fun (i, _) -> i % 8 = residue)
                                  |> Array.map snd

                          let dropped = own |> Array.filter (fun y -> y = 0.0f) |> Array.length
                          // Six standard deviations of a binomial: one of 10⁹ draws is farther off.
                          let most = 6.0 * sqrt (float own.Length * part * (1.0 - part))

                          Expect.isLessThanOrEqual
                              (abs (float dropped - part * float own.Length))
                              most
                              $"{part}, seed {seed}, residue {residue}"
          }

          test "draws of neighbouring places, and of two seeds, are no more alike than independent ones" {
              let n = 1_000_000

              let isKept seed =
                  computed 1 (DropoutDraw.Of(Seed.ofInt seed, 0.5)) (Array.create n 1.0f)
                  |> Array.map (fun y -> y > 0.0f)

              let expectIndependent (a: bool[]) (b: bool[]) what =
                  let alike = Array.fold2 (fun count a b -> if a = b then count + 1 else count) 0 a b

                  Expect.isLessThanOrEqual
                      (abs (float alike - 0.5 * float a.Length))
                      (6.0 * sqrt (0.25 * float a.Length))
                      what

              let first = isKept 1

              for step in [ 1; 2; 8; 64; 384; 4096 ] do
                  expectIndependent first[step..] first[.. n - step - 1] $"{step} places apart"

              for seed in 2..6 do
                  expectIndependent first (isKept seed) $"seeds 1 and {seed}"
          }

          test "nothing is dropped at 0, all at 1; NaN stays" {
              let x = numbers 1 100
              Expect.equal (computed 1 (DropoutDraw.Of(Seed.ofInt 1, 0.0)) x) x "0"
              Expect.all (computed 1 (DropoutDraw.Of(Seed.ofInt 1, 1.0)) x) (fun y -> y = 0.0f) "1"
              Expect.all (computed 1 (DropoutDraw.Of(Seed.ofInt 1, 0.5)) (Array.create 100 nanf)) Single.IsNaN "NaN"
          } ]
