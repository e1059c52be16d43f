namespace SparseFs.Pictures

open System
open System.IO

/// <summary>What a notebook shows as an image.</summary>
type internal IShownAsHtml =
    /// An element of HTML.
    abstract Html: unit -> string

/// <summary>Says who formats a type: .NET Interactive looks for an attribute of this name, so that no reference to it is
/// needed.</summary>
[<Sealed; AttributeUsage(AttributeTargets.Class)>]
type internal TypeFormatterSourceAttribute(source: Type) =
    inherit Attribute()

    /// Has a method CreateTypeFormatters.
    member _.FormatterSourceType: Type = source

    /// What a notebook asks for first.
    member _.PreferredMimeTypes: string[] = [| "text/html" |]

/// <summary>Formats as HTML; its members are found by their names.</summary>
[<Sealed>]
type internal HtmlFormatter() =

    member _.MimeType: string = "text/html"

    /// Writes the element; whether it did.
    member _.Format(instance: obj, writer: TextWriter) : bool =
        match instance with
        | :? IShownAsHtml as shown ->
            writer.Write(shown.Html())
            true
        | _ -> false

[<Sealed>]
type internal HtmlFormatterSource() =

    member _.CreateTypeFormatters() : seq<obj> = Seq.singleton (HtmlFormatter())
