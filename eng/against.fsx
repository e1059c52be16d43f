/// This tree beside another commit, in alternated runs of both programs: dotnet fsi build.fsx bench --against COMMIT, which
/// builds this tree's benchmarks first. Dense is torch's in both, so its ratio says how still the machine was.

#r "../artifacts/bin/SparseFs.Benchmarks/release/Argu.dll"

open System
open System.Diagnostics
open System.IO
open System.Text.Json
open System.Text.Json.Nodes
open Argu

type Arguments =
    | [<Mandatory; Unique>] Against of commit: string
    | Shape of cols: int * rows: int * batch: int
    | [<Unique>] Sparsity of float list
    | [<Unique>] Ops of string list
    | [<Unique>] Groups
    | [<Unique>] Threads of int
    | [<Unique>] Rounds of int
    | [<Unique>] Output of path: string

    interface IArgParserTemplate with
        member a.Usage =
            match a with
            | Against _ -> "the commit, by any name that git has for it"
            | Shape _ -> "in_features out_features batch: this shape only; may be repeated"
            | Sparsity _ -> "sparsities (0.9 0.95 0.99)"
            | Ops _ -> "operations (forward train)"
            | Groups ->
                "each four neighbouring rows with the same connections, which commits before row groups do not know"
            | Threads _ -> "number of threads (1)"
            | Rounds _ -> "runs of each program (5)"
            | Output _ -> "the JSON file (artifacts/bench/against.json)"

let given =
    let parser =
        ArgumentParser.Create<Arguments>(programName = "dotnet fsi build.fsx bench")

    try
        parser.Parse(Array.tail fsi.CommandLineArgs)
    with :? ArguParseException as e ->
        eprintfn $"{e.Message}"
        exit 2

// ---------------------------------------------------------------------------------------------------------
// Commands
// ---------------------------------------------------------------------------------------------------------

let root = Path.GetFullPath(Path.Combine(__SOURCE_DIRECTORY__, ".."))

/// Where the other commit lies while this script runs.
let clone = Directory.CreateTempSubdirectory("sparsefs-against-").FullName

let fail (text: string) : 'a =
    Directory.Delete(clone, recursive = true)
    eprintfn $"{text}"
    exit 1

/// Exit code, what was printed, and what was printed as an error.
let ended (where: string) (command: string) (arguments: string list) : int * string * string =
    let start =
        ProcessStartInfo(
            command,
            arguments,
            WorkingDirectory = where,
            RedirectStandardOutput = true,
            RedirectStandardError = true
        )

    start.Environment["DOTNET_NOLOGO"] <- "1"
    start.Environment["DOTNET_CLI_TELEMETRY_OPTOUT"] <- "1"
    start.Environment["MSBUILDDISABLENODEREUSE"] <- "1"
    use running = Process.Start start
    let errors = running.StandardError.ReadToEndAsync()
    let output = running.StandardOutput.ReadToEnd()
    running.WaitForExit()
    running.ExitCode, output.Trim(), errors.Result.Trim()

let run (where: string) (command: string) (arguments: string list) : string =
    match ended where command arguments with
    | 0, output, _ -> output
    | code, output, errors ->
        let line = String.concat " " (command :: arguments)
        fail $"{line}\nended with {code}:\n{output}\n{errors}"

// ---------------------------------------------------------------------------------------------------------
// The other commit's program
// ---------------------------------------------------------------------------------------------------------

let programIn (folder: string) =
    Path.Combine(folder, "artifacts", "bin", "SparseFs.Benchmarks", "release", "SparseFs.Benchmarks.dll")

/// The packages that this tree has, each version by a link, so that whatever else the commit asks for stays in the clone.
let linkFeed () =
    let feed = Path.Combine(root, ".feed")

    if Directory.Exists feed then
        for package in Directory.GetDirectories feed do
            let name = Path.GetFileName package
            let into = Directory.CreateDirectory(Path.Combine(clone, ".feed", name)).FullName

            for version in Directory.GetDirectories package do
                Directory.CreateSymbolicLink(Path.Combine(into, Path.GetFileName version), version)
                |> ignore

let describe (commit: string) =
    run root "git" [ "log"; "-1"; "--format=%h %s"; commit ]

let old =
    let name = given.GetResult Against

    match ended root "git" [ "rev-parse"; "--verify"; "--quiet"; "--end-of-options"; $"{name}^{{commit}}" ] with
    | 0, commit, _ -> commit
    | _ -> fail $"expected a commit of this repository, got '{name}'"

printfn $"old: {describe old}"

let isDirty = run root "git" [ "status"; "--porcelain" ] <> ""

printfn $"""new: {describe "HEAD"}{if isDirty then ", and what is not committed" else ""}"""
printfn "building the old ..."

run root "git" [ "clone"; "--quiet"; "--shared"; "--no-checkout"; root; clone ]
|> ignore

run clone "git" [ "checkout"; "--quiet"; "--detach"; old ] |> ignore
linkFeed ()

// By the commit's own build. It runs the program too, which knows no such argument and ends at once.
let _, told, complained =
    ended clone "dotnet" [ "fsi"; "build.fsx"; "bench"; "--build-alone" ]

if not (File.Exists(programIn clone)) then
    fail $"the old one does not build:\n{told}\n{complained}"

// ---------------------------------------------------------------------------------------------------------
// Runs
// ---------------------------------------------------------------------------------------------------------

/// One number of a table: an operation on a layer.
type Cell =
    { Op: string
      Cols: int
      Rows: int
      Batch: int
      Sparsity: float }

/// Milliseconds of the layer, and of dense beside it.
type Times = { Sparse: float; Dense: float }

/// What both programs took, a round after the other.
type Measured = { Old: Times list; New: Times list }

/// The cells that one call of a program can hold.
type Call =
    { Cols: int
      Rows: int
      Batch: int
      Sparsities: float list
      Ops: string list }

let threads = given.GetResult(Threads, 1)

let timesIn (folder: string) (call: Call) : Map<Cell, Times> =
    let file = Path.Combine(clone, "run.json")

    let words =
        [ "--shape"
          $"{call.Cols}"
          $"{call.Rows}"
          "--batch"
          $"{call.Batch}"
          "--sparsity"
          yield! List.map string call.Sparsities
          "--ops"
          yield! call.Ops
          "--threads"
          $"{threads}"
          "--rivals"
          "dense"
          "--output"
          file
          if given.Contains Groups then
              "--groups" ]

    run folder "dotnet" (programIn folder :: words) |> ignore

    Map.ofList
        [ for row in JsonNode.Parse(File.ReadAllText file).AsArray() do
              { Op = row["op"].GetValue<string>()
                Cols = row["cols"].GetValue<int>()
                Rows = row["rows"].GetValue<int>()
                Batch = row["batch"].GetValue<int>()
                Sparsity = row["sparsity"].GetValue<float>() },
              { Sparse = row["sparsefs_ms"].GetValue<float>()
                Dense = row["dense_ms"].GetValue<float>() } ]

/// Round after round, each program first by turns.
let compare (rounds: int) (call: Call) : Map<Cell, Measured> =
    let all =
        [ for round in 1..rounds do
              if round % 2 = 1 then
                  let before = timesIn clone call
                  before, timesIn root call
              else
                  let after = timesIn root call
                  timesIn clone call, after ]

    Map.ofList
        [ for cell in Map.keys (fst all.Head) do
              cell,
              { Old = [ for before, _ in all -> before[cell] ]
                New = [ for _, after in all -> after[cell] ] } ]

let median (values: float list) =
    let sorted = List.sort values
    let middle = sorted.Length / 2

    if sorted.Length % 2 = 1 then
        sorted[middle]
    else
        (sorted[middle - 1] + sorted[middle]) / 2.0

/// The median over the rounds of old / new: above 1, this tree is faster.
let ratio (of': Times -> float) (m: Measured) =
    List.map2 (fun before after -> of' before / of' after) m.Old m.New |> median

let heading =
    "op       in x out        batch  sparsity     old ms     new ms  old/new  dense old/new  rounds"

let line (cell: Cell, m: Measured) =
    let shape = $"{cell.Cols} x {cell.Rows}"
    let ms times = times |> List.map _.Sparse |> median

    $"{cell.Op, -8} {shape, -15} {cell.Batch, 5}  {cell.Sparsity, 8}  {ms m.Old, 9:F3}  {ms m.New, 9:F3}  {ratio _.Sparse m, 7:F3}  {ratio _.Dense m, 13:F3}  {m.Old.Length, 6}"

let calls =
    [ for cols, rows, batch in
          (match given.GetResults Shape with
           | [] -> [ 4096, 4096, 256; 1024, 1024, 256; 784, 2000, 64; 384, 1536, 2048 ]
           | shapes -> shapes) ->
          { Cols = cols
            Rows = rows
            Batch = batch
            Sparsities = given.GetResult(Sparsity, [ 0.9; 0.95; 0.99 ])
            Ops = given.GetResult(Ops, [ "forward"; "train" ]) } ]

/// Below it a cell is doubted, and measured again with so many rounds.
let doubted, again = 0.97, 15

let measure () =
    printfn $"\n{heading}"

    let first =
        [ for call in calls do
              for cell in Map.toList (compare (given.GetResult(Rounds, 5)) call) do
                  printfn $"{line cell}"
                  cell ]

    let isDoubted (_: Cell, m: Measured) = ratio _.Sparse m < doubted

    if List.exists isDoubted first then
        printfn $"\nbelow {doubted}, and so measured again:"

    [ for cell, m in first do
          if isDoubted (cell, m) then
              let call =
                  { Cols = cell.Cols
                    Rows = cell.Rows
                    Batch = cell.Batch
                    Sparsities = [ cell.Sparsity ]
                    Ops = [ cell.Op ] }

              let m = (compare again call)[cell]
              printfn $"{line (cell, m)}"
              cell, m
          else
              cell, m ]

let toJson (cells: (Cell * Measured) list) : JsonNode =
    let numbers (of': Times -> float) (times: Times list) =
        JsonArray [| for t in times -> JsonValue.Create(of' t) :> JsonNode |]

    let all =
        JsonArray
            [| for cell, m in cells do
                   let o = JsonObject()
                   o["op"] <- JsonValue.Create cell.Op
                   o["cols"] <- JsonValue.Create cell.Cols
                   o["rows"] <- JsonValue.Create cell.Rows
                   o["batch"] <- JsonValue.Create cell.Batch
                   o["sparsity"] <- JsonValue.Create cell.Sparsity
                   o["threads"] <- JsonValue.Create threads
                   o["old_over_new"] <- JsonValue.Create(ratio _.Sparse m)
                   o["dense_old_over_new"] <- JsonValue.Create(ratio _.Dense m)
                   o["old_ms"] <- numbers _.Sparse m.Old
                   o["new_ms"] <- numbers _.Sparse m.New
                   o["dense_old_ms"] <- numbers _.Dense m.Old
                   o["dense_new_ms"] <- numbers _.Dense m.New
                   o :> JsonNode |]

    let o = JsonObject()
    o["old"] <- JsonValue.Create old
    o["new"] <- JsonValue.Create(run root "git" [ "rev-parse"; "HEAD" ])
    o["new_is_committed"] <- JsonValue.Create(not isDirty)
    o["topology"] <- JsonValue.Create(if given.Contains Groups then "groups-4" else "uniform")
    o["cells"] <- all
    o

try
    let cells = measure ()

    let path =
        Path.GetFullPath(given.GetResult(Output, Path.Combine(root, "artifacts", "bench", "against.json")))

    Directory.CreateDirectory(Path.GetDirectoryName path) |> ignore
    File.WriteAllText(path, (toJson cells).ToJsonString(JsonSerializerOptions(WriteIndented = true)))
    printfn $"\nwritten to {path}"
finally
    if Directory.Exists clone then
        Directory.Delete(clone, recursive = true)
