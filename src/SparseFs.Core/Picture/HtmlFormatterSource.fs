namespace SparseFs.Pictures

open System.Collections.Generic
open System.ComponentModel

/// <summary>Source of a notebook's formatters.</summary>
[<Sealed; EditorBrowsable(EditorBrowsableState.Never)>]
type HtmlFormatterSource
    /// <summary>A source, as a notebook makes it.</summary>
    () =

    /// <summary>The formatters: one, for HTML.</summary>
    member _.CreateTypeFormatters() : IEnumerable<obj> = Seq.singleton (HtmlFormatter())
