namespace SparseFs.Tool

open System
open System.Globalization
open System.IO
open SparseFs

/// <summary>What was asked for cannot be done: what was expected, and what came.</summary>
[<Sealed>]
type internal Refusal(message: string) =
    inherit Exception(message)

/// <summary>Raising it, and telling of any failure in one line.</summary>
[<RequireQualifiedAccess>]
module internal Refusal =

    let because (message: string) : 'a = raise (Refusal message)

    /// What a terminal would act on, or show as another line or another order of letters.
    let private isUnseen (ch: char) : bool =
        match Char.GetUnicodeCategory ch with
        | UnicodeCategory.Control
        | UnicodeCategory.Format
        | UnicodeCategory.LineSeparator
        | UnicodeCategory.ParagraphSeparator -> true
        | _ -> false

    /// A text of a file, or one that has such a text in it, in one line.
    let shown (text: string) : string =
        String.map (fun ch -> if isUnseen ch then ' ' else ch) text

    /// .NET adds the parameter's name, which is no name of the command line.
    let private withoutParameter (e: ArgumentException) : string =
        match e.ParamName with
        | null -> e.Message
        | name -> e.Message.Replace($" (Parameter '{name}')", "", StringComparison.Ordinal)

    /// <summary>What went wrong, in one line.</summary>
    let line (e: exn) : string =
        let text =
            match e with
            | :? Refusal
            | :? CheckpointException
            | :? ArrayFileException
            | :? IOException
            | :? UnauthorizedAccessException -> e.Message
            | :? ArgumentOutOfRangeException as range ->
                // The number that it repeats is in the message already.
                (withoutParameter range).Split('\n')[0]
            | :? ArgumentException as argument -> withoutParameter argument
            | :? OutOfMemoryException -> "there is not enough memory for it"
            | other -> invariant $"{other.GetType().Name}: {other.Message}"

        (shown text).Trim()
