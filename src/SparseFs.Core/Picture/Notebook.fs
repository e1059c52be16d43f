namespace SparseFs.Pictures

open System
open System.Collections.Generic
open System.ComponentModel
open System.IO

/// <summary>What a notebook shows as an image.</summary>
type internal IShownAsHtml =
    /// An element of HTML.
    abstract Html: unit -> string

/// <summary>Attribute by which a notebook finds the formatter of a type.</summary>
/// <remarks>.NET Interactive looks for these types and members by their names and has to see them, so that no reference
/// to it is needed; nobody else has a use for them.</remarks>
[<Sealed; AttributeUsage(AttributeTargets.Class); EditorBrowsable(EditorBrowsableState.Never)>]
type TypeFormatterSourceAttribute(source: Type) =
    inherit Attribute()

    /// <summary>A type with a method CreateTypeFormatters.</summary>
    member _.FormatterSourceType: Type = source

    /// <summary>What a notebook asks for first.</summary>
    member _.PreferredMimeTypes: string[] = [| "text/html" |]

/// <summary>Formatter of patterns as HTML, for a notebook.</summary>
[<Sealed; EditorBrowsable(EditorBrowsableState.Never)>]
type HtmlFormatter internal () =

    /// <summary>text/html.</summary>
    member _.MimeType: string = "text/html"

    /// <summary>Writes a pattern's picture.</summary>
    /// <param name="instance">What is to be shown.</param>
    /// <param name="writer">Takes the element.</param>
    /// <returns>Whether it was a pattern.</returns>
    member _.Format(instance: obj, writer: TextWriter) : bool =
        match instance with
        | :? IShownAsHtml as shown ->
            writer.Write(shown.Html())
            true
        | _ -> false

/// <summary>Source of a notebook's formatters.</summary>
[<Sealed; EditorBrowsable(EditorBrowsableState.Never)>]
type HtmlFormatterSource() =

    /// <summary>The formatters: one, for HTML.</summary>
    member _.CreateTypeFormatters() : IEnumerable<obj> = Seq.singleton (HtmlFormatter())
