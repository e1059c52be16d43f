/// Matrix Market's files come back as they went, and a wrong one is refused with its line.
module SparseFs.Tests.MatrixMarketTests

open System
open System.Globalization
open System.IO
open System.Text
open System.Threading
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs
open SparseFs.Tests.ArrayFiles
open SparseFs.Tests.Refusals

/// Any finite number, small and large, −0 and subnormal.
let private finite (random: Random) : float =
    let mutable value = nan

    while not (Double.IsFinite value) do
        value <- BitConverter.Int64BitsToDouble(random.NextInt64(Int64.MinValue, Int64.MaxValue))

    if random.Next 10 = 0 then -0.0 else value

let private matrices =
    gen {
        let! rows = Gen.choose (0, 12)
        let! cols = Gen.choose (0, 12)
        let! percent = Gen.elements [ 0; 20; 100 ]
        let! seed = Gen.choose (0, 100_000)
        let c = Topology.uniform rows cols (rows * cols * percent / 100) (Seed.ofInt seed)
        let random = Random seed

        return
            { Connectivity = c
              Values = Array.init c.Nnz (fun _ -> finite random) }
    }
    |> Arb.fromGen

let private law name (body: SparseMatrix -> unit) =
    testProperty name (Prop.forAll matrices body)

let private written (write: Stream -> unit) : byte[] =
    use stream = new MemoryStream()
    write stream
    stream.ToArray()

let private coo (bytes: byte[]) =
    use stream = new MemoryStream(bytes)
    MatrixMarket.readFrom "some.mtx" stream

let private dense (bytes: byte[]) =
    use stream = new MemoryStream(bytes)
    MatrixMarket.readDenseFrom "some.mtx" stream

let private ofText (lines: string list) : byte[] =
    Encoding.UTF8.GetBytes(String.Join("\n", lines))

let private same (a: SparseMatrix) (b: SparseMatrix) =
    Expect.equal a.Connectivity b.Connectivity "pattern"
    Expect.equal (bitsOf a.Values) (bitsOf b.Values) "values"

let private real = "%%MatrixMarket matrix coordinate real general"
let private array' = "%%MatrixMarket matrix array real general"

let private wrong (name: string) (lines: string list) (words: string list) =
    testCase name (fun () -> refused ("some.mtx" :: words) (fun () -> coo (ofText lines)))

let private wrongDense (name: string) (lines: string list) (words: string list) =
    testCase name (fun () -> refused ("some.mtx" :: words) (fun () -> dense (ofText lines)))

let private denseOf (m: SparseMatrix) : float[,] =
    let full = Array2D.zeroCreate m.Connectivity.Rows m.Connectivity.Cols
    let rowIdx = Connectivity.rowIndices m.Connectivity

    m.Values
    |> Array.iteri (fun slot v -> full[rowIdx[slot], m.Connectivity.ColIdx[slot]] <- v)

    full

let private inCulture (name: string) (body: unit -> unit) =
    let before = Thread.CurrentThread.CurrentCulture

    try
        // Made by hand: the tests run in globalization-invariant mode.
        let culture = CultureInfo.InvariantCulture.Clone() :?> CultureInfo
        culture.NumberFormat.NumberDecimalSeparator <- name
        culture.NumberFormat.NegativeSign <- "~"
        Thread.CurrentThread.CurrentCulture <- culture
        body ()
    finally
        Thread.CurrentThread.CurrentCulture <- before

[<Tests>]
let matrixMarketTests =
    testList
        "MatrixMarket"
        [ law "what was written is read, to the bit" (fun m ->
              same (coo (written (fun s -> MatrixMarket.writeTo s m))) m)

          law "a pattern comes back, its values being 1" (fun m ->
              let read = coo (written (fun s -> MatrixMarket.writePatternTo s m.Connectivity))

              same
                  read
                  { m with
                      Values = Array.create m.Connectivity.Nnz 1.0 })

          law "a dense matrix comes back, to the bit" (fun m ->
              let full = denseOf m
              let read = dense (written (fun s -> MatrixMarket.writeDenseTo s full))

              Expect.equal
                  (Array2D.length1 read, Array2D.length2 read)
                  (Array2D.length1 full, Array2D.length2 full)
                  "shape"

              Expect.equal
                  (bitsOf (Array.ofSeq (Seq.cast<float> read)))
                  (bitsOf (Array.ofSeq (Seq.cast<float> full)))
                  "numbers")

          law "files hold them too, in a culture with commas, and no other file is left" (fun m ->
              inFolder (fun folder ->
                  inCulture "," (fun () ->
                      let path name = Path.Combine(folder, name)
                      MatrixMarket.write (path "a.mtx") m
                      same (MatrixMarket.read (path "a.mtx")) m
                      MatrixMarket.writePattern (path "b.mtx") m.Connectivity
                      Expect.equal (MatrixMarket.read (path "b.mtx")).Connectivity m.Connectivity "pattern"
                      MatrixMarket.writeDense (path "c.mtx") (denseOf m)
                      Expect.equal (MatrixMarket.readDense (path "c.mtx")).Length (denseOf m).Length "dense"
                      Expect.equal (Directory.GetFiles(folder).Length) 3 "files")))

          law "entries may come in any order" (fun m ->
              let lines =
                  Encoding.ASCII
                      .GetString(written (fun s -> MatrixMarket.writeTo s m))
                      .Split('\n', StringSplitOptions.RemoveEmptyEntries)

              let entries = Array.copy lines[2..]
              Random(3).Shuffle entries
              same (coo (ofText (List.ofArray lines[..1] @ List.ofArray entries))) m)

          law "every file that ends within its entries is refused" (fun m ->
              let lines =
                  Encoding.ASCII
                      .GetString(written (fun s -> MatrixMarket.writeTo s m))
                      .Split('\n', StringSplitOptions.RemoveEmptyEntries)

              for count in 0 .. lines.Length - 1 do
                  refused [ "some.mtx"; "the end of the file" ] (fun () ->
                      coo (ofText (List.ofArray lines[.. count - 1]))))

          testCase "SciPy's layout is read: comments, blank lines, other cases, carriage returns, integers" (fun () ->
              let read =
                  [ "%%MatrixMarket MATRIX Coordinate Real General\r"
                    "% a comment"
                    ""
                    "%"
                    "  2\t3 2  \r"
                    ""
                    "2 3 -1.5e+00"
                    "% between entries too"
                    " 1 1 7 "
                    ""
                    "" ]
                  |> ofText
                  |> coo

              same
                  read
                  { Connectivity = Connectivity.ofPairs 2 3 [| 0; 1 |] [| 0; 2 |]
                    Values = [| 7.0; -1.5 |] }

              let read =
                  coo (ofText [ "%%MatrixMarket matrix coordinate integer general"; "1 1 1"; "1 1 42" ])

              Expect.equal read.Values [| 42.0 |] "integer"
              let read = dense (ofText [ array'; "2 2"; "1"; "2"; "3"; "4" ])
              Expect.equal read (array2D [ [ 1.0; 3.0 ]; [ 2.0; 4.0 ] ]) "a column after the other")

          testCase "SciPy's unsigned integers, Fortran's exponents and indented comments are read" (fun () ->
              let unsigned = "%%MatrixMarket matrix coordinate unsigned-integer symmetric"
              let read = coo (ofText [ unsigned; "2 2 2"; "1 1 9007199254740992"; "2 1 0" ])
              Expect.equal read.Values [| 9007199254740992.0; 0.0; 0.0 |] "unsigned, and its other half"

              let read =
                  dense (ofText [ "%%MatrixMarket matrix array unsigned-integer general"; "2 1"; "3"; "4" ])

              Expect.equal read (array2D [ [ 3.0 ]; [ 4.0 ] ]) "unsigned, dense"

              let read =
                  [ real
                    "  % an indented comment"
                    "2 2 4"
                    "\t% another"
                    "1 1 1.0D+02"
                    "1 2 -2.5d-1"
                    "2 1 1.D3"
                    " %"
                    "2 2 .5E0" ]
                  |> ofText
                  |> coo

              Expect.equal read.Values [| 100.0; -0.25; 1000.0; 0.5 |] "exponents")

          wrong
              "a sign among unsigned integers"
              [ "%%MatrixMarket matrix coordinate unsigned-integer general"
                "1 1 1"
                "1 1 -1" ]
              [ "line 3"; "an unsigned integer"; "'-1'" ]
          wrong
              "an unsigned half that is minus the other"
              [ "%%MatrixMarket matrix coordinate unsigned-integer skew-symmetric" ]
              [ "general or symmetric"; "'skew-symmetric'" ]
          wrong "two exponents" [ real; "1 1 1"; "1 1 1D2D3" ] [ "line 3"; "'1D2D3'" ]
          wrong "an exponent of both kinds" [ real; "1 1 1"; "1 1 1E2D3" ] [ "line 3"; "'1E2D3'" ]
          wrong "an exponent alone" [ real; "1 1 1"; "1 1 D" ] [ "line 3"; "'D'" ]
          wrong "a Fortran number too large" [ real; "1 1 1"; "1 1 1D999" ] [ "line 3"; "'1D999'" ]

          testCase "the half that a symmetric file leaves out is filled in" (fun () ->
              let dense (lines: string list) =
                  use stream = new MemoryStream(ofText lines)
                  MatrixMarket.readDenseFrom "some.mtx" stream

              let cells (m: SparseMatrix) =
                  let all = Array2D.zeroCreate m.Connectivity.Rows m.Connectivity.Cols

                  Array.iteri2
                      (fun slot row col -> all[row, col] <- m.Values[slot])
                      (Connectivity.rowIndices m.Connectivity)
                      (m.Connectivity.ColIdx.ToArray())

                  all

              // Rows 1 2 0, 2 0 3, 0 3 4; and the same with a sign and without its diagonal.
              let symmetric = array2D [ [ 1.0; 2.0; 0.0 ]; [ 2.0; 0.0; 3.0 ]; [ 0.0; 3.0; 4.0 ] ]
              let skew = array2D [ [ 0.0; -2.0; 0.0 ]; [ 2.0; 0.0; -3.0 ]; [ 0.0; 3.0; 0.0 ] ]
              let sizes = "3 3 4"

              let read =
                  coo (
                      ofText
                          [ "%%MatrixMarket matrix coordinate real symmetric"
                            sizes
                            "1 1 1"
                            "2 1 2"
                            "3 2 3"
                            "3 3 4" ]
                  )

              Expect.equal read.Connectivity.Nnz 6 "slots"
              Expect.equal (cells read) symmetric "coordinate symmetric"

              Expect.equal
                  (cells (
                      coo (
                          ofText
                              [ "%%MatrixMarket matrix coordinate integer skew-symmetric"
                                "3 3 2"
                                "2 1 2"
                                "3 2 3" ]
                      )
                  ))
                  skew
                  "coordinate skew-symmetric"

              let all = [ "3 3"; "1"; "2"; "0"; "0"; "3"; "4" ]
              Expect.equal (dense ("%%MatrixMarket matrix array real symmetric" :: all)) symmetric "array symmetric"

              let below = [ "3 3"; "2"; "0"; "3" ]

              Expect.equal
                  (dense ("%%MatrixMarket matrix array integer skew-symmetric" :: below))
                  skew
                  "array skew-symmetric")

          testCase "the text is SciPy's" (fun () ->
              let m =
                  { Connectivity = Connectivity.ofPairs 2 3 [| 0; 1 |] [| 0; 2 |]
                    Values = [| 0.1; -2.0 |] }

              Expect.equal
                  (Encoding.ASCII.GetString(written (fun s -> MatrixMarket.writeTo s m)))
                  $"{real}\n2 3 2\n1 1 0.1\n2 3 -2\n"
                  "coordinate")

          wrong "nothing" [] [ "line 1"; "%%MatrixMarket"; "the end of the file" ]
          wrong "another banner" [ "%MatrixMarket matrix coordinate real general" ] [ "line 1"; "'%MatrixMarket'" ]
          wrong "a vector" [ "%%MatrixMarket vector coordinate real general" ] [ "expected matrix, got 'vector'" ]
          wrong "an array where cells are wanted" [ array'; "1 1"; "1" ] [ "expected coordinate, got array" ]
          wrongDense "cells where an array is wanted" [ real; "1 1 0" ] [ "expected array, got coordinate" ]
          wrong
              "a Hermitian matrix"
              [ "%%MatrixMarket matrix coordinate real hermitian" ]
              [ "general or symmetric or skew-symmetric"; "'hermitian'" ]
          wrong
              "a symmetric matrix that is not square"
              [ "%%MatrixMarket matrix coordinate real symmetric"; "2 3 0" ]
              [ "line 2"; "as many rows as columns"; "2 and 3" ]
          wrong
              "both halves of a symmetric matrix"
              [ "%%MatrixMarket matrix coordinate real symmetric"; "2 2 2"; "2 1 5"; "1 2 5" ]
              [ "line 4"; "each cell at most once" ]
          wrong
              "a diagonal that is minus itself"
              [ "%%MatrixMarket matrix coordinate real skew-symmetric"; "2 2 1"; "2 2 5" ]
              [ "line 3"; "(2, 2)" ]
          wrong
              "a fraction among integers"
              [ "%%MatrixMarket matrix coordinate integer general"; "1 1 1"; "1 1 1.5" ]
              [ "line 3"; "an integer"; "'1.5'" ]
          wrong
              "an integer that no double holds"
              [ "%%MatrixMarket matrix coordinate integer general"
                "1 1 1"
                "1 1 9007199254740993" ]
              [ "line 3"; "an integer" ]
          wrong
              "complex numbers"
              [ "%%MatrixMarket matrix coordinate complex general" ]
              [ "real or integer or unsigned-integer or pattern"; "'complex'" ]
          wrongDense
              "a dense pattern"
              [ "%%MatrixMarket matrix array pattern general" ]
              [ "real or integer"; "'pattern'" ]
          wrong "no sizes" [ real; "% only a comment" ] [ "line 3"; "rows, columns and entries"; "the end of the file" ]
          wrong "a size below 0" [ real; "-1 3 0" ] [ "line 2"; "rows in 0.."; "'-1'" ]
          wrong "a size that overflows" [ real; "99999999999999999999 3 0" ] [ "line 2"; "'99999999999999999999'" ]
          wrong "a size with a point" [ real; "2.0 3 0" ] [ "line 2"; "'2.0'" ]
          wrong "more entries than cells" [ real; "2 3 7" ] [ "line 2"; "entries in 0..6"; "'7'" ]
          wrong "a word too many" [ real; "2 3 0 1" ] [ "line 2"; "the end of the line, got '1'" ]
          wrong "row 0" [ real; "2 3 1"; "0 1 5" ] [ "line 3"; "a row in 1..2, got '0'" ]
          wrong "a row too large" [ real; "2 3 1"; "3 1 5" ] [ "line 3"; "a row in 1..2, got '3'" ]
          wrong "a column too large" [ real; "2 3 1"; "2 4 5" ] [ "line 3"; "a column in 1..3, got '4'" ]
          wrong "NaN" [ real; "2 3 1"; "1 1 nan" ] [ "line 3"; "a finite number, got 'nan'" ]
          wrong "infinity" [ real; "2 3 1"; "1 1 -inf" ] [ "line 3"; "a finite number, got '-inf'" ]
          wrong "a number too large" [ real; "2 3 1"; "1 1 1e999" ] [ "line 3"; "'1e999'" ]
          wrong "a number with a comma" [ real; "2 3 1"; "1 1 1,5" ] [ "line 3"; "'1,5'" ]
          wrong "no value" [ real; "2 3 1"; "1 1" ] [ "line 3"; "a finite number, got nothing" ]
          wrong
              "a value in a pattern"
              [ "%%MatrixMarket matrix coordinate pattern general"; "2 3 1"; "1 1 5" ]
              [ "the end of the line" ]
          wrong "a cell twice" [ real; "2 3 3"; "1 1 5"; "2 2 5"; "1 1 6" ] [ "line 5"; "(1, 1) again" ]
          wrong "an entry too many" [ real; "2 3 1"; "1 1 5"; ""; "1 2 5" ] [ "line 5"; "after 1 entries" ]
          wrong "an entry too few" [ real; "2 3 2"; "1 1 5" ] [ "line 4"; "entry 2 of 2"; "the end of the file" ]
          wrong "rows that no file backs" [ real; "2000000000 3 0" ] [ "line 2"; "rows and columns in a file of" ]
          wrongDense
              "a dense matrix that no file backs"
              [ array'; "40000 50000"; "1" ]
              [ "line 4"; "number 2 of 2000000000" ]
          wrongDense "a number too many" [ array'; "1 1"; "1"; "2" ] [ "line 4"; "one more" ]
          wrong "control characters, which are not shown" [ real; "2 3 1"; "1 \u001b[31m 5" ] [ "'?[31m'" ]
          wrong "a line of megabytes" [ real; String('1', 2_000_000) ] [ "line 2"; "lines of at most" ]

          testCase "changed files are refused or are matrices" (fun () ->
              let random = Random 7
              let mutable refusals = 0

              let seeds =
                  [ for i in 0..9 do
                        let c = Topology.uniform (1 + i) 4 (2 + i) (Seed.ofInt i)

                        written (fun s ->
                            MatrixMarket.writeTo
                                s
                                { Connectivity = c
                                  Values = Array.init c.Nnz float })

                        written (fun s -> MatrixMarket.writeDenseTo s (Array2D.init i 2 (fun r k -> float (r - k)))) ]

              for i in 0..3999 do
                  let seed = seeds[i % seeds.Length]
                  let bytes = Array.copy seed

                  for _ in 0 .. random.Next 2 do
                      bytes[random.Next bytes.Length] <-
                          match random.Next 4 with
                          | 0 -> byte (random.Next 256)
                          | 1 -> "0123456789 \n%.-e"B[random.Next 16]
                          | _ -> bytes[random.Next bytes.Length]

                  let bytes =
                      if random.Next 4 = 0 then
                          bytes[.. random.Next bytes.Length - 1]
                      else
                          bytes

                  for read in
                      [ fun () ->
                            let m = coo bytes
                            Expect.equal m.Values.Length m.Connectivity.Nnz "whole"
                        fun () -> Expect.isTrue (Seq.forall Double.IsFinite (Seq.cast<float>(dense bytes))) "finite" ] do
                      try
                          read ()
                      with :? ArrayFileException ->
                          refusals <- refusals + 1

              // Each file is one of the two formats at most, so that half of the reads are refused whatever was changed.
              Expect.isGreaterThan refusals 5000 "not vacuous"
              Expect.isLessThan refusals 7900 "not vacuous")

          testCase "a lie about the sizes costs no memory" (fun () ->
              let before = GC.GetAllocatedBytesForCurrentThread()
              refused [ "rows and columns" ] (fun () -> coo (ofText [ real; "2000000000 2000000000 0" ]))
              refused [ "entry 2" ] (fun () -> coo (ofText [ real; "40000 50000 2000000000"; "1 1 5" ]))
              refused [ "number 2" ] (fun () -> dense (ofText [ array'; "40000 50000"; "1" ]))
              Expect.isLessThan (GC.GetAllocatedBytesForCurrentThread() - before) 2_000_000L "bytes")

          testCase "a failed write leaves the file as it was" (fun () ->
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "a.mtx")
                  File.WriteAllText(path, "before")

                  let bad =
                      { Connectivity = Connectivity.full 1 1
                        Values = [| nan |] }

                  Expect.throwsT<ArgumentException> (fun () -> MatrixMarket.write path bad) "refused"
                  Expect.equal (File.ReadAllText path) "before" "content"
                  Expect.equal (Directory.GetFiles(folder).Length) 1 "files"))

          refuses "values that do not fit" "matrix" "expected 1 values, one a slot, got 2" (fun () ->
              MatrixMarket.writeTo
                  Stream.Null
                  { Connectivity = Connectivity.full 1 1
                    Values = [| 1.0; 2.0 |] })
          refuses "a value that is not finite" "matrix" "expected finite numbers, got NaN" (fun () ->
              MatrixMarket.writeDenseTo Stream.Null (array2D [ [ nan ] ]))
          refuses "no stream" "stream" "" (fun () -> MatrixMarket.readFrom "x" Unchecked.defaultof<_>)
          refuses "no pattern" "connectivity" "" (fun () ->
              MatrixMarket.writePattern "x.mtx" Unchecked.defaultof<Connectivity>) ]
