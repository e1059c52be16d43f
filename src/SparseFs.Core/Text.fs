namespace SparseFs

open System
open System.Globalization

/// Texts without F#'s printf, which needs reflection: what is compiled ahead of time can say why it refuses.
[<AutoOpen>]
module internal Text =

    /// An interpolated text, its numbers as everywhere.
    let invariant (text: FormattableString) : string =
        text.ToString CultureInfo.InvariantCulture

/// Shapes as messages have them.
[<RequireQualifiedAccess>]
module internal Shape =

    /// The sizes without brackets: 2, 3.
    let sizes (shape: 'size[]) : string = String.Join(", ", shape)

    /// The sizes: [2, 3].
    let text (shape: 'size[]) : string = "[" + sizes shape + "]"
