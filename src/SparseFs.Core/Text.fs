namespace SparseFs

open System
open System.Globalization

/// Texts without F#'s printf, which needs reflection: what is compiled ahead of time can say why it refuses.
[<AutoOpen>]
module internal Text =

    /// An interpolated text, its numbers as everywhere.
    let invariant (text: FormattableString) : string =
        text.ToString CultureInfo.InvariantCulture

/// Fractions, for those who wrote a percentage.
[<RequireQualifiedAccess>]
module internal Percentage =

    /// write 0.9 for 90 %: of 90, which is no fraction; empty where it is one, or no percentage either.
    let cure (number: float) : string =
        if number > 1.0 && number < 100.0 then
            (invariant $"write {decimal number / 100m} for {number} ") + "%"
        else
            ""

/// Shapes as messages have them.
[<RequireQualifiedAccess>]
module internal Shape =

    /// The sizes without brackets: 2, 3.
    let sizes (shape: 'size[]) : string = String.Join(", ", shape)

    /// The sizes: [2, 3].
    let text (shape: 'size[]) : string = "[" + sizes shape + "]"
