namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3535"
#nowarn "3536"

open System.Runtime.CompilerServices

/// The products at one width of tiles: rows that share their columns by groups, and the rows behind the last whole group.
[<AbstractClass; Sealed>]
type internal TileWidth<'L, 'V, 'K
    when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct and 'K: struct and 'K :> ICount> =

    /// The rows behind the last whole group; all of them where there are no groups.
    static member inline private Rest(p: CsrView, rows: RowRange) : RowRange =
        if p.Group = 1 then
            rows
        else
            { rows with
                From = rows.To - rows.Count % p.Group }

    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    static member Spmm<'I when 'I: struct and 'I :> IInputs>
        (p: CsrView, values, bias, inputs, rows: RowRange, y, apart: int64, tiles: PixelTiles)
        =
        match p.Group with
        | 4 -> SpmmRowGroups.rows<'L, 'V, 'K, Four, 'I> p values bias inputs rows y apart tiles
        | 2 -> SpmmRowGroups.rows<'L, 'V, 'K, Two, 'I> p values bias inputs rows y apart tiles
        | _ -> ()

        let rest = TileWidth<'L, 'V, 'K>.Rest(p, rows)

        if rest.Count > 0 then
            let before = int64 (rest.From - rows.From) * apart
            Spmm.rows<'L, 'V, 'K, 'I> p values bias inputs rest (Pointer.at y before) apart tiles

    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    static member Sddmm(p: CsrView, g, packed, rows: RowRange, accumulate, d) =
        match p.Group with
        | 4 -> SddmmRowGroups.rows<'L, 'V, 'K, Four> p g packed rows accumulate d
        | 2 -> SddmmRowGroups.rows<'L, 'V, 'K, Two> p g packed rows accumulate d
        | _ -> ()

        let rest = TileWidth<'L, 'V, 'K>.Rest(p, rows)

        if rest.Count > 0 then
            let before = int64 (rest.From - rows.From) * int64 ('K.Count * 'L.Count)
            Sddmm.rows<'L, 'V, 'K> p (Pointer.at g before) packed rest accumulate d

    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    static member Scatter<'I when 'I: struct and 'I :> IInputs>
        (p: CsrView, values, g, apart: int64, rows: int, cols, columns, packed)
        =
        let all = { From = 0; To = rows }

        match p.Group with
        | 4 -> SpmmTranspose.groups<'L, 'V, 'K, Four, 'I> p values g apart all cols columns packed
        | 2 -> SpmmTranspose.groups<'L, 'V, 'K, Two, 'I> p values g apart all cols columns packed
        | _ -> ()

        let rest = TileWidth<'L, 'V, 'K>.Rest(p, all)

        if rest.Count > 0 then
            SpmmTranspose.rows<'L, 'V, 'K, 'I> p values g apart rest cols columns packed
