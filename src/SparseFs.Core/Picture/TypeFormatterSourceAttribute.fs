namespace SparseFs.Pictures

open System
open System.ComponentModel

/// <summary>Attribute by which a notebook finds the formatter of a type.</summary>
/// <remarks>.NET Interactive looks for these types and members by their names and has to see them, so that no reference
/// to it is needed; nobody else has a use for them.</remarks>
[<Sealed; AttributeUsage(AttributeTargets.Class); EditorBrowsable(EditorBrowsableState.Never)>]
type TypeFormatterSourceAttribute
    /// <summary>Names who formats the type.</summary>
    /// <param name="source">A type with a method CreateTypeFormatters.</param>
    (source: Type) =
    inherit Attribute()

    /// <summary>A type with a method CreateTypeFormatters.</summary>
    member _.FormatterSourceType: Type = source

    /// <summary>What a notebook asks for first.</summary>
    member _.PreferredMimeTypes: string[] = [| "text/html" |]
