// A file of results, a JSON object a line, that several processes add to. What runs it may be stopped at any time: a line that was cut
// off counts as none.

open System
open System.IO
open System.Text.Json
open System.Text.Json.Nodes

/// .NET locks a file that is written and shared with nobody; so does each process, for some milliseconds a run.
let rec private whenFree (tries: int) (work: unit -> 'a) : 'a =
    try
        work ()
    with :? IOException when tries > 0 ->
        Threading.Thread.Sleep 100
        whenFree (tries - 1) work

/// What the whole lines of a file are, those that are JSON.
let read (path: string) : JsonNode list =
    let tryParse (line: string) =
        try
            match JsonNode.Parse line with
            | null -> None
            | node -> Some node
        with :? JsonException ->
            None

    if File.Exists path then
        whenFree 100 (fun () -> File.ReadAllLines path)
        |> Seq.choose tryParse
        |> List.ofSeq
    else
        []

let append (path: string) (line: string) : unit =
    whenFree 100 (fun () ->
        use file =
            new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None)

        // A line that was cut off ends here.
        let isCut =
            file.Length > 0L
            && (file.Seek(-1L, SeekOrigin.End) |> ignore
                file.ReadByte() <> int '\n')

        file.Seek(0L, SeekOrigin.End) |> ignore
        let text = (if isCut then "\n" else "") + line + "\n"
        file.Write(Text.Encoding.UTF8.GetBytes text))

/// The part of a grid that one of several processes has: "k/n" is the k-th of n.
let partOf (part: string) (grid: 'a list) : 'a list =
    match part.Split '/' |> Array.map Int32.TryParse with
    | [| true, part; true, parts |] when 1 <= part && part <= parts ->
        grid
        |> List.indexed
        |> List.choose (fun (index, run) -> if index % parts = part - 1 then Some run else None)
    | _ ->
        eprintfn $"--part: expected k/n with 1 <= k <= n, got {part}"
        exit 1
