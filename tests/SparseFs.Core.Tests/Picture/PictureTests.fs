/// Pictures of patterns: each dot says what it should, and size is bounded.
module SparseFs.Tests.PictureTests

open System
open System.IO
open System.Reflection
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs

/// The dots of a picture, read back by Unicode's numbering: dots 1 to 3 and 7 on the left, 4 to 6 and 8 on the right.
let private dots (picture: string) : Set<int * int> =
    let places = [| 0, 0; 1, 0; 2, 0; 0, 1; 1, 1; 2, 1; 3, 0; 3, 1 |]

    set
        [ for line, text in Seq.indexed (picture.Split '\n') do
              for place, c in Seq.indexed text do
                  for bit in 0..7 do
                      if (int c - 0x2800) >>> bit &&& 1 = 1 then
                          let row, col = places[bit]
                          4 * line + row, 2 * place + col ]

let private pairs (c: Connectivity) =
    let rowPtr, colIdx = c.RowPtr.ToArray(), c.ColIdx.ToArray()

    set
        [ for row in 0 .. c.Rows - 1 do
              for slot in rowPtr[row] .. rowPtr[row + 1] - 1 -> row, colIdx[slot] ]

/// The squares of an svg's strips, each a run along a row.
let private strips (svg: string) : Set<int * int> =
    let dark = Text.RegularExpressions.Regex "fill-opacity=\"[0-9.]+\" d=\"([^\"]*)\""
    let strip = Text.RegularExpressions.Regex "M([0-9]+) ([0-9]+)h([0-9]+)v1"

    set
        [ for path in dark.Matches svg do
              for m in strip.Matches path.Groups[1].Value do
                  let number (group: int) = int m.Groups[group].Value

                  for x in number 1 .. number 1 + number 3 - 1 -> number 2, x ]

let private there (what: string) (value: 'a | null) : 'a =
    match value with
    | null -> failtest $"expected {what}, got none"
    | value -> value

let private small =
    gen {
        let! rows = Gen.choose (0, 80)
        let! cols = Gen.choose (0, 120)
        let! nnz = Gen.choose (0, rows * cols)
        let! seed = Gen.choose (0, 1000)
        return Topology.uniform rows cols nnz (Seed.ofInt seed)
    }
    |> Arb.fromGen

[<Tests>]
let picture =
    testList
        "Picture"
        [ testProperty
              "a pattern that fits has a dot for each slot and no other"
              (Prop.forAll small (fun c -> dots (Picture.braille c) = pairs c))

          testCase "a line is as long as the pattern is wide" (fun () ->
              let lines = (Picture.braille (Connectivity.full 9 7)).Split '\n'
              Expect.equal (List.ofArray lines) [ "⣿⣿⣿⡇"; "⣿⣿⣿⡇"; "⠉⠉⠉⠁" ] "9 rows and 7 columns")

          testProperty
              "a filter bank has a square for each slot, in its kernel's box, and no other"
              (Prop.forAll
                  (gen {
                      let! rows = Gen.choose (1, 24)
                      let! inputs = Gen.choose (1, 24)
                      let! height = Gen.choose (1, 5)
                      let! width = Gen.choose (1, 5)
                      let! seed = Gen.choose (0, 1000)
                      let cols = inputs * height * width
                      return height, width, Topology.uniform rows cols (rows * cols / 3) (Seed.ofInt seed)
                   }
                   |> Arb.fromGen)
                  (fun (height, width, c) ->
                      let squares = strips (Picture.filterBank [| height; width |] c)

                      let wanted =
                          set
                              [ for row, col in pairs c do
                                    let input, cell = col / (height * width), col % (height * width)
                                    row * (height + 1) + cell / width, input * (width + 1) + cell % width ]

                      Expect.equal squares wanted "squares"))

          testCase "filters of more channels lie over each other, and planes of three sizes under each other" (fun () ->
              let c = Topology.uniform 100 900 9_000 (Seed.ofInt 1)
              let bank = Picture.filterBank [| 3; 3 |] c
              Expect.isLessThan bank.Length 200_000 "bounded"

              let down, across =
                  Seq.max (Seq.map fst (strips bank)), Seq.max (Seq.map snd (strips bank))

              Expect.isTrue (down < 24 * 4 && across < 24 * 4) $"{down} down, {across} across"
              let volume = Picture.filterBank [| 2; 3; 4 |] (Connectivity.full 1 24)

              Expect.equal
                  (strips volume)
                  (set
                      [ for y in 0..5 do
                            for x in 0..3 -> y, x ])
                  "planes"

              Expect.stringContains volume "kernels of 2 × 3 × 4" "title")

          testCase "a kernel that does not divide the columns is refused" (fun () ->
              for kernel, got in
                  [ [| 5; 5 |], "5 × 5"
                    [||], ""
                    [| 0; 3 |], "0 × 3"
                    [| 1; 1; 3; 3 |], "1 × 1 × 3 × 3" ] do
                  Expect.equal
                      (Expect.throwsC
                          (fun () -> Picture.filterBank kernel (Connectivity.full 2 54) |> ignore)
                          _.Message)
                      $"expected one to three sizes of 1 or more whose product, of 10000 at most, divides the 54 columns, got [{got}] (Parameter 'kernel')"
                      "message")

          testCase "a large pattern is scaled down within its bounds" (fun () ->
              let c = Topology.banded 10_000 30_000 300_000
              let lines = (Picture.brailleWithin 40 10 c).Split '\n'
              Expect.isLessThanOrEqual lines.Length 10 "lines"
              Expect.isTrue (lines |> Array.forall (fun l -> l.Length <= 40 && l.Length = lines[0].Length)) "columns"
              // A band along the diagonal: far from it there is nothing.
              let marked = dots (String.Join("\n", lines))
              Expect.isNonEmpty marked "something"
              Expect.isTrue (marked |> Set.forall (fun (row, col) -> abs (3 * row - col) <= 6)) "near the diagonal")

          testCase "a full pattern is full at any scale, an empty one empty" (fun () ->
              let full = Picture.brailleWithin 5 5 (Connectivity.full 40 20)
              Expect.isTrue (full |> Seq.forall (fun c -> c = '⣿' || c = '\n')) "full"
              let empty = Picture.brailleWithin 5 5 (Connectivity.empty 400 400)
              Expect.isTrue (empty |> Seq.forall (fun c -> c = '⠀' || c = '\n')) "empty")

          testCase "patterns without cells give empty pictures" (fun () ->
              for rows, cols in [ 0, 0; 0, 5 ] do
                  Expect.equal (Picture.braille (Connectivity.empty rows cols)) "" "no rows"

              Expect.equal ((Picture.braille (Connectivity.empty 5 0)).Trim()) "" "no columns"
              Expect.stringStarts (Picture.svg (Connectivity.empty 0 0)) "<svg" "an element")

          testCase "a bound below 1 is refused" (fun () ->
              Expect.throwsC (fun () -> Picture.brailleWithin 0 3 (Connectivity.full 2 2) |> ignore) (fun e ->
                  Expect.equal e.Message "expected 1 or more, got 0 (Parameter 'columns')" "text"))

          testCase "an svg of a small pattern" (fun () ->
              Expect.equal
                  (Picture.svg (Connectivity.ofMask (array2D [ [ true; true; false ]; [ false; false; true ] ])))
                  ("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 3 2\" width=\"320\" height=\"213\" "
                   + "shape-rendering=\"crispEdges\" role=\"img\"><title>Connectivity(rows=2, cols=3, nnz=3, sparsity=0.5)</title>"
                   + "<rect width=\"100%\" height=\"100%\" fill=\"#f4f4f4\"/>"
                   + "<path fill=\"#1f4e79\" fill-opacity=\"1\" d=\"M0 0h2v1h-2zM2 1h1v1h-1z\"/></svg>")
                  "svg")

          testCase "an svg is of bounded size for a pattern of a million rows and columns" (fun () ->
              let c = Topology.uniform 1_000_000 1_000_000 2_000_000 (Seed.ofInt 1)
              Expect.isLessThan (Picture.svg c).Length 300_000 "characters")

          testCase "a notebook finds the formatter by the names that it looks for" (fun () ->
              let attribute =
                  typeof<Connectivity>.GetCustomAttributes(false)
                  |> Array.find (fun a -> a.GetType().Name = "TypeFormatterSourceAttribute")

              let get (o: obj) (name: string) : obj =
                  (there name (o.GetType().GetProperty name)).GetValue o |> there name

              let source =
                  Activator.CreateInstance(get attribute "FormatterSourceType" :?> Type)
                  |> there "source"

              let call (o: obj) (name: string) (arguments: obj[]) : obj =
                  (there name (o.GetType().GetMethod name)).Invoke(o, arguments) |> there name

              let formatter =
                  unbox<seq<obj>>(call source "CreateTypeFormatters" [||]) |> Seq.exactlyOne

              Expect.equal (get formatter "MimeType") "text/html" "MIME type"
              use writer = new StringWriter()
              let c = Connectivity.full 2 2
              Expect.equal (call formatter "Format" [| c; writer |]) true "it did"
              Expect.equal (string writer) (Picture.svg c) "the svg"
              use other = new StringWriter()
              Expect.equal (call formatter "Format" [| "1 < 2"; other |]) true "a text"
              Expect.equal (string other) "<pre>1 &lt; 2</pre>" "as it stands") ]
