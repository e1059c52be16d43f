namespace SparseFs.Torch

open System

/// <summary>Names of a file that somebody may have meant by one that it does not have.</summary>
module internal NearestNames =

    /// A file makes names as long and as many as it likes; these are read.
    let private longest = 200
    let private most = 10_000

    let private shown = 5

    /// Levenshtein's distance: characters that are put in, taken out or exchanged.
    let private distance (a: string) (b: string) : int =
        let mutable above = Array.init (b.Length + 1) id
        let mutable row: int[] = Array.zeroCreate (b.Length + 1)

        for i in 1 .. a.Length do
            row[0] <- i

            for j in 1 .. b.Length do
                let exchanged = above[j - 1] + (if a[i - 1] = b[j - 1] then 0 else 1)
                row[j] <- min exchanged (1 + min above[j] row[j - 1])

            let last = above
            above <- row
            row <- last

        above[b.Length]

    /// <summary>What a file has instead: its names, nearest first, some of them.</summary>
    /// <param name="wanted">The name that is missing.</param>
    /// <param name="names">Those that there are.</param>
    /// <returns>Such as "the file has 'fc1.weight', 'fc2.weight' and 12 more".</returns>
    let told (wanted: string) (names: seq<string>) : string =
        let all = Array.ofSeq names

        let nearest =
            all
            |> Seq.filter (fun name -> name.Length <= longest)
            |> Seq.truncate most
            |> Seq.sortBy (distance wanted) // a stable sort: ties stay in the file's order
            |> Seq.truncate shown
            |> List.ofSeq

        let rest = all.Length - nearest.Length

        match nearest with
        | [] when rest = 0 -> "the file has no tensors"
        | [] -> $"the file has {rest} tensors of other names"
        | _ ->
            let listed = String.Join("', '", nearest)
            $"the file has '{listed}'" + (if rest = 0 then "" else $" and {rest} more")
