namespace SparseFs.Pictures

open System.ComponentModel
open System.IO
open System.Net

/// <summary>What a notebook shows as an image.</summary>
type internal IShownAsHtml =
    /// An element of HTML.
    abstract Html: unit -> string

/// <summary>Formatter of patterns as images, and of tables in characters of one width, for a notebook.</summary>
[<Sealed; EditorBrowsable(EditorBrowsableState.Never)>]
type HtmlFormatter internal () =

    /// <summary>text/html.</summary>
    member _.MimeType: string = "text/html"

    /// <summary>Writes a pattern's picture, or a value's text as it stands.</summary>
    /// <param name="instance">What is to be shown.</param>
    /// <param name="writer">Takes the element.</param>
    /// <returns>Whether it was a value.</returns>
    member _.Format(instance: obj | null, writer: TextWriter) : bool =
        match instance with
        | :? IShownAsHtml as shown ->
            writer.Write(shown.Html())
            true
        | Null -> false
        | NonNull value ->
            writer.Write $"<pre>{WebUtility.HtmlEncode(string value)}</pre>"
            true
