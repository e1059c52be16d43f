using System;
using System.Collections.Generic;

namespace SparseFs.CSharp;

/// <summary>Slot maps from a pattern to the next one.</summary>
public static class Remaps
{
    /// <summary>A remap in which every slot stays what it is.</summary>
    /// <param name="nnz">Slots, 0 or more.</param>
    /// <returns>The remap.</returns>
    /// <exception cref="ArgumentOutOfRangeException">nnz is negative.</exception>
    public static Remap Identity(int nnz) => RemapModule.Identity(nnz);

    /// <summary>The remap from one pattern to another: slots of common cells continue, all others were grown.</summary>
    /// <param name="before">Shape [rows, cols].</param>
    /// <param name="after">The same shape.</param>
    /// <returns>The remap.</returns>
    /// <exception cref="ArgumentException">A pattern is null, or the shapes differ.</exception>
    public static Remap RemapTo(this Connectivity before, Connectivity after) =>
        RemapModule.Between(Require.NotNull(before), Require.NotNull(after));

    /// <summary>Carries what belongs to the old slots over to the new ones.</summary>
    /// <param name="remap">The remap.</param>
    /// <param name="values">Length Before, in the old slots' order.</param>
    /// <param name="grown">What a grown slot gets.</param>
    /// <typeparam name="T">What belongs to a slot.</typeparam>
    /// <returns>Length After, in the new slots' order.</returns>
    /// <exception cref="ArgumentException">An argument is null, or the length is not Before.</exception>
    public static T[] Apply<T>(this Remap remap, T[] values, T grown) =>
        RemapModule.Apply(grown, Require.NotNull(remap), values);
}
