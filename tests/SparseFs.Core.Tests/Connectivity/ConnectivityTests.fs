module SparseFs.Tests.ConnectivityTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open SparseFs
open SparseFs.Testing

let private law name arb (body: 'a -> unit) =
    testProperty name (Prop.forAll arb body)

let private holds name arb (body: 'a -> Property) =
    testProperty name (Prop.forAll arb body)

/// The oracle: a pattern is a set of cells, read from the public buffers alone.
let private cells (c: Connectivity) : Set<int * int> =
    let rowPtr, colIdx = c.RowPtr.ToArray(), c.ColIdx.ToArray()

    set
        [ for row in 0 .. c.Rows - 1 do
              for slot in rowPtr[row] .. rowPtr[row + 1] - 1 -> row, colIdx[slot] ]

/// A pattern from a set of cells by way of create, which checks it.
let private ofCells (rows: int) (cols: int) (cells: Set<int * int>) =
    let inRow row =
        [| for r, col in cells do
               if r = row then
                   col |]

    let columns = Array.init rows inRow
    let rowPtr = columns |> Array.scan (fun n row -> n + row.Length) 0
    Connectivity.create rows cols rowPtr (Array.concat columns)

let private allCells (rows: int) (cols: int) =
    set
        [ for row in 0 .. rows - 1 do
              for col in 0 .. cols - 1 -> row, col ]

let private buffers (c: Connectivity) = c.RowPtr.ToArray(), c.ColIdx.ToArray()

/// An ArgumentException that names the argument and says each of these words.
let private refuses (paramName: string) (says: string list) (action: unit -> 'a) =
    try
        action () |> ignore
        failtest $"expected an ArgumentException for {paramName}, got none"
    with :? ArgumentException as e ->
        Expect.equal e.ParamName paramName "ParamName"

        for part in says do
            Expect.stringContains e.Message part "message"

/// A refusal as a typed error, and as an exception that carries the same words.
let private isRefused
    (error: ConnectivityError)
    (paramName: string)
    (says: string)
    (result: Result<Connectivity, ConnectivityError>)
    (orRaise: unit -> Connectivity)
    =
    Expect.equal result (Error error) "error"
    Expect.equal error.ParamName paramName "ParamName of the error"
    Expect.stringContains error.Message says "Message of the error"
    refuses paramName [ error.Message; "expected"; "got" ] orRaise

let private reaches (what: string) (drawn: 'a[]) (one: 'a -> bool) =
    Expect.isTrue (Array.exists one drawn) $"not vacuous: {what}"

// ---------------------------------------------------------------------------------------------------------
// Building
// ---------------------------------------------------------------------------------------------------------

/// Small buffers without any rule but their small range: many break a rule, many do not.
let private anyCsr: Gen<int * int * int[] * int[]> =
    gen {
        let! rows = Gen.choose (-1, 3)
        let! cols = Gen.choose (-1, 3)

        let! colIdx =
            Gen.choose (0, 4)
            |> Gen.bind (fun n -> Gen.arrayOfLength n (Gen.choose (-1, 3)))

        let! length =
            Gen.frequency [ 5, Gen.constant (max 0 (rows + 1)); 1, Gen.choose (0, 5) ]

        let! inner = Gen.arrayOfLength length (Gen.choose (0, colIdx.Length))
        let! rises = Gen.frequency [ 4, Gen.constant true; 1, Gen.constant false ]
        let rowPtr = if rises then Array.sort inner else inner

        if rises && length > 1 then
            rowPtr[0] <- 0
            rowPtr[length - 1] <- colIdx.Length

        return rows, cols, rowPtr, colIdx
    }

/// The rules of a CSR pattern, said as plainly as possible.
let private isCsr (rows: int, cols: int, rowPtr: int[], colIdx: int[]) =
    rows >= 0
    && cols >= 0
    && rowPtr.Length = rows + 1
    && rowPtr = Array.sort rowPtr
    && rowPtr[0] = 0
    && rowPtr[rows] = colIdx.Length
    && colIdx |> Array.forall (fun col -> 0 <= col && col < cols)
    && Seq.forall
        (fun row ->
            let columns = colIdx[rowPtr[row] .. rowPtr[row + 1] - 1]
            columns = Array.sort (Array.distinct columns))
        [ 0 .. rows - 1 ]

let private anyCoo: Gen<int * int * int[] * int[]> =
    gen {
        let! rows = Gen.choose (-1, 4)
        let! cols = Gen.choose (-1, 4)
        let! length = Gen.choose (0, 4)
        let! more = Gen.frequency [ 6, Gen.constant 0; 1, Gen.choose (1, 2) ]
        let! stray = Gen.frequency [ 4, Gen.constant 0; 1, Gen.constant 1 ]

        let! rowIdx =
            Gen.arrayOfLength length (Gen.choose (-stray, max 0 (rows - 1 + stray)))

        let! colIdx =
            Gen.arrayOfLength (length + more) (Gen.choose (-stray, max 0 (cols - 1 + stray)))

        return rows, cols, rowIdx, colIdx
    }

let private isCoo (rows: int, cols: int, rowIdx: int[], colIdx: int[]) =
    rows >= 0
    && cols >= 0
    && rowIdx.Length = colIdx.Length
    && rowIdx |> Array.forall (fun row -> 0 <= row && row < rows)
    && colIdx |> Array.forall (fun col -> 0 <= col && col < cols)
    && (Array.distinct (Array.zip rowIdx colIdx)).Length = rowIdx.Length

let private brokenCsr =
    [ (-1, 3, [| 0 |], [||]), ConnectivityError.Shape(-1, 3), "rows", "got [-1, 3]"
      (2, -3, [| 0; 0; 0 |], [||]), ConnectivityError.Shape(2, -3), "cols", "got [2, -3]"
      (2, 3, [||], [||]), ConnectivityError.RowPtrLength(3, 0), "rowPtr", "3 entries, got 0"
      (2, 3, [| 0; 1 |], [| 0 |]), ConnectivityError.RowPtrLength(3, 2), "rowPtr", "3 entries, got 2"
      (2, 3, [| 0; 0; 0; 0 |], [||]), ConnectivityError.RowPtrLength(3, 4), "rowPtr", "3 entries, got 4"
      (2, 3, [| 1; 1; 1 |], [| 0 |]), ConnectivityError.RowPtr(0, 1, 1), "rowPtr", "got 1 as entry 0"
      (0, 3, [| 1 |], [| 0 |]), ConnectivityError.RowPtr(0, 1, 1), "rowPtr", "got 1 as entry 0"
      (2, 3, [| 0; -1; 1 |], [| 0 |]), ConnectivityError.RowPtr(1, -1, 1), "rowPtr", "got -1 as entry 1"
      (3, 3, [| 0; 2; 1; 2 |], [| 0; 1 |]), ConnectivityError.RowPtr(2, 1, 2), "rowPtr", "got 1 as entry 2"
      (2, 3, [| 0; 9; 1 |], [| 0 |]), ConnectivityError.RowPtr(1, 9, 1), "rowPtr", "nnz = 1, got 9 as entry 1"
      (2, 3, [| 0; 0; Int32.MaxValue |], [| 0 |]),
      ConnectivityError.RowPtr(2, Int32.MaxValue, 1),
      "rowPtr",
      "got 2147483647 as entry 2"
      (2, 3, [| 0; 1; 1 |], [| 0; 1 |]), ConnectivityError.RowPtr(2, 1, 2), "rowPtr", "nnz = 2, got 1 as entry 2"
      (2, 3, [| 0; 1; 2 |], [| 0; 3 |]), ConnectivityError.Column(1, 3, 3), "colIdx", "0..2, got column 3 in row 1"
      (2, 3, [| 0; 1; 2 |], [| -1; 0 |]), ConnectivityError.Column(0, -1, 3), "colIdx", "0..2, got column -1 in row 0"
      (1, 3, [| 0; 2 |], [| 0; Int32.MaxValue |]),
      ConnectivityError.Column(0, Int32.MaxValue, 3),
      "colIdx",
      "got column 2147483647"
      (1, 0, [| 0; 1 |], [| 0 |]), ConnectivityError.Column(0, 0, 0), "colIdx", "got column 0 in row 0"
      (2, 3, [| 0; 1; 3 |], [| 0; 1; 1 |]),
      ConnectivityError.Duplicate(1, 1),
      "colIdx",
      "at most once, got (1, 1) twice"
      (2, 3, [| 0; 0; 2 |], [| 2; 0 |]), ConnectivityError.Order(1, 0, 2), "colIdx", "row 1, got 0 after 2" ]

let private brokenCoo =
    [ (-1, 3, [||], [||]), ConnectivityError.Shape(-1, 3), "rows", "got [-1, 3]"
      (3, -1, [||], [||]), ConnectivityError.Shape(3, -1), "cols", "got [3, -1]"
      (2, 3, [| 0; 1 |], [| 0 |]), ConnectivityError.Lengths(2, 1), "colIdx", "rows (2), got 1"
      (2, 3, [||], [| 0 |]), ConnectivityError.Lengths(0, 1), "colIdx", "rows (0), got 1"
      (2, 3, [| 0; 2 |], [| 0; 0 |]), ConnectivityError.Row(1, 2, 2), "rowIdx", "0..1, got row 2 in pair 1"
      (2, 3, [| -1; 0 |], [| 0; 0 |]), ConnectivityError.Row(0, -1, 2), "rowIdx", "0..1, got row -1 in pair 0"
      (2, 3, [| 0; 1 |], [| 0; 3 |]), ConnectivityError.Column(1, 3, 3), "colIdx", "0..2, got column 3 in row 1"
      (2, 3, [| 1 |], [| Int32.MinValue |]),
      ConnectivityError.Column(1, Int32.MinValue, 3),
      "colIdx",
      "got column -2147483648"
      (0, 3, [| 0 |], [| 0 |]), ConnectivityError.Row(0, 0, 0), "rowIdx", "got row 0 in pair 0"
      (2, 3, [| 1; 0; 1 |], [| 2; 2; 2 |]), ConnectivityError.Duplicate(1, 2), "colIdx", "got (1, 2) twice" ]

/// Every pair of a pattern, in any order.
let private mixed: Arbitrary<Connectivity * (int * int)[]> =
    let draw =
        gen {
            let! c = Generators.connectivity.Generator
            let! pairs = Gen.shuffle (Set.toArray (cells c))
            return c, pairs
        }

    Arb.fromGen draw

[<Tests>]
let building =
    testList
        "Connectivity is built"
        [ law "create shows exactly the buffers that it was given" Generators.connectivity (fun c ->
              let rowPtr, colIdx = buffers c
              let again = Connectivity.create c.Rows c.Cols rowPtr colIdx
              Expect.equal (buffers again) (rowPtr, colIdx) "buffers"
              Expect.equal (again.Rows, again.Cols, again.Nnz) (c.Rows, c.Cols, colIdx.Length) "sizes")

          law "create copies: what becomes of the caller's arrays changes nothing" Generators.connectivity (fun c ->
              let rowPtr, colIdx = buffers c
              let again = Connectivity.create c.Rows c.Cols rowPtr colIdx
              Array.Fill(rowPtr, -7)
              Array.Fill(colIdx, -7)
              Expect.equal again c "pattern")

          law "ofPairs copies and leaves the caller's arrays as they are" mixed (fun (c, pairs) ->
              let rowIdx, colIdx = Array.unzip pairs
              let built = Connectivity.ofPairs c.Rows c.Cols rowIdx colIdx
              Expect.equal (Array.zip rowIdx colIdx) pairs "arguments"
              Array.Fill(rowIdx, -7)
              Array.Fill(colIdx, -7)
              Expect.equal built c "pattern")

          law "tryCreate accepts what keeps every rule of CSR and nothing else" (Arb.fromGen anyCsr) (fun spec ->
              let rows, cols, rowPtr, colIdx = spec

              match Connectivity.tryCreate rows cols rowPtr colIdx with
              | Ok c ->
                  Expect.isTrue (isCsr spec) "accepted"
                  Expect.equal (buffers c) (rowPtr, colIdx) "buffers"
              | Error _ -> Expect.isFalse (isCsr spec) "refused")

          law "tryOfPairs accepts distinct pairs in range and nothing else" (Arb.fromGen anyCoo) (fun spec ->
              let rows, cols, rowIdx, colIdx = spec

              match Connectivity.tryOfPairs rows cols rowIdx colIdx with
              | Ok c ->
                  Expect.isTrue (isCoo spec) "accepted"
                  Expect.equal (cells c) (set (Seq.zip rowIdx colIdx)) "pairs"
              | Error _ -> Expect.isFalse (isCoo spec) "refused")

          testCase "the drawn buffers reach both sides of the rules" (fun () ->
              let csr = Statistics.sample 2000 anyCsr
              let coo = Statistics.sample 2000 anyCoo
              reaches "CSR that is accepted, with slots" csr (fun (r, c, p, i) -> i.Length > 1 && isCsr (r, c, p, i))
              reaches "CSR that is refused" csr (isCsr >> not)
              reaches "COO that is accepted, with slots" coo (fun (r, c, p, i) -> i.Length > 1 && isCoo (r, c, p, i))
              reaches "COO that is refused" coo (isCoo >> not)

              let cases (errors: (_ * _ * int[] * int[] -> ConnectivityError option)) drawn =
                  drawn
                  |> Array.choose errors
                  |> Array.map (fun e -> e.GetType().Name)
                  |> Array.distinct
                  |> Array.sort

              let errorOf =
                  function
                  | Ok _ -> None
                  | Error(e: ConnectivityError) -> Some e

              Expect.equal
                  (cases (fun (r, c, p, i) -> errorOf (Connectivity.tryCreate r c p i)) csr)
                  [| "Column"; "Duplicate"; "Order"; "RowPtr"; "RowPtrLength"; "Shape" |]
                  "every rule of CSR"

              Expect.equal
                  (cases (fun (r, c, p, i) -> errorOf (Connectivity.tryOfPairs r c p i)) coo)
                  [| "Column"; "Duplicate"; "Lengths"; "Row"; "Shape" |]
                  "every rule of COO")

          for (rows, cols, rowPtr, colIdx), error, paramName, says in brokenCsr do
              testCase $"create [{rows}, {cols}] is refused: {error}" (fun () ->
                  isRefused error paramName says (Connectivity.tryCreate rows cols rowPtr colIdx) (fun () ->
                      Connectivity.create rows cols rowPtr colIdx))

          for (rows, cols, rowIdx, colIdx), error, paramName, says in brokenCoo do
              testCase $"ofPairs [{rows}, {cols}] is refused: {error}" (fun () ->
                  isRefused error paramName says (Connectivity.tryOfPairs rows cols rowIdx colIdx) (fun () ->
                      Connectivity.ofPairs rows cols rowIdx colIdx))

          testCase "null arguments are refused by name" (fun () ->
              refuses "rowPtr" [] (fun () -> Connectivity.create 0 0 Unchecked.defaultof<_> [||])
              refuses "colIdx" [] (fun () -> Connectivity.create 0 0 [| 0 |] Unchecked.defaultof<_>)
              refuses "rowPtr" [] (fun () -> Connectivity.tryCreate 0 0 Unchecked.defaultof<_> [||])
              refuses "rowIdx" [] (fun () -> Connectivity.ofPairs 0 0 Unchecked.defaultof<_> [||])
              refuses "colIdx" [] (fun () -> Connectivity.ofPairs 0 0 [||] Unchecked.defaultof<_>)
              refuses "rowIdx" [] (fun () -> Connectivity.tryOfPairs 0 0 Unchecked.defaultof<_> [||])
              refuses "mask" [] (fun () -> Connectivity.ofMask Unchecked.defaultof<_>)
              refuses "weight" [] (fun () -> Connectivity.ofMagnitude 0 Unchecked.defaultof<_>))

          law "pairs in any order give the same pattern" mixed (fun (c, pairs) ->
              let rowIdx, colIdx = Array.unzip pairs
              Expect.equal (Connectivity.ofPairs c.Rows c.Cols rowIdx colIdx) c "pattern")

          law "a pair that comes twice is refused, wherever it stands" mixed (fun (c, pairs) ->
              if pairs.Length > 0 then
                  let rowIdx, colIdx = Array.unzip (Array.append pairs [| pairs[pairs.Length / 2] |])
                  let expected = Error(ConnectivityError.Duplicate pairs[pairs.Length / 2])
                  Expect.equal (Connectivity.tryOfPairs c.Rows c.Cols rowIdx colIdx) expected "twice")

          law "rowIndices with ColIdx is the COO form in slot order" Generators.connectivity (fun c ->
              let pairs = Array.zip (Connectivity.rowIndices c) (c.ColIdx.ToArray())
              Expect.equal pairs (Set.toArray (cells c)) "sorted pairs")

          testCase "empty has no slot, full has all, whatever the shape" (fun () ->
              for rows, cols in [ 0, 0; 0, 5; 5, 0; 1, 1; 1, 17; 17, 1; 6, 7 ] do
                  let empty = Connectivity.empty rows cols
                  Expect.equal (empty.Rows, empty.Cols, cells empty) (rows, cols, Set.empty) "empty"
                  Expect.equal (buffers empty) (Array.zeroCreate (rows + 1), [||]) "empty buffers"
                  Expect.equal (Connectivity.full rows cols) (ofCells rows cols (allCells rows cols)) "full")

          testCase "a shape that cannot be is refused" (fun () ->
              refuses "rows" [ "0.."; "-1" ] (fun () -> Connectivity.empty -1 3)
              refuses "cols" [ "0.."; "-1" ] (fun () -> Connectivity.empty 3 -1)
              refuses "rows" [ "0.."; "-1" ] (fun () -> Connectivity.full -1 3)
              refuses "cols" [ "0.."; "-1" ] (fun () -> Connectivity.full 3 -1)

              Expect.throwsT<ArgumentOutOfRangeException>
                  (fun () -> Connectivity.full 65536 32768 |> ignore)
                  "2^31 slots are one too many") ]

// ---------------------------------------------------------------------------------------------------------
// Dense masks and weights
// ---------------------------------------------------------------------------------------------------------

/// Few different magnitudes, so that most counts cut through a tie; infinities and both zeros among them.
let private weights: Arbitrary<int * float32[,]> =
    let value =
        Gen.elements
            [ 0.0f
              -0.0f
              0.5f
              -0.5f
              1.0f
              -1.0f
              2.0f
              Single.Epsilon
              infinityf
              -infinityf ]

    let draw =
        gen {
            let! rows = Gen.choose (0, 9)
            let! cols = Gen.choose (0, 9)
            let! values = Gen.arrayOfLength (rows * cols) value
            let! nnz = Gen.choose (0, rows * cols)
            return nnz, Array2D.init rows cols (fun row col -> values[row * cols + col])
        }

    Arb.fromGen draw

/// Every cell with its magnitude, the largest first, the lower cell first among equals.
let private ranked (weight: float32[,]) =
    let cols = Array2D.length2 weight

    [ for row in 0 .. Array2D.length1 weight - 1 do
          for col in 0 .. cols - 1 -> abs weight[row, col], (row, col) ]
    |> List.sortBy (fun (magnitude, (row, col)) -> -magnitude, row * cols + col)

[<Tests>]
let dense =
    testList
        "Connectivity and dense matrices"
        [ law "toMask is true at the slots and nowhere else" Generators.connectivity (fun c ->
              let slots = cells c
              let expected = Array2D.init c.Rows c.Cols (fun row col -> slots.Contains(row, col))
              Expect.equal (Connectivity.toMask c) expected "mask")

          law "ofMask gives back what toMask showed" Generators.connectivity (fun c ->
              Expect.equal (Connectivity.ofMask (Connectivity.toMask c)) c "round trip")

          testCase "ofMask reads row by row, and does not keep the mask" (fun () ->
              let mask =
                  array2D [ [ false; true; true ]; [ false; false; false ]; [ true; false; false ] ]

              let c = Connectivity.ofMask mask
              mask[0, 1] <- false
              Expect.equal (buffers c) ([| 0; 2; 2; 3 |], [| 1; 2; 0 |]) "buffers")

          law
              "ofMagnitude keeps exactly nnz, the largest first and the lower cell in a tie"
              weights
              (fun (nnz, weight) ->
                  let c = Connectivity.ofMagnitude nnz weight
                  let expected = ranked weight |> List.truncate nnz |> List.map snd |> set
                  Expect.equal c.Nnz nnz "nnz"
                  Expect.equal (cells c) expected "cells")

          law "no dropped magnitude exceeds a kept one" weights (fun (nnz, weight) ->
              let slots = cells (Connectivity.ofMagnitude nnz weight)
              let kept, dropped = ranked weight |> List.partition (snd >> slots.Contains)

              for magnitude, _ in List.truncate 1 (List.sortBy fst kept) do
                  Expect.all dropped (fun (d, _) -> d <= magnitude) "dropped")

          testCase "the drawn weights reach ties that a count cuts through, all cells and none" (fun () ->
              let drawn = Statistics.sample 500 weights.Generator

              reaches "a cut tie" drawn (fun (nnz, weight) ->
                  let order = ranked weight
                  nnz > 0 && nnz < order.Length && fst order[nnz - 1] = fst order[nnz])

              reaches "a cut through infinities" drawn (fun (nnz, weight) ->
                  let order = ranked weight
                  nnz > 0 && nnz < order.Length && Single.IsInfinity(fst order[nnz]))

              reaches "all" drawn (fun (nnz, weight) -> nnz > 10 && nnz = weight.Length)
              reaches "none" drawn (fun (nnz, weight) -> nnz = 0 && weight.Length > 10)
              reaches "no cell" drawn (fun (_, weight) -> weight.Length = 0))

          testCase "infinities are kept first, whatever their sign" (fun () ->
              let weight = array2D [ [ 1e30f; -infinityf ]; [ infinityf; Single.MaxValue ] ]
              Expect.equal (cells (Connectivity.ofMagnitude 2 weight)) (set [ 0, 1; 1, 0 ]) "two"
              Expect.equal (cells (Connectivity.ofMagnitude 1 weight)) (set [ 0, 1 ]) "the lower one")

          testCase "NaN is refused, wherever it stands and whatever the count" (fun () ->
              for nnz in 0..4 do
                  for cell in 0..3 do
                      let weight =
                          Array2D.init 2 2 (fun row col -> if row * 2 + col = cell then nanf else infinityf)

                      refuses "weight" [ "NaN" ] (fun () -> Connectivity.ofMagnitude nnz weight))

          law
              "over several layers, the largest of all stay; ties go to the lower layer, then to the lower cell"
              (Arb.fromGen (
                  Gen.listOf (Gen.map snd weights.Generator)
                  |> Gen.resize 5
                  |> Gen.map Array.ofList
              ))
              (fun layers ->
                  let ranked =
                      [| for layer in 0 .. layers.Length - 1 do
                             for row in 0 .. Array2D.length1 layers[layer] - 1 do
                                 for col in 0 .. Array2D.length2 layers[layer] - 1 ->
                                     -abs layers[layer].[row, col], layer, row, col |]
                      |> Array.sort

                  for nnz in List.distinct [ 0; ranked.Length / 3; ranked.Length / 2; ranked.Length ] do
                      let kept = Connectivity.ofMagnitudes (int64 nnz) layers

                      let wanted =
                          set [ for _, layer, row, col in Array.truncate nnz ranked -> layer, row, col ]

                      let got =
                          set
                              [ for layer in 0 .. kept.Length - 1 do
                                    for row, col in cells kept[layer] -> layer, row, col ]

                      Expect.equal got wanted $"{nnz} slots")

          testCase "a count outside 0..cells is refused" (fun () ->
              let weight = Array2D.zeroCreate 2 3
              refuses "nnz" [ "0..6"; "-1" ] (fun () -> Connectivity.ofMagnitude -1 weight)
              refuses "nnz" [ "0..6"; "7" ] (fun () -> Connectivity.ofMagnitude 7 weight)
              let refusesAll = refuses "nnz" [ "0..12"; "13" ]
              refusesAll (fun () -> Connectivity.ofMagnitudes 13L [| weight; weight |] |> Array.head)) ]

// ---------------------------------------------------------------------------------------------------------
// Reading
// ---------------------------------------------------------------------------------------------------------

[<Tests>]
let reading =
    testList
        "Connectivity is read"
        [ holds "every drawn pattern keeps every rule" Generators.connectivity Laws.isPattern

          law "sizes, density and sparsity are those of the cells" Generators.connectivity (fun c ->
              let nnz = (cells c).Count
              Expect.equal (c.Nnz, c.Cells) (nnz, int64 c.Rows * int64 c.Cols) "nnz and cells"
              let density = if c.Cells = 0L then 0.0 else float nnz / float c.Cells
              Expect.floatClose Accuracy.veryHigh c.Density density "density"
              Expect.floatClose Accuracy.veryHigh c.Sparsity (1.0 - density) "sparsity")

          law "fanIn counts each row, fanOut each column, and both add up to nnz" Generators.connectivity (fun c ->
              let slots = Set.toList (cells c)

              let inRow row =
                  slots |> List.filter (fun (r, _) -> r = row) |> List.length

              let inColumn col =
                  slots |> List.filter (fun (_, k) -> k = col) |> List.length

              Expect.equal (Connectivity.fanIn c) (Array.init c.Rows inRow) "fanIn"
              Expect.equal (Connectivity.fanOut c) (Array.init c.Cols inColumn) "fanOut"
              Expect.equal (Array.sum (Connectivity.fanIn c)) c.Nnz "sum of fanIn"
              Expect.equal (Array.sum (Connectivity.fanOut c)) c.Nnz "sum of fanOut")

          law "tryFindSlot finds the slot of each cell, or none" Generators.connectivity (fun c ->
              let slots = cells c |> Seq.mapi (fun slot cell -> cell, slot) |> Map.ofSeq

              for cell in allCells c.Rows c.Cols do
                  Expect.equal (Connectivity.tryFindSlot (fst cell) (snd cell) c) (Map.tryFind cell slots) "slot")

          law "tryFindSlot refuses a cell outside the matrix, by name" Generators.connectivity (fun c ->
              for row in [ -1; c.Rows; Int32.MinValue; Int32.MaxValue ] do
                  refuses "row" [ $"0..{c.Rows - 1}"; $"{row}" ] (fun () -> Connectivity.tryFindSlot row 0 c)

              if c.Rows > 0 then
                  for col in [ -1; c.Cols; Int32.MinValue; Int32.MaxValue ] do
                      refuses "col" [ $"0..{c.Cols - 1}"; $"{col}" ] (fun () -> Connectivity.tryFindSlot 0 col c))

          holds "transposing twice gives the pattern back" Generators.connectivity Laws.transposeTwice

          law "the transpose takes its values through the slot map" Generators.connectivity (fun c ->
              let t, from = Connectivity.transpose c
              let values = Array.init c.Nnz (fun slot -> 1.0 + 0.25 * float slot)

              let matrix (p: Connectivity) (values: float[]) =
                  let m = Array2D.zeroCreate p.Rows p.Cols
                  cells p |> Seq.iteri (fun slot (row, col) -> m[row, col] <- values[slot])
                  m

              let valuesT = from |> Array.map (fun slot -> values[slot])
              let expected = matrix c values

              Expect.equal (matrix t valuesT) (Array2D.init c.Cols c.Rows (fun col row -> expected[row, col])) "matrix")

          testCase "prints one line with its sizes" (fun () ->
              let c = Connectivity.ofPairs 2 4 [| 0; 1 |] [| 3; 0 |]
              Expect.equal (string c) "Connectivity(rows=2, cols=4, nnz=2, sparsity=0.75)" "text")

          testCase "cells beyond 2^31 are counted, found and combined" (fun () ->
              let n = 100000

              let a =
                  Connectivity.ofPairs n n [| 99999; 0; 50000; 99999 |] [| 99999; 99999; 7; 0 |]

              let b = Connectivity.ofPairs n n [| 99999; 50000 |] [| 99999; 8 |]
              Expect.equal (a.Cells, a.Nnz) (10000000000L, 4) "cells"
              Expect.floatClose Accuracy.veryHigh a.Sparsity (1.0 - 4e-10) "sparsity"
              Expect.equal (Connectivity.tryFindSlot 99999 99999 a) (Some 3) "the last cell"
              Expect.equal (Connectivity.tryFindSlot 99999 99998 a) None "the cell before it"
              let t, from = Connectivity.transpose a
              Expect.equal (cells t) (set [ 0, 99999; 7, 50000; 99999, 0; 99999, 99999 ]) "transpose"
              Expect.equal from [| 2; 1; 0; 3 |] "slot map"
              let union = set [ 0, 99999; 50000, 7; 50000, 8; 99999, 0; 99999, 99999 ]
              Expect.equal (cells (Connectivity.union a b)) union "union"
              Expect.equal (cells (Connectivity.intersect a b)) (set [ 99999, 99999 ]) "intersect"
              refuses "connectivity" [ "2147483647"; "10000000000" ] (fun () -> Connectivity.toMask a)
              Expect.throwsT<ArgumentOutOfRangeException> (fun () -> Connectivity.full n n |> ignore) "full") ]

// ---------------------------------------------------------------------------------------------------------
// Equality
// ---------------------------------------------------------------------------------------------------------

/// Every pattern that one slot of this one, moved to a free cell, gives.
let private moved (c: Connectivity) =
    let slots = cells c

    [ for slot in slots do
          for free in allCells c.Rows c.Cols - slots -> ofCells c.Rows c.Cols (slots.Remove(slot).Add free) ]

[<Tests>]
let equality =
    testList
        "Connectivity is compared"
        [ law "patterns are equal exactly when shape and cells are" (Generators.ofOneShape 2) (fun patterns ->
              let a, b = patterns[0], patterns[1]
              Expect.equal (a = b) (cells a = cells b) "equality"
              Expect.equal (a.Fingerprint = b.Fingerprint) (cells a = cells b) "fingerprint")

          law "equal content has equal hash and fingerprint" Generators.connectivity (fun c ->
              let again = ofCells c.Rows c.Cols (cells c)
              Expect.isFalse (Object.ReferenceEquals(again, c)) "another object"
              Expect.equal again c "equal"
              Expect.isTrue ((c :> IEquatable<Connectivity>).Equals again) "IEquatable"
              Expect.equal (again.GetHashCode()) (c.GetHashCode()) "hash"
              Expect.equal again.Fingerprint c.Fingerprint "fingerprint")

          law "nothing is equal to null or to another kind of thing" Generators.connectivity (fun c ->
              Expect.isFalse (c.Equals(null: obj | null)) "null"
              Expect.isFalse ((c :> IEquatable<Connectivity>).Equals(Unchecked.defaultof<Connectivity>)) "typed null"
              Expect.isFalse (c.Equals "Connectivity") "a string")

          testCase "moving any one slot changes equality and fingerprint" (fun () ->
              let c = ofCells 5 7 (set [ 0, 0; 0, 6; 1, 3; 3, 1; 3, 2; 3, 5; 4, 6 ])
              let others = moved c
              Expect.equal others.Length (7 * 28) "7 slots to 28 free cells"
              Expect.isFalse (List.contains c others) "equality"

              let fingerprints =
                  List.distinct (c.Fingerprint :: List.map (fun (o: Connectivity) -> o.Fingerprint) others)

              Expect.equal fingerprints.Length (1 + (List.distinct others).Length) "fingerprint")

          testCase "shapes count, also without a slot" (fun () ->
              let empties =
                  [ for rows in 0..4 do
                        for cols in 0..4 -> Connectivity.empty rows cols ]

              for i, a in List.indexed empties do
                  for j, b in List.indexed empties do
                      Expect.equal (a = b) (i = j) $"{a} = {b}"


              Expect.equal
                  (empties |> List.distinctBy (fun (c: Connectivity) -> c.Fingerprint)).Length
                  25
                  "fingerprint")

          testCase "the fingerprint is pinned: other programs may have written it down" (fun () ->
              let c = Connectivity.ofPairs 3 5 [| 0; 0; 2 |] [| 1; 4; 0 |]
              Expect.equal c.Fingerprint 0x6A760AF11B906D93UL "three slots"
              Expect.equal (Connectivity.empty 0 0).Fingerprint 0xD94D12186C0F2FB7UL "no slot") ]

// ---------------------------------------------------------------------------------------------------------
// Set algebra
// ---------------------------------------------------------------------------------------------------------

[<Tests>]
let algebra =
    testList
        "Connectivity is combined"
        [ holds
              "union, intersect, difference and diff are those of the sets of cells"
              (Generators.ofOneShape 2)
              (fun p -> Laws.algebra p[0] p[1])

          law
              "union and intersect with itself change nothing, difference leaves nothing"
              Generators.connectivity
              (fun c ->
                  let empty = Connectivity.empty c.Rows c.Cols
                  Expect.equal (Connectivity.union c c) c "union"
                  Expect.equal (Connectivity.intersect c c) c "intersect"
                  Expect.equal (Connectivity.difference c c) empty "difference"
                  Expect.equal (Connectivity.diff c c) { Added = empty; Removed = empty } "diff"
                  Expect.isTrue (Connectivity.isSubset c c) "subset")

          law "the empty and the full pattern are the neutral ones" Generators.connectivity (fun c ->
              let empty, full = Connectivity.empty c.Rows c.Cols, Connectivity.full c.Rows c.Cols
              Expect.equal (Connectivity.union c empty) c "union with empty"
              Expect.equal (Connectivity.intersect c full) c "intersect with full"
              Expect.equal (Connectivity.union c full) full "union with full"
              Expect.equal (Connectivity.intersect c empty) empty "intersect with empty"
              Expect.equal (Connectivity.difference c empty) c "difference with empty"
              Expect.isTrue (Connectivity.isSubset empty c && Connectivity.isSubset c full) "subset")

          law "De Morgan holds within the full pattern" (Generators.ofOneShape 2) (fun p ->
              let full = Connectivity.full p[0].Rows p[0].Cols
              let absent = Connectivity.difference full
              let either, both = Connectivity.union p[0] p[1], Connectivity.intersect p[0] p[1]
              Expect.equal (absent either) (Connectivity.intersect (absent p[0]) (absent p[1])) "not either"
              Expect.equal (absent both) (Connectivity.union (absent p[0]) (absent p[1])) "not both")

          law "union and intersect associate and distribute" (Generators.ofOneShape 3) (fun p ->
              let a, b, c = p[0], p[1], p[2]
              let union, intersect = Connectivity.union, Connectivity.intersect
              Expect.equal (union (union a b) c) (union a (union b c)) "union"
              Expect.equal (intersect (intersect a b) c) (intersect a (intersect b c)) "intersect"
              Expect.equal (intersect a (union b c)) (union (intersect a b) (intersect a c)) "distribute")

          law "transposing commutes with the algebra" (Generators.ofOneShape 2) (fun p ->
              let t = Connectivity.transpose >> fst
              Expect.equal (t (Connectivity.union p[0] p[1])) (Connectivity.union (t p[0]) (t p[1])) "union"

              Expect.equal
                  (t (Connectivity.difference p[0] p[1]))
                  (Connectivity.difference (t p[0]) (t p[1]))
                  "difference")

          law "a diff holds what changed and nothing else" (Generators.ofOneShape 2) (fun p ->
              let diff = Connectivity.diff p[0] p[1]
              let empty = Connectivity.empty p[0].Rows p[0].Cols
              Expect.equal (Connectivity.intersect diff.Added diff.Removed) empty "apart"
              Expect.isTrue (Connectivity.isSubset diff.Removed p[0]) "removed was there"
              Expect.isTrue (Connectivity.isSubset diff.Added p[1]) "added is there"
              Expect.equal (p[0].Nnz + diff.Added.Nnz - diff.Removed.Nnz) p[1].Nnz "counts")

          testCase "patterns of other shapes are refused by name, with both shapes" (fun () ->
              let a, b, c = Connectivity.empty 2 3, Connectivity.empty 3 2, Connectivity.empty 2 4
              let says = [ "[2, 3]"; "[3, 2]" ]
              refuses "b" says (fun () -> Connectivity.union a b)
              refuses "b" says (fun () -> Connectivity.intersect a b)
              refuses "b" says (fun () -> Connectivity.difference a b)
              refuses "after" says (fun () -> Connectivity.diff a b)
              refuses "outer" says (fun () -> Connectivity.isSubset a b)
              refuses "b" [ "[2, 3]"; "[2, 4]" ] (fun () -> Connectivity.union a c)
              refuses "b" [] (fun () -> Connectivity.union (Connectivity.empty 0 3) (Connectivity.empty 0 2)))

          testCase "the drawn pairs reach overlap, inclusion, equality and disjointness" (fun () ->
              let drawn =
                  Statistics.sample 1000 (Generators.ofOneShape 2).Generator
                  |> Array.map (fun p -> cells p[0], cells p[1])

              let some (a: Set<_>, b: Set<_>) = a.Count > 1 && b.Count > 1

              let reaches what one =
                  reaches what drawn (fun (a, b) -> some (a, b) && one (a, b))

              reaches "a proper subset" (fun (a, b) -> Set.isProperSubset a b)
              reaches "equal" (fun (a, b) -> a = b)
              reaches "disjoint" (fun (a, b) -> (Set.intersect a b).IsEmpty)

              reaches "overlap" (fun (a, b) ->
                  not (Set.intersect a b).IsEmpty && not (a - b).IsEmpty && not (b - a).IsEmpty)) ]

// ---------------------------------------------------------------------------------------------------------
// The generators and laws that users have
// ---------------------------------------------------------------------------------------------------------

let private registered =
    { FsCheckConfig.defaultConfig with
        arbitrary = [ typeof<SparseFsArbitraries> ] }

let private checks (property: Property) =
    Check.One(Config.QuickThrowOnFailure.WithQuietOnSuccess true, property)

let private fails (what: string) (property: Property) =
    Expect.throws (fun () -> checks property) what

[<Tests>]
let companion =
    testList
        "SparseFs.FsCheck"
        [ testCase "the drawn patterns reach every corner" (fun () ->
              let drawn = Statistics.sample 1000 Generators.connectivity.Generator
              let reaches what one = reaches what drawn one
              let some (c: Connectivity) = c.Nnz > 3 && c.Density < 0.9
              reaches "an empty row beside others" (fun c -> some c && Array.contains 0 (Connectivity.fanIn c))
              reaches "an empty column beside others" (fun c -> some c && Array.contains 0 (Connectivity.fanOut c))
              reaches "a full row beside others" (fun c -> some c && Array.contains c.Cols (Connectivity.fanIn c))
              reaches "no empty row" (fun c -> some c && not (Array.contains 0 (Connectivity.fanIn c)))
              reaches "no slot" (fun c -> c.Cells > 10L && c.Nnz = 0)
              reaches "full" (fun c -> c.Cells > 10L && int64 c.Nnz = c.Cells)
              reaches "0 × n" (fun c -> c.Rows = 0 && c.Cols > 0)
              reaches "n × 0" (fun c -> c.Rows > 0 && c.Cols = 0)
              reaches "1 × n" (fun c -> c.Rows = 1 && c.Cols > 1 && c.Nnz > 0)
              reaches "n × 1" (fun c -> c.Cols = 1 && c.Rows > 1 && c.Nnz > 0)

              for size in [ 7; 8; 9; 15; 16; 17; 31; 32; 33 ] do
                  reaches $"{size} rows" (fun c -> c.Rows = size && c.Nnz > 0)
                  reaches $"{size} columns" (fun c -> c.Cols = size && c.Nnz > 0)
                  reaches $"a row of {size} slots" (fun c -> Array.contains size (Connectivity.fanIn c)))

          law "a shrunk pattern is a smaller one" Generators.connectivity (fun c ->
              let weight (p: Connectivity) = p.Rows + p.Cols + p.Nnz

              for smaller in Generators.connectivity.Shrinker c |> Seq.truncate 50 do
                  Expect.isLessThan (weight smaller) (weight c) "smaller")

          law "a pattern of a shape keeps the shape, also when it shrinks" (Generators.ofShape 5 9) (fun c ->
              Expect.equal (c.Rows, c.Cols) (5, 9) "drawn"

              for smaller in (Generators.ofShape 5 9).Shrinker c do
                  Expect.equal (smaller.Rows, smaller.Cols) (5, 9) "shrunk"
                  Expect.isTrue (Connectivity.isSubset smaller c && smaller.Nnz < c.Nnz) "fewer slots")

          law "patterns of one shape are of one shape, also when they shrink" (Generators.ofOneShape 3) (fun patterns ->
              for ps in Seq.append [ patterns ] ((Generators.ofOneShape 3).Shrinker patterns |> Seq.truncate 20) do
                  Expect.equal ps.Length 3 "three"
                  Expect.all ps (fun p -> p.Rows = patterns[0].Rows && p.Cols = patterns[0].Cols) "shape")

          testCase "a failing pattern shrinks to the smallest that fails" (fun () ->
              let rec least (c: Connectivity) =
                  match Generators.connectivity.Shrinker c |> Seq.tryFind (fun s -> s.Nnz >= 2) with
                  | Some smaller -> least smaller
                  | None -> c

              let smallest = least (Connectivity.full 9 11)
              Expect.equal (smallest.Nnz, smallest.Cells) (2, 2L) "two slots in two cells")

          testCase "the drawn seeds differ" (fun () ->
              let drawn = Statistics.sample 1000 Generators.seed.Generator
              Expect.isGreaterThan (Array.distinct drawn).Length 500 "not vacuous")

          testPropertyWithConfig
              registered
              "a property may ask for a pattern and a seed"
              (fun (c: Connectivity) (seed: Seed) ->
                  let again = Topology.uniform c.Rows c.Cols c.Nnz seed
                  again.Nnz = c.Nnz)

          testCase "the laws notice a broken pattern" (fun () ->
              fails "a repeat" (Laws.isPattern (Connectivity.ofSortedCells 1 3 [| 1L; 1L |]))
              fails "out of order" (Laws.isPattern (Connectivity.ofSortedCells 2 3 [| 5L; 3L |]))
              fails "a repeat" (Laws.transposeTwice (Connectivity.ofSortedCells 2 3 [| 4L; 4L |]))

              fails
                  "out of order"
                  (Laws.algebra (Connectivity.ofSortedCells 1 3 [| 2L; 0L |]) (Connectivity.ofSortedCells 1 3 [| 0L |])))

          testCase "the laws notice a generator that breaks its promise" (fun () ->
              let uniform nnz = Topology.uniform 5 6 nnz
              let mutable calls = 0

              let forgetful (seed: Seed) =
                  calls <- calls + 1
                  uniform 7 (Seed.child calls seed)

              checks (Laws.exactNnz 5 6 7 (uniform 7))
              fails "a slot too many" (Laws.exactNnz 5 6 7 (uniform 8))
              fails "rows and columns swapped" (Laws.exactNnz 6 5 7 (uniform 7))
              fails "hidden state" (Laws.sameSeedSamePattern forgetful))

          testCase "the law of topologies notices each broken promise" (fun () ->
              let mutable calls = 0

              let forgetful rows cols nnz seed =
                  calls <- calls + 1
                  Topology.uniform rows cols nnz (Seed.child calls seed)

              let refusing isRefused rows cols nnz (seed: Seed) =
                  if isRefused rows cols nnz seed then
                      invalidArg (nameof nnz) "refused"

                  Topology.uniform rows cols nnz seed

              checks (Laws.topology Topology.uniform)
              fails "hidden state" (Laws.topology forgetful)
              fails "no use of the seed" (Laws.topology (fun rows cols nnz _ -> Topology.banded rows cols nnz))
              fails "rows and columns swapped" (Laws.topology (fun rows cols -> Topology.uniform cols rows))

              fails
                  "a slot too few"
                  (Laws.topology (fun rows cols nnz -> Topology.uniform rows cols (max 0 (nnz - 1))))

              fails "refusal of a full matrix" (Laws.topology (refusing (fun rows cols nnz _ -> nnz = rows * cols)))
              fails "refusal by the seed" (Laws.topology (refusing (fun _ _ _ seed -> seed.GetHashCode() % 2 = 0)))) ]
