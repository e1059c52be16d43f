using System;

namespace SparseFs.CSharp;

/// <summary>Making and splitting seeds. C# 14 shows these as members of the type: <c>Seed.FromInt(42)</c>; any other
/// language calls <c>Seeds.FromInt(42)</c>.</summary>
/// <remarks>Start from a number: <c>default(Seed)</c> is no seed that these functions make.</remarks>
public static class Seeds
{
    extension(Seed)
    {
        /// <summary>The seed that belongs to a number.</summary>
        /// <param name="value">Any number; neighbouring numbers give unrelated draws.</param>
        /// <returns>The same seed on every machine.</returns>
        public static Seed FromInt(int value) => SeedModule.OfInt(value);

        /// <summary>The seed that belongs to a number.</summary>
        /// <param name="value">Any number; neighbouring numbers give unrelated draws.</param>
        /// <returns>The same seed on every machine; the one of <c>FromInt</c> where the number is an int.</returns>
        public static Seed FromInt64(long value) => SeedModule.OfInt64(value);

        /// <summary>The seed of two words, as a child of a seed is printed: a seed that no single number makes.</summary>
        /// <param name="state">The first word, any number.</param>
        /// <param name="gamma">The second word, an odd number.</param>
        /// <returns>The seed.</returns>
        /// <exception cref="System.ArgumentException">gamma is even.</exception>
        public static Seed FromWords(ulong state, ulong gamma) => SeedModule.OfWords(state, gamma);
    }

    /// <summary>Two independent seeds in place of one.</summary>
    /// <param name="seed">The parent; do not draw from it any more.</param>
    /// <returns>Its children 0 and 1.</returns>
    public static (Seed First, Seed Second) Split(this Seed seed) => SeedModule.Split(seed).ToValueTuple();

    /// <summary>One of many independent children of a seed, for one layer or one task of many.</summary>
    /// <param name="seed">The parent; do not also draw from it.</param>
    /// <param name="index">Which child, from 0.</param>
    /// <returns>The child.</returns>
    public static Seed Child(this Seed seed, int index) => SeedModule.Child(index, seed);

    /// <summary>One draw of a seed, a pure function of both.</summary>
    /// <param name="seed">The seed.</param>
    /// <param name="index">Which draw, from 0.</param>
    /// <returns>64 uniform bits.</returns>
    public static ulong BitsAt(this Seed seed, long index) => SeedModule.BitsAt(index, seed);
}
