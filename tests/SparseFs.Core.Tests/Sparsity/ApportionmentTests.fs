module SparseFs.Tests.ApportionmentTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs

/// What is shared out is Amount / Scale; small numbers, so that remainders tie.
type private Drawn =
    { Amount: bigint
      Scale: bigint
      Total: bigint
      Shares: bigint[]
      Capacity: bigint[] }

/// Up to all that there is room for.
let private drawn: Gen<Drawn> =
    gen {
        let! parties = Gen.choose (0, 7)
        let! shares = Gen.arrayOfLength parties (Gen.choose (0, 6))

        let! capacity =
            Gen.arrayOfLength parties (Gen.frequency [ 3, Gen.choose (0, 5); 2, Gen.choose (0, 60) ])

        let! scale = Gen.elements [ 1; 2; 10 ]
        let! amount = Gen.choose (0, scale * Array.sum capacity)

        return
            { Amount = bigint amount
              Scale = bigint scale
              Total = Rounding.halfToEven (bigint amount) (bigint scale)
              Shares = shares |> Array.map (fun n -> bigint (n: int))
              Capacity = capacity |> Array.map (fun n -> bigint (n: int)) }
    }

let private countsOf (d: Drawn) =
    Apportionment.counts d.Total d.Amount d.Scale d.Shares d.Capacity

let private law name (body: Drawn -> bigint[] -> unit) =
    testProperty name (Prop.forAll (Arb.fromGen drawn) (fun d -> body d (countsOf d)))

/// The parties that have no room left, and those that have.
let private isFull (d: Drawn) (counts: bigint[]) = Array.map2 (=) counts d.Capacity

[<Tests>]
let apportionment =
    testList
        "Apportionment"
        [ law "the counts add up to the total" (fun d counts -> Expect.equal (Array.sum counts) d.Total "sum")

          law "each count is within 0 and its capacity" (fun d counts ->
              for count, most in Array.zip counts d.Capacity do
                  Expect.isTrue (count >= 0I && count <= most) $"{count} of {most}")

          law
              "a larger share gets no less, an equal one no less at a lower index, where there is as much room"
              (fun d counts ->
                  for a in 0 .. counts.Length - 1 do
                      for b in 0 .. counts.Length - 1 do
                          if
                              d.Capacity[a] >= d.Capacity[b]
                              && (d.Shares[a] > d.Shares[b] || (d.Shares[a] = d.Shares[b] && a < b))
                          then
                              Expect.isGreaterThanOrEqual counts[a] counts[b] $"{a} and {b} of {d}")

          law "two that have room left are within one slot of their proportion" (fun d counts ->
              let full = isFull d counts

              for a in 0 .. counts.Length - 1 do
                  for b in 0 .. counts.Length - 1 do
                      if not full[a] && not full[b] then
                          // Each count is its quota, and less than 1 away from it.
                          let apart = bigint.Abs(counts[a] * d.Shares[b] - counts[b] * d.Shares[a])
                          Expect.isLessThanOrEqual apart (d.Shares[a] + d.Shares[b]) $"{a} and {b} of {d}")

          testCase "of equal remainders, those of the lower indices are rounded up" (fun () ->
              let counts total shares capacity =
                  Apportionment.counts total total 1I shares capacity

              Expect.equal (counts 2I [| 1I; 1I; 1I; 1I |] (Array.create 4 9I)) [| 1I; 1I; 0I; 0I |] "four halves"
              Expect.equal (counts 7I [| 2I; 1I; 1I |] (Array.create 3 9I)) [| 3I; 2I; 2I |] "1/2, 3/4, 3/4"
              Expect.equal (counts 6I [| 2I; 1I; 1I |] (Array.create 3 9I)) [| 3I; 2I; 1I |] "two halves")

          testCase "what a full party cannot take is shared by the others in their proportions" (fun () ->
              let counts =
                  Apportionment.counts 100I 100I 1I [| 100I; 10I; 1I |] [| 88I; 100I; 100I |]

              Expect.equal counts [| 88I; 11I; 1I |] "twelve, ten to one")

          testCase "where all that have room have no share, they count alike" (fun () ->
              Expect.equal (Apportionment.counts 5I 5I 1I [| 0I; 0I |] [| 9I; 9I |]) [| 3I; 2I |] "none has one"

              Expect.equal
                  (Apportionment.counts 7I 7I 1I [| 0I; 8I; 0I |] [| 9I; 3I; 9I |])
                  [| 2I; 3I; 2I |]
                  "beside a full one")

          testCase "more than there is room for is refused" (fun () ->
              Expect.throwsT<InvalidOperationException>
                  (fun () -> Apportionment.counts 5I 5I 1I [| 1I; 1I |] [| 2I; 2I |] |> ignore)
                  "4 and 5")

          testProperty "floats as integers keep every proportion, to the bit" (fun (numbers: NormalFloat[]) ->
              let shares = numbers |> Array.map (fun number -> abs number.Get)
              let exact = Apportionment.exactShares shares

              // A float of integers below 2^53 times a power of 2 is exact, and one power fits all.
              for i in 0 .. shares.Length - 1 do
                  for j in 0 .. shares.Length - 1 do
                      Expect.equal (compare exact[i] exact[j]) (compare shares[i] shares[j]) "order"

                      if shares[j] > 0.0 && shares[i] = 2.0 * shares[j] then
                          Expect.equal exact[i] (2I * exact[j]) "double")

          testCase "floats of all sizes are exact: 0, the smallest, the largest, thirds" (fun () ->
              Expect.equal
                  (Apportionment.exactShares [| 0.0; Double.Epsilon; 3.0 * Double.Epsilon; 2.2250738585072014E-308 |])
                  [| 0I; 1I; 3I; 1I <<< 52 |]
                  "subnormal, and the least that is normal"

              Expect.equal
                  (Apportionment.exactShares [| 1.0; 1.5; 3.0 |])
                  (Array.map (fun n -> n <<< 51) [| 2I; 3I; 6I |])
                  "halves"

              Expect.equal
                  (Apportionment.exactShares [| Double.MaxValue; Double.Epsilon |])
                  [| ((1I <<< 53) - 1I) <<< 2045; 1I |]
                  "the range")

          testCase "the drawn ones reach ties, full parties, parties without a share, and rounding both ways" (fun () ->
              let all = Gen.sample 1000 drawn

              let reaches what holds =
                  Expect.isTrue (Array.exists holds all) $"not vacuous: {what}"

              reaches "a full party beside one with room" (fun d ->
                  let full = isFull d (countsOf d)
                  Array.contains true full && Array.contains false full)

              reaches "up" (fun d -> d.Total * d.Scale > d.Amount)
              reaches "down" (fun d -> d.Total * d.Scale < d.Amount)
              reaches "no party" (fun d -> d.Shares.Length = 0)

              reaches "one of two equals is rounded up" (fun d ->
                  let counts = countsOf d
                  let full = isFull d counts

                  Seq.exists
                      (fun (a, b) -> a < b && d.Shares[a] = d.Shares[b] && not full[a] && counts[a] = counts[b] + 1I)
                      (Seq.allPairs [ 0 .. counts.Length - 1 ] [ 0 .. counts.Length - 1 ]))) ]
