/// Patterns in few bytes come back as they went, in every form, and no other bytes are taken for one.
module SparseFs.Tests.CompactPatternTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs
open SparseFs.Testing
open SparseFs.Tests.Refusals

let private forms = [ PatternForm.Deltas; PatternForm.Offsets; PatternForm.Bitmap ]

/// Few slots far apart: gaps beyond a byte, and beyond a block of 65,536 columns.
let private farApart: Gen<Connectivity> =
    gen {
        let! rows = Gen.choose (1, 6)
        let! cols = Gen.elements [ 255; 256; 257; 700; 65_535; 65_536; 65_537; 140_000 ]
        let! slots = Gen.choose (0, 40)
        let! seed = Gen.choose (0, 1_000_000)
        let! group = Gen.elements [ 1; 2; 3; 6 ]
        return Topology.rowGroups group rows cols (min slots (rows * cols)) (Seed.ofInt seed)
    }

/// Single slots at the edges of a byte, of an escape and of a block.
let private atEdges: Gen<Connectivity> =
    gen {
        let edges =
            [| 0; 254; 255; 256; 509; 510; 511; 65_535; 65_536; 131_071; 131_072; 139_999 |]

        let! rows = Gen.arrayOf (Gen.subListOf edges)
        let rowPtr = rows |> Array.scan (fun slots row -> slots + List.length row) 0
        return Connectivity.create rows.Length 140_000 rowPtr (rows |> Seq.concat |> Array.ofSeq)
    }

let private patterns: Arbitrary<Connectivity> =
    Gen.oneof
        [ Generators.connectivity.Generator
          Generators.rowGroups.Generator |> Gen.map snd
          farApart
          atEdges ]
    |> Arb.fromGen

let private law name (count: int) (body: Connectivity -> unit) =
    testPropertyWithConfig
        { FsCheckConfig.defaultConfig with
            maxTest = count }
        name
        (Prop.forAll patterns body)

/// The group sizes that a pattern may be stored in, its largest among them.
let private groupsOf (pattern: Connectivity) : int list =
    let size = Connectivity.rowGroupSize pattern
    [ 1..16 ] |> List.filter (fun group -> size % group = 0 || size >= pattern.Rows)

let private decoded (pattern: Connectivity) (encoded: EncodedPattern) =
    CompactPattern.decode pattern.Rows pattern.Cols pattern.Nnz encoded

/// One of the ways in which a file may be wrong: bytes that are changed, taken away or added, in either tensor, and what a description
/// says beside them.
let private spoilt (random: Random) (pattern: Connectivity) (encoded: EncodedPattern) =
    let change (bytes: byte[]) : byte[] =
        match random.Next 5 with
        | 0 when bytes.Length > 0 -> bytes |> Array.updateAt (random.Next bytes.Length) (byte (random.Next 256))
        | 1 when bytes.Length > 0 ->
            let at = random.Next bytes.Length
            bytes |> Array.updateAt at (bytes[at] ^^^ (1uy <<< random.Next 8))
        | 2 -> Array.truncate (random.Next(bytes.Length + 1)) bytes
        | 3 -> Array.append bytes [| byte (random.Next 256) |]
        | _ ->
            let at = random.Next(bytes.Length + 1)
            Array.insertAt at (byte (random.Next 256)) bytes

    let near (size: int) =
        [| size - 1
           size + 1
           0
           2 * size
           -1
           Int32.MaxValue
           2_000_000_000
           random.Next 300 |][random.Next 8]

    let rows, cols, nnz = pattern.Rows, pattern.Cols, pattern.Nnz

    match random.Next 8 with
    | 0 -> near rows, cols, nnz, encoded
    | 1 -> rows, near cols, nnz, encoded
    | 2 -> rows, cols, near nnz, encoded
    | 3 ->
        rows,
        cols,
        nnz,
        { encoded with
            Group = near encoded.Group }
    | 4 ->
        rows,
        cols,
        nnz,
        { encoded with
            Form = enum (random.Next 4) }
    | 5 ->
        rows,
        cols,
        nnz,
        { encoded with
            Counts = change encoded.Counts }
    | _ ->
        rows,
        cols,
        nnz,
        { encoded with
            Columns = change encoded.Columns }

/// Bytes that a call allocates.
let private allocated (work: unit -> 'a) : int64 * 'a =
    let before = GC.GetAllocatedBytesForCurrentThread()
    let result = work ()
    GC.GetAllocatedBytesForCurrentThread() - before, result

let private refused (name: string) (says: string) (rows: int, cols: int, nnz: int) (encoded: EncodedPattern) =
    testCase name (fun () ->
        let bytes, result =
            allocated (fun () -> CompactPattern.decode rows cols nnz encoded)

        match result with
        | Error error -> Expect.stringContains error.Message says "message"
        | Ok pattern -> failtest $"expected a refusal, got {pattern}"

        Expect.isLessThan bytes 65_536L "memory")

let private stored form group (counts: int list) (columns: int list) : EncodedPattern =
    { Form = form
      Group = group
      Counts = counts |> List.map byte |> Array.ofList
      Columns = columns |> List.map byte |> Array.ofList }

[<Tests>]
let tests =
    testList
        "Compact patterns"
        [ law "each form gives the pattern back, in groups of every size that it has" 400 (fun pattern ->
              for form in forms do
                  for group in groupsOf pattern do
                      match decoded pattern (CompactPattern.encode form group pattern) with
                      | Ok back -> Expect.equal back pattern $"{form}, groups of {group}"
                      | Error error -> failtest $"{form}, groups of {group}: {error}")

          law "the size is that of the bytes, and the chosen one the smallest" 300 (fun pattern ->
              let struct (form, group) = CompactPattern.choose pattern
              let least = (CompactPattern.encode form group pattern).Bytes

              for form in forms do
                  for group in groupsOf pattern do
                      let size = CompactPattern.size form group pattern
                      Expect.equal (CompactPattern.encode form group pattern).Bytes size $"{form}, groups of {group}"
                      Expect.isLessThanOrEqual least size "chosen")

          testCase "other bytes are refused, or are those of another pattern" (fun () ->
              let random = Random 5
              let mutable taken = 0
              let mutable refused = 0

              for pattern in Gen.sample 2_000 patterns.Generator do
                  let form = forms[random.Next 3]
                  let groups = groupsOf pattern
                  let encoded = CompactPattern.encode form groups[random.Next groups.Length] pattern
                  let rows, cols, nnz, encoded = spoilt random pattern encoded

                  let bytes, result =
                      allocated (fun () -> CompactPattern.decode rows cols nnz encoded)

                  // 128 slots of 4 bytes are the most that a byte stands for; a message of an error is below the constant.
                  Expect.isLessThan bytes (2_000L * (encoded.Bytes + 1L) + 65_536L) $"memory for {encoded.Bytes} bytes"

                  match result with
                  | Error error ->
                      refused <- refused + 1
                      Expect.stringContains error.Message "expected" "message"
                  | Ok found ->
                      taken <- taken + 1

                      match Connectivity.tryCreate rows cols (found.RowPtr.ToArray()) (found.ColIdx.ToArray()) with
                      | Error error -> failtest $"a pattern that is none: {error}"
                      | Ok _ -> Expect.equal found.Nnz nnz "slots"

                      // Each pattern has one form: what is taken is what encode writes.
                      let again = CompactPattern.encode encoded.Form encoded.Group found
                      Expect.equal again.Counts encoded.Counts "counts"
                      Expect.equal again.Columns encoded.Columns "columns"

              Expect.isGreaterThan taken 50 "some other patterns"
              Expect.isGreaterThan refused 1_000 "many refusals")

          testCase "thousands of blocks of columns take memory and time by their bytes" (fun () ->
              let cols = 2_000_000_000

              let pattern =
                  Connectivity.create 4 cols [| 0; 1; 1; 2; 4 |] [| 0; 65_536; 7; cols - 1 |]

              let encoded = CompactPattern.encode PatternForm.Offsets 1 pattern
              let bytes, result = allocated (fun () -> decoded pattern encoded)

              match result with
              | Ok back -> Expect.equal back pattern "round trip"
              | Error error -> failtest $"{error}"

              Expect.isLessThan bytes (10L * encoded.Bytes) "memory")

          testList
              "refused"
              [ let deltas, offsets, bitmap =
                    PatternForm.Deltas, PatternForm.Offsets, PatternForm.Bitmap

                refused
                    "more rows than counts"
                    "2000000000 or more bytes"
                    (2_000_000_000, 4, 1)
                    (stored deltas 1 [ 1 ] [ 0 ])

                refused "groups of too many rows" "1..16 rows" (2_000_000_000, 4, 1) (stored deltas 17 [ 1 ] [ 0 ])

                refused
                    "no columns, and many rows of a bitmap"
                    "2000000000 bytes"
                    (2_000_000_000, 0, 0)
                    (stored bitmap 1 [] [])

                refused "more slots than values" "3 slots" (1, 9, 3) (stored deltas 1 [ 2 ] [ 0; 0 ])
                refused "more values than bytes" "9 slots" (1, 9, 9) (stored deltas 1 [ 2 ] [ 0; 0 ])
                refused "fewer bytes than slots" "2 or more bytes" (1, 9, 2) (stored deltas 1 [ 2 ] [ 0 ])
                refused "an escape at the end" "the end" (1, 900, 1) (stored deltas 1 [ 1 ] [ 255 ])
                refused "a step beyond the last column" "below 9" (1, 9, 2) (stored deltas 1 [ 2 ] [ 0; 8 ])
                refused "bytes behind the last column" "the end" (1, 9, 1) (stored deltas 1 [ 1 ] [ 0; 0 ])
                refused "a count of two bytes that one holds" "not 0" (1, 9, 1) (stored deltas 1 [ 0x81; 0 ] [ 0 ])
                refused "a count that does not end" "ends" (1, 9, 1) (stored deltas 1 [ 0x81 ] [ 0 ])

                refused
                    "a count of six bytes"
                    "five bytes"
                    (1, 9, 1)
                    (stored deltas 1 [ 0x81; 0x80; 0x80; 0x80; 0x80; 1 ] [ 0 ])

                refused
                    "a count of more than the columns"
                    "0..9"
                    (1, 9, 10)
                    (stored deltas 1 [ 10 ] (List.replicate 10 0))

                refused "offsets that do not rise" "rising" (1, 9, 2) (stored offsets 1 [ 2 ] [ 3; 0; 3; 0 ])
                refused "an offset beyond the last column" "below 9" (1, 9, 1) (stored offsets 1 [ 1 ] [ 9; 0 ])
                refused "half an offset" "4 bytes" (1, 9, 2) (stored offsets 1 [ 2 ] [ 3; 0; 4 ])
                refused "bits beyond the last column" "bits of 0" (1, 9, 1) (stored bitmap 1 [] [ 0; 2 ])
                refused "a bitmap with counts" "no bytes" (1, 9, 1) (stored bitmap 1 [ 1 ] [ 1; 0 ])
                refused "another form" "form 3" (1, 9, 1) (stored (enum 3) 1 [ 1 ] [ 1 ]) ]

          testList
              "bytes by hand"
              [ let is name form group pattern (counts: int list) (columns: int list) =
                    testCase name (fun () ->
                        let encoded = CompactPattern.encode form group pattern
                        Expect.equal (List.ofArray encoded.Counts) (List.map byte counts) "counts"
                        Expect.equal (List.ofArray encoded.Columns) (List.map byte columns) "columns")

                let pattern = Connectivity.create 3 600 [| 0; 3; 3; 5 |] [| 0; 1; 257; 254; 510 |]
                is "deltas" PatternForm.Deltas 1 pattern [ 3; 0; 2 ] [ 0; 0; 255; 0; 254; 255; 0 ]
                is "offsets" PatternForm.Offsets 1 pattern [ 3; 0; 2 ] [ 0; 0; 1; 0; 1; 1; 254; 0; 254; 1 ]
                let small = Connectivity.create 2 9 [| 0; 3; 4 |] [| 0; 7; 8; 3 |]
                is "a bitmap" PatternForm.Bitmap 1 small [] [ 0x81; 1; 8; 0 ]
                let blocks = Connectivity.create 1 140_000 [| 0; 3 |] [| 5; 65_536; 139_999 |]
                is "offsets in blocks" PatternForm.Offsets 1 blocks [ 1; 1; 1 ] [ 5; 0; 0; 0; 0xDF; 0x22 ]
                let alike = Connectivity.create 3 9 [| 0; 2; 4; 6 |] [| 1; 5; 1; 5; 1; 5 |]
                is "a group once" PatternForm.Deltas 2 alike [ 2; 2 ] [ 1; 3; 1; 3 ]

                is
                    "a count of two bytes"
                    PatternForm.Deltas
                    1
                    (Connectivity.full 1 200)
                    [ 0xC8; 1 ]
                    (List.replicate 200 0) ]

          testCase "at 90 % a layer takes at most 14, 8.5 and 6 hundredths of its dense float32 bytes" (fun () ->
              let pattern = Topology.uniform 1_000 1_000 100_000 (Seed.ofInt 1)
              let struct (form, group) = CompactPattern.choose pattern
              let bytes = (CompactPattern.encode form group pattern).Bytes
              let values = Array.init 100_000 (fun slot -> sin (float32 slot))

              for form, most in [ ValueForm.Float32, 0.14; ValueForm.BFloat16, 0.085; ValueForm.Int8, 0.06 ] do
                  let all = bytes + (CompactValues.ofFloat32 form pattern values).Bytes
                  Expect.isLessThanOrEqual (float all / 4e6) most $"{form}")

          refuses "groups that a pattern has not" "group" "groups of 2" (fun () ->
              CompactPattern.encode PatternForm.Deltas 2 (Topology.banded 4 4 4))

          refuses "groups of no rows" "group" "1..16" (fun () ->
              CompactPattern.size PatternForm.Bitmap 0 (Connectivity.full 4 4)) ]
