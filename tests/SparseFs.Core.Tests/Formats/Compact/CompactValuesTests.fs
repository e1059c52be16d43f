/// Numbers of 16 and 8 bits: the nearest there are.
module SparseFs.Tests.CompactValuesTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs
open SparseFs.Testing
open SparseFs.Tests.Refusals

let private ofBits (bits: uint32) : float32 = BitConverter.UInt32BitsToSingle bits

/// Half the distance of neighbouring bfloat16 numbers about x: 8 bits of significand, the exponents of float32.
let private halfUnit (x: float32) : float =
    let exponent = if x = 0.0f then -126 else max -126 (Math.ILogB(float x))
    2.0 ** float (exponent - 8)

/// Weights of each row of a size of its own, from the smallest floats to the largest.
let private weights: Arbitrary<Connectivity * float32[]> =
    gen {
        let! pattern = Generators.connectivity.Generator
        let! seed = Gen.choose (0, 1_000_000)
        let random = Random seed
        let sizes = Array.init pattern.Rows (fun _ -> 2.0 ** float (random.Next(-149, 127)))
        let rows = Connectivity.rowIndices pattern

        return
            pattern,
            Array.init pattern.Nnz (fun slot ->
                match random.Next 9 with
                | 0 -> 0.0f
                | 1 -> float32 sizes[rows[slot]]
                | _ -> float32 (sizes[rows[slot]] * (2.0 * random.NextDouble() - 1.0)))
    }
    |> Arb.fromGen

[<Tests>]
let tests =
    testList
        "Compact values"
        [ testCase "bfloat16 is the nearest, a tie going to the even one" (fun () ->
              for upper in 0u .. 0xFFFFu do
                  if Single.IsFinite(ofBits (upper <<< 16)) then
                      let nearest lower =
                          BFloat16.ofFloat32 (ofBits ((upper <<< 16) + lower))

                      let next = uint16 (upper + 1u)
                      Expect.equal (nearest 0u) (uint16 upper) "itself"
                      Expect.equal (nearest 0x7FFFu) (uint16 upper) "below a tie"
                      Expect.equal (nearest 0x8000u) (if upper % 2u = 0u then uint16 upper else next) "a tie"
                      Expect.equal (nearest 0x8001u) next "above a tie")

          testCase "bfloat16 keeps every NaN one, and infinities" (fun () ->
              for bits in [ 0x7F800001u; 0x7F80FFFFu; 0x7FFFFFFFu; 0xFF800001u; 0xFFFFFFFFu ] do
                  Expect.isTrue (Single.IsNaN(BFloat16.toFloat32 (BFloat16.ofFloat32 (ofBits bits)))) $"{bits:X}"

              for infinity in [ infinityf; -infinityf ] do
                  Expect.equal (BFloat16.toFloat32 (BFloat16.ofFloat32 infinity)) infinity "infinity")

          testPropertyWithConfig
              { FsCheckConfig.defaultConfig with
                  maxTest = 300 }
              "bfloat16 is off by half a unit at most"
              (Prop.forAll weights (fun (pattern, values) ->
                  let back =
                      CompactValues.ofFloat32 ValueForm.BFloat16 pattern values
                      |> CompactValues.toFloat32 pattern

                  for value, got in Seq.zip values back do
                      if Single.IsFinite got then
                          Expect.isLessThanOrEqual (abs (float got - float value)) (halfUnit value) $"{value}"))

          testPropertyWithConfig
              { FsCheckConfig.defaultConfig with
                  maxTest = 300 }
              "8 bits are off by half the row's scale at most, which is the largest magnitude / 127"
              (Prop.forAll weights (fun (pattern, values) ->
                  match CompactValues.ofFloat32 ValueForm.Int8 pattern values with
                  | CompactValues.Int8(quantized, scales) ->
                      let rowPtr = pattern.RowPtr.ToArray()

                      for row in 0 .. pattern.Rows - 1 do
                          let own = values[rowPtr[row] .. rowPtr[row + 1] - 1]
                          let most = own |> Array.fold (fun most value -> max most (abs (float value))) 0.0
                          let scale = float scales[row]
                          let step = float (MathF.BitIncrement scales[row]) - scale
                          Expect.isLessThanOrEqual (abs (scale - most / 127.0)) step "scale"
                          Expect.equal (scale = 0.0) (most = 0.0) "0 for a row of zeros alone"

                          for slot in rowPtr[row] .. rowPtr[row + 1] - 1 do
                              let error = abs (float values[slot] - float quantized[slot] * scale)
                              // The quotient is rounded to 53 bits before it is to an integer of up to 127.
                              Expect.isLessThanOrEqual error (scale * (0.5 + 127.0 * 2.0 ** -53.0)) "error"
                              Expect.isGreaterThanOrEqual quantized[slot] -127y "symmetric"
                  | other -> failtest $"another form: {other}"))

          testCase "float32 numbers are kept as they are" (fun () ->
              let pattern = Connectivity.full 1 3
              let values = [| nanf; -0.0f; 1e-45f |]
              let kept = CompactValues.ofFloat32 ValueForm.Float32 pattern values
              let bits = Array.map BitConverter.SingleToInt32Bits
              Expect.equal (bits (CompactValues.toFloat32 pattern kept)) (bits values) "bits")

          refuses "a NaN in 8 bits" "values" "NaN in row 1" (fun () ->
              CompactValues.ofFloat32 ValueForm.Int8 (Connectivity.full 2 1) [| 1.0f; nanf |])

          refuses "an infinity in 8 bits" "values" "finite weights" (fun () ->
              CompactValues.ofFloat32 ValueForm.Int8 (Connectivity.full 1 1) [| infinityf |])

          refuses "fewer numbers than slots" "values" "nnz = 2" (fun () ->
              CompactValues.ofFloat32 ValueForm.Float32 (Connectivity.full 1 2) [| 1.0f |]) ]
