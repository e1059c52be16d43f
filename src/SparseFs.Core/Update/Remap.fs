namespace SparseFs

open System

/// <summary>Map from the slots of a new pattern to those of the old one whose weights they continue; a grown slot continues
/// none.</summary>
/// <remarks>Immutable; equal ones are equal by value. No old slot is continued twice, which every function here guarantees.</remarks>
[<Sealed>]
type Remap internal (before: int, from: int[]) =
    let grown = from |> Array.sumBy (fun slot -> if slot < 0 then 1 else 0)

    /// <summary>Slots of the old pattern.</summary>
    member _.Before: int = before

    /// <summary>Slots of the new pattern.</summary>
    member _.After: int = from.Length

    /// <summary>New slots that continue none.</summary>
    member _.Grown: int = grown

    /// <summary>Old slots that none continues.</summary>
    member _.Dropped: int = before - (from.Length - grown)

    /// <summary>Length After: the old slot that each new slot continues, or −1 where it was grown.</summary>
    member _.From: ReadOnlySpan<int> = ReadOnlySpan<int>(from)

    /// The array itself; nobody writes to it.
    member internal _.FromArray: int[] = from

    /// <summary>Whether every slot continues the old one of the same number.</summary>
    member _.IsIdentity: bool =
        before = from.Length
        && (let mutable slot = 0

            while slot < from.Length && from[slot] = slot do
                slot <- slot + 1

            slot = from.Length)

    interface IEquatable<Remap> with
        member a.Equals(b) =
            match b with
            | null -> false
            | b -> a.Before = b.Before && a.From.SequenceEqual b.From

    override a.Equals(other) =
        match other with
        | :? Remap as b -> (a :> IEquatable<Remap>).Equals b
        | _ -> false

    override _.GetHashCode() =
        hash (struct (before, from.Length, grown))

    override _.ToString() =
        (invariant $"Remap({before} -> {from.Length}, grown={grown}, dropped={before - (from.Length - grown)})")

/// <summary>Making and applying remaps.</summary>
[<RequireQualifiedAccess>]
module Remap =

    /// <summary>Every slot stays what it is.</summary>
    /// <param name="nnz">Slots, 0 or more.</param>
    /// <exception cref="T:System.ArgumentOutOfRangeException">nnz is negative.</exception>
    /// <example><code>(Remap.identity 6000).IsIdentity // = true</code></example>
    [<CompiledName "Identity">]
    let identity (nnz: int) : Remap =
        if nnz < 0 then
            raise (ArgumentOutOfRangeException(nameof nnz, nnz, (invariant $"expected 0 or more slots, got {nnz}")))

        Remap(nnz, Array.init nnz id)

    /// <summary>Slots of cells that both patterns have continue; all others of the second were grown.</summary>
    /// <param name="before">Shape [rows, cols].</param>
    /// <param name="after">The same shape.</param>
    /// <exception cref="T:System.ArgumentException">The shapes differ.</exception>
    /// <remarks>O(rows + nnz of both).</remarks>
    /// <example><code>
    /// let row columns = Connectivity.ofPairs 1 4 [| 0; 0 |] columns
    /// let before, after = row [| 1; 3 |], row [| 0; 3 |]
    /// let remap = Remap.between before after
    /// remap.From.ToArray() // = [|-1; 1|]
    /// </code></example>
    [<CompiledName "Between">]
    let between (before: Connectivity) (after: Connectivity) : Remap =
        if before.Rows <> after.Rows || before.Cols <> after.Cols then
            let message =
                (invariant $"expected shape [{before.Rows}, {before.Cols}], got [{after.Rows}, {after.Cols}]")

            raise (ArgumentException(message, nameof after))

        let from: int[] = Array.create after.Nnz -1

        for row in 0 .. before.Rows - 1 do
            let mutable old = before.RowPtrArray[row]
            let last = before.RowPtrArray[row + 1]

            for slot in after.RowPtrArray[row] .. after.RowPtrArray[row + 1] - 1 do
                let col = after.ColIdxArray[slot]

                while old < last && before.ColIdxArray[old] < col do
                    old <- old + 1

                if old < last && before.ColIdxArray[old] = col then
                    from[slot] <- old

        Remap(before.Nnz, from)

    /// <summary>Carries what belongs to the old slots over to the new ones.</summary>
    /// <param name="grown">What a grown slot gets.</param>
    /// <param name="remap">The remap.</param>
    /// <param name="values">Length Before, in the old slots' order.</param>
    /// <returns>Length After, in the new slots' order.</returns>
    /// <exception cref="T:System.ArgumentException">The length is not Before.</exception>
    /// <example><code>
    /// let row columns = Connectivity.ofPairs 1 4 [| 0; 0 |] columns
    /// let before, after = row [| 1; 3 |], row [| 0; 3 |]
    /// let momentum = [| 0.5; 0.25 |]
    /// momentum |> Remap.apply 0.0 (Remap.between before after) // = [|0.0; 0.25|]
    /// </code></example>
    [<CompiledName "Apply">]
    let apply (grown: 'a) (remap: Remap) (values: 'a[]) : 'a[] =
        ArgumentNullException.ThrowIfNull(values, nameof values)

        if values.Length <> remap.Before then
            raise (ArgumentException((invariant $"expected {remap.Before} values, got {values.Length}"), nameof values))

        remap.FromArray
        |> Array.map (fun slot -> if slot < 0 then grown else values[slot])
