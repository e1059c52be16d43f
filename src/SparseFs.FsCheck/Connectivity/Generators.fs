namespace SparseFs.Testing

open global.FsCheck
open global.FsCheck.FSharp
open SparseFs

/// <summary>Patterns and seeds to test with. Every drawn value is valid by construction; none is ever filtered out.</summary>
/// <remarks>Open FsCheck before SparseFs, or as <c>global.FsCheck</c>: after <c>open SparseFs</c> its short name means this
/// namespace.</remarks>
[<RequireQualifiedAccess>]
module Generators =

    /// The columns of each row: the form in which a pattern is drawn and shrunk.
    let private ofColumns (cols: int) (rows: int[][]) : Connectivity =
        let rowPtr = rows |> Array.scan (fun slots row -> slots + row.Length) 0
        Connectivity.create rows.Length cols rowPtr (Array.concat rows)

    let private columnsOf (c: Connectivity) : int[][] =
        let rowPtr = c.RowPtr.ToArray()
        let colIdx = c.ColIdx.ToArray()
        Array.init c.Rows (fun row -> colIdx[rowPtr[row] .. rowPtr[row + 1] - 1])

    /// Both sides of the tails of 8 and 16 lanes, and the sizes that are no size.
    let private size: Gen<int> =
        Gen.sized (fun most ->
            Gen.frequency
                [ 1, Gen.constant 0
                  1, Gen.constant 1
                  4, Gen.choose (0, min 70 (most + 1))
                  2, Gen.elements [ 7; 8; 9; 15; 16; 17; 31; 32; 33 ] ])

    /// A rising part of the columns: none, all, or some.
    let private part (columns: int[]) : Gen<int[]> =
        let some =
            gen {
                let! count = Gen.choose (0, columns.Length)
                let! mixed = Gen.shuffle columns
                return mixed |> Array.truncate count |> Array.sort
            }

        Gen.frequency [ 1, Gen.constant [||]; 1, Gen.constant columns; 4, some ]

    /// Columns that are left out of the drawn part of all columns stay empty in every row.
    let private drawOfShape (rows: int) (cols: int) : Gen<Connectivity> =
        let all = [| 0 .. cols - 1 |]

        let some =
            gen {
                let! live = part all
                let! drawn = Gen.arrayOfLength rows (part live)
                return ofColumns cols drawn
            }

        Gen.frequency
            [ 1, Gen.constant (ofColumns cols (Array.replicate rows [||]))
              1, Gen.constant (ofColumns cols (Array.replicate rows all))
              8, some ]

    let private dropSlots (c: Connectivity) : Connectivity seq =
        let rows = columnsOf c

        seq {
            for row in 0 .. rows.Length - 1 do
                for i in 0 .. rows[row].Length - 1 do
                    ofColumns c.Cols (Array.updateAt row (Array.removeAt i rows[row]) rows)
        }

    let private emptyRows (c: Connectivity) : Connectivity seq =
        let rows = columnsOf c

        seq {
            for row in 0 .. rows.Length - 1 do
                if rows[row].Length > 1 then
                    ofColumns c.Cols (Array.updateAt row [||] rows)
        }

    let private dropRows (c: Connectivity) : Connectivity seq =
        let rows = columnsOf c

        seq {
            if rows.Length > 3 then
                ofColumns c.Cols rows[.. rows.Length / 2 - 1]
                ofColumns c.Cols rows[rows.Length / 2 ..]

            for row in 0 .. rows.Length - 1 do
                ofColumns c.Cols (Array.removeAt row rows)
        }

    let private dropCols (c: Connectivity) : Connectivity seq =
        dropRows (fst (Connectivity.transpose c))
        |> Seq.map (Connectivity.transpose >> fst)

    /// <summary>Patterns of one shape: no slot, all slots, or rows that are empty, full or in between, some columns empty
    /// throughout.</summary>
    /// <param name="rows">out_features, 0 or more.</param>
    /// <param name="cols">in_features, 0 or more.</param>
    /// <returns>Valid by construction. Shrinks by emptying a row or dropping a slot; the shape stays.</returns>
    /// <example><code>
    /// Prop.forAll (Generators.ofShape 5 8) (fun pattern -> pattern.Cells = 40L) |> Check.QuickThrowOnFailure
    /// </code></example>
    [<CompiledName "OfShape">]
    let ofShape (rows: int) (cols: int) : Arbitrary<Connectivity> =
        let shrink c = Seq.append (emptyRows c) (dropSlots c)
        Arb.fromGenShrink (drawOfShape rows cols, shrink)

    let private shape: Gen<struct (int * int)> =
        Gen.map2 (fun rows cols -> struct (rows, cols)) size size

    /// Rows, columns and a number of slots that fits them. Shrinks by each, and the slots with the cells.
    let internal order: Arbitrary<struct (int * int * int)> =
        let draw =
            gen {
                let! struct (rows, cols) = shape
                let cells = rows * cols
                let few = Gen.choose (0, min cells 3)

                let! nnz =
                    Gen.frequency [ 4, Gen.choose (0, cells); 1, few; 1, Gen.map (fun n -> cells - n) few ]

                return struct (rows, cols, nnz)
            }

        let shrink (struct (rows: int, cols: int, nnz: int)) =
            seq {
                for rows, cols in [ rows / 2, cols; rows, cols / 2; rows - 1, cols; rows, cols - 1 ] do
                    if rows >= 0 && cols >= 0 then
                        struct (rows, cols, min nnz (rows * cols))

                for fewer in [ nnz / 2; nnz - 1 ] do
                    if fewer >= 0 then
                        struct (rows, cols, fewer)
            }
            |> Seq.filter (fun smaller -> smaller <> struct (rows, cols, nnz))

        Arb.fromGenShrink (draw, shrink)

    /// <summary>Patterns of any shape up to 70 × 70.</summary>
    /// <returns>
    /// Valid by construction. Reaches 0 × n, n × 0, 1 × n, nnz = 0, full, empty rows, empty columns, and sizes on both
    /// sides of 8, 16 and 32. Shrinks by dropping rows, columns and slots.
    /// </returns>
    /// <example><code>
    /// Prop.forAll Generators.connectivity (fun pattern -> Array.sum (Connectivity.fanOut pattern) = pattern.Nnz)
    /// |> Check.QuickThrowOnFailure
    /// </code></example>
    [<CompiledName "Connectivity">]
    let connectivity: Arbitrary<Connectivity> =
        let draw =
            gen {
                let! struct (rows, cols) = shape
                return! drawOfShape rows cols
            }

        let shrink c =
            Seq.concat [ dropRows c; dropCols c; dropSlots c ]

        Arb.fromGenShrink (draw, shrink)

    /// The columns of each row of a pattern for so many rows, the last for those that are left.
    let private inGroups (size: int) (rows: int) (groups: Connectivity) : Connectivity =
        let columns = columnsOf groups
        ofColumns groups.Cols (Array.init rows (fun row -> columns[row / size]))

    let private shrinkGroups (size: int, c: Connectivity) : (int * Connectivity) seq =
        let columns = columnsOf c
        let groups = ofColumns c.Cols [| for row in 0..size .. c.Rows - 1 -> columns[row] |]
        let ofLast = c.Rows - (groups.Rows - 1) * size // no less than 1, where there is a group

        seq {
            for smaller in List.distinct [ 1; size / 2; size - 1 ] do
                if smaller >= 1 && smaller < size then
                    let rows = max 0 ((groups.Rows - 1) * smaller + min ofLast smaller)
                    smaller, inGroups smaller rows groups

            for fewer in dropRows groups do
                size, inGroups size (max 0 (c.Rows - (groups.Rows - fewer.Rows) * size)) fewer

            if groups.Rows > 0 && ofLast > 1 then
                size, inGroups size (c.Rows - 1) groups

            for smaller in Seq.append (dropCols groups) (dropSlots groups) do
                size, inGroups size c.Rows smaller
        }

    /// <summary>A size and a pattern in row groups of that size: neighbouring rows that share their columns, as
    /// <c>Topology.rowGroups</c> draws them.</summary>
    /// <returns>Sizes of 1 to 16, and patterns of any shape up to 70 × 70; often the last group has fewer rows, some are
    /// empty or full, and some are alike, so that <c>Connectivity.rowGroupSize</c> may be a multiple of the size. Shrinks
    /// within groups: by smaller ones, and by dropping groups, columns, and slots of whole groups.</returns>
    /// <example><code>
    /// Prop.forAll Generators.rowGroups (fun (size, pattern) -> Laws.hasRowGroups size pattern) |> Check.QuickThrowOnFailure
    /// </code></example>
    [<CompiledName "RowGroups">]
    let rowGroups: Arbitrary<int * Connectivity> =
        let draw =
            gen {
                let! group =
                    Gen.frequency [ 3, Gen.elements [ 1; 2; 4; 8; 16 ]; 2, Gen.choose (1, 16) ]

                let! struct (rows, cols) = shape
                let! groups = drawOfShape ((rows + group - 1) / group) cols
                return group, inGroups group rows groups
            }

        Arb.fromGenShrink (draw, shrinkGroups)

    /// <summary>Several patterns of one shape, for laws of the set algebra.</summary>
    /// <param name="count">How many, 1 or more.</param>
    /// <returns>Valid by construction, all of one shape up to 70 × 70. Shrinks by dropping a slot of one of them.</returns>
    /// <example><code>
    /// Prop.forAll (Generators.ofOneShape 2) (fun c -> Connectivity.isSubset c[0] (Connectivity.union c[0] c[1]))
    /// |> Check.QuickThrowOnFailure
    /// </code></example>
    [<CompiledName "OfOneShape">]
    let ofOneShape (count: int) : Arbitrary<Connectivity[]> =
        let draw =
            gen {
                let! struct (rows, cols) = shape
                return! Gen.arrayOfLength count (drawOfShape rows cols)
            }

        let shrink (patterns: Connectivity[]) =
            seq {
                for i in 0 .. patterns.Length - 1 do
                    for smaller in Seq.append (emptyRows patterns[i]) (dropSlots patterns[i]) do
                        Array.updateAt i smaller patterns
            }

        Arb.fromGenShrink (draw, shrink)

    /// <summary>Seeds of small numbers, seeds of any 64-bit number, and children of those.</summary>
    /// <returns>Does not shrink: no seed is simpler than another.</returns>
    /// <example><code>
    /// Prop.forAll Generators.seed (fun seed -> Seed.child 0 seed &lt;> Seed.child 1 seed) |> Check.QuickThrowOnFailure
    /// </code></example>
    [<CompiledName "Seed">]
    let seed: Arbitrary<Seed> =
        let root =
            Gen.oneof
                [ Gen.choose (-10, 100) |> Gen.map Seed.ofInt
                  Gen.choose64 (System.Int64.MinValue, System.Int64.MaxValue)
                  |> Gen.map Seed.ofInt64 ]

        let child = Gen.map2 Seed.child (Gen.choose (0, 1000)) root
        Arb.fromGen (Gen.frequency [ 3, root; 1, child ])
