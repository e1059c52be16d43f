namespace SparseFs.Pictures

open System.ComponentModel
open System.IO

/// <summary>What a notebook shows as an image.</summary>
type internal IShownAsHtml =
    /// An element of HTML.
    abstract Html: unit -> string

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
