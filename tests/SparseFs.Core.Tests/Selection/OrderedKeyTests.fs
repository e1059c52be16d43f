module SparseFs.Tests.OrderedKeyTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs

/// Any bits but NaN's, and the numbers at the ends of each kind.
let private numbers: Gen<float32> =
    Gen.frequency
        [ 4,
          Gen.choose64 (0L, 0xFFFFFFFFL)
          |> Gen.map (uint32 >> BitConverter.UInt32BitsToSingle)
          1,
          Gen.elements
              [ 0.0f
                -0.0f
                Single.Epsilon
                -Single.Epsilon
                Single.MaxValue
                Single.MinValue
                infinityf
                -infinityf ] ]
    |> Gen.map (fun number -> if Single.IsNaN number then 1.0f else number)

let private law name (body: float32 * float32 -> unit) =
    testProperty name (Prop.forAll (Arb.fromGen (Gen.zip numbers numbers)) body)

[<Tests>]
let orderedKey =
    testList
        "OrderedKey"
        [ law "keys compare as their numbers" (fun (a, b) ->
              let order = compare a b
              Expect.equal (compare (OrderedKey.signed a) (OrderedKey.signed b)) order "signed"
              Expect.equal (compare (OrderedKey.unsigned a) (OrderedKey.unsigned b)) order "unsigned"

              Expect.equal
                  (compare (OrderedKey.magnitude a) (OrderedKey.magnitude b))
                  (compare (abs a) (abs b))
                  "magnitudes")

          law "a key gives its number back, and 0 for −0" (fun (a, _) ->
              let bits = BitConverter.SingleToInt32Bits(if a = 0.0f then 0.0f else a)
              Expect.equal (BitConverter.SingleToInt32Bits(OrderedKey.ofSigned (OrderedKey.signed a))) bits "signed"

              Expect.equal
                  (BitConverter.SingleToInt32Bits(OrderedKey.ofUnsigned (OrderedKey.unsigned a)))
                  bits
                  "unsigned"

              Expect.equal (OrderedKey.ofMagnitude (OrderedKey.magnitude a)) (abs a) "magnitude")

          law "a signed and an unsigned key differ by the sign's bit" (fun (a, _) ->
              Expect.equal (OrderedKey.unsigned a) (uint32 (OrderedKey.signed a) ^^^ 0x80000000u) "one encoding")

          testCase "NaN of either sign is above all numbers, and nothing is below them" (fun () ->
              let negativeNaN = BitConverter.Int32BitsToSingle 0xFFC00001

              for nan in [ nanf; negativeNaN ] do
                  Expect.equal (OrderedKey.signed nan) OrderedKey.OfNaN "one key"
                  Expect.isGreaterThan (OrderedKey.signed nan) (OrderedKey.signed infinityf) "above infinity"
                  Expect.isGreaterThan (OrderedKey.magnitude nan) (OrderedKey.magnitude infinityf) "its magnitude"

              Expect.isLessThan OrderedKey.Nothing (OrderedKey.signed -infinityf) "nothing")

          testCase "the drawn numbers reach both signs, subnormals and both zeros" (fun () ->
              let drawn = Gen.sample 4000 numbers

              let reaches what holds =
                  Expect.isTrue (Array.exists holds drawn) $"not vacuous: {what}"

              reaches "negative" (fun a -> a < -1.0f)
              reaches "positive" (fun a -> a > 1.0f)
              reaches "subnormal" Single.IsSubnormal
              reaches "−0" (fun a -> a = 0.0f && Single.IsNegative a)) ]
