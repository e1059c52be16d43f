namespace SparseFs

open System

/// <summary>A file of arrays that is not what it says, or not what is wanted: where, what was expected and what came.</summary>
[<Sealed>]
type ArrayFileException internal (fileName: string, position: string, expected: string, got: string) =
    inherit FormatException(invariant $"{fileName}, {position}: expected {expected}, got {got}")

    /// <summary>The file, or what the caller calls the stream.</summary>
    member _.FileName: string = fileName

    /// <summary>Where in it: "byte 10", "line 3".</summary>
    member _.Position: string = position

    /// <summary>What should be there.</summary>
    member _.Expected: string = expected

    /// <summary>What is there.</summary>
    member _.Got: string = got

module internal ArrayFile =

    /// What came, in at most 40 characters, without any that a terminal would act on.
    let shown (text: string) : string =
        let clean = text |> String.map (fun ch -> if ch < ' ' || ch > '~' then '?' else ch)

        if clean.Length <= 40 then
            (invariant $"'{clean}'")
        else
            (invariant $"'{clean.Substring(0, 37)}...'")
