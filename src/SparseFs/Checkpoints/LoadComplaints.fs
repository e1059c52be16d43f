namespace SparseFs.Torch

open System
open System.Collections.Generic

/// <summary>What does not fit between a file and what it is to be loaded into: the reasons first, then names, then what
/// helps, each said once.</summary>
[<Sealed>]
type internal LoadComplaints() =
    let missing = List<string>()
    let wrong = List<string>()
    let cures = List<string>()

    /// At most fifty of a list that a file makes as long as it likes.
    let listed (names: seq<string>) =
        let some = Seq.truncate 50 names |> Array.ofSeq
        let rest = Seq.length names - some.Length
        String.Join(", ", some) + (if rest = 0 then "" else $" and {rest} more")

    /// What is left to do for whoever cannot go on with the run of a file.
    static member OrModelAlone: string =
        "or take the model alone, with Checkpoint.load (C#: Checkpoints.Load), and begin a new run"

    /// Notes what does not fit.
    member _.Wrong(what: string) : unit = wrong.Add what

    /// Notes a tensor that is needed and is not there.
    member _.IsMissing(name: string) : unit = missing.Add name

    /// Notes what helps.
    member _.Cure(what: string) : unit =
        if not (cures.Contains what) then
            cures.Add what

    /// Names that are needed and not there.
    member _.Missing: string[] = missing.ToArray()

    /// Whether nothing has been found so far that does not fit: what follows from something wrong need not be said.
    member _.Fits: bool = missing.Count = 0 && wrong.Count = 0

    /// <summary>The text that refuses a file; empty where there is no reason to.</summary>
    /// <param name="isStrict">Whether names that are missing or not expected are reasons.</param>
    /// <param name="names">Those of the file's tensors.</param>
    /// <param name="unexpected">Those of them that nobody has asked for.</param>
    member _.Text(isStrict: bool, names: seq<string>, unexpected: string[]) : string =
        let reasons =
            [ if wrong.Count > 0 then
                  listed wrong
              if isStrict && missing.Count > 0 then
                  $"missing: {listed missing}"

                  match StoredNames.hint names missing with
                  | "" -> ()
                  | hint -> hint
              if isStrict && unexpected.Length > 0 then
                  $"not expected: {listed unexpected}" ]

        match reasons with
        | [] -> ""
        | _ -> String.Join("; ", Seq.append reasons cures)
