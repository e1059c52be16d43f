/// What is measured: settings and their results, as a table and as JSON.
module SparseFs.Benchmarks.Grid

open System
open System.IO
open System.Text.Json
open System.Text.Json.Nodes
open SparseFs

/// How the connections are laid out.
[<RequireQualifiedAccess>]
type Layout =
    /// Anywhere, all cells alike.
    | Uniform
    /// Near the diagonal: each row's connections lie side by side.
    | Local
    /// Anywhere, and the same for each four neighbouring rows.
    | Groups4

    override l.ToString() =
        match l with
        | Uniform -> "uniform"
        | Local -> "local"
        | Groups4 -> "groups-4"

let layoutOf (text: string) : Layout =
    [ Layout.Uniform; Layout.Local; Layout.Groups4 ]
    |> List.find (fun layout -> string layout = text)

type Setting =
    { Op: string
      Cols: int
      Rows: int
      Batch: int
      Sparsity: float
      Layout: Layout
      Threads: int }

    member s.Shape = $"{s.Cols} x {s.Rows}"

type Row =
    {
        Setting: Setting
        /// By contender; a contender may be missing.
        Milliseconds: Map<string, float>
        /// What making the layer and its first call add to the process, of SparseFs and of dense.
        PeakBytes: int64 option
        DensePeakBytes: int64 option
    }

    /// A contender's time over SparseFs's.
    member r.Ratio(name: string) : float option =
        Map.tryFind name r.Milliseconds
        |> Option.map (fun other -> other / r.Milliseconds["sparsefs"])

/// The pattern of a setting.
let pattern (s: Setting) : Connectivity =
    let nnz = Sparsity.nnz s.Rows s.Cols s.Sparsity

    match s.Layout with
    | Layout.Uniform -> Topology.uniform s.Rows s.Cols nnz (Seed.ofInt 1)
    | Layout.Local -> Topology.banded s.Rows s.Cols nnz
    | Layout.Groups4 -> Topology.rowGroups 4 s.Rows s.Cols nnz (Seed.ofInt 1)

let contenders = [ "sparsefs"; "dense"; "masked"; "coo"; "gather" ]

let private toJson (row: Row) : JsonNode =
    let number (value: 'a option) : JsonNode | null =
        match value with
        | None -> null
        | Some number -> JsonSerializer.SerializeToNode number

    let s = row.Setting
    let o = JsonObject()
    o["op"] <- JsonValue.Create s.Op
    o["rows"] <- JsonValue.Create s.Rows
    o["cols"] <- JsonValue.Create s.Cols
    o["batch"] <- JsonValue.Create s.Batch
    o["sparsity"] <- JsonValue.Create s.Sparsity
    o["topology"] <- JsonValue.Create(string s.Layout)
    o["threads"] <- JsonValue.Create s.Threads

    for name in contenders do
        o[name + "_ms"] <- number (Map.tryFind name row.Milliseconds)

    o["peak_bytes"] <- number row.PeakBytes
    o["dense_peak_bytes"] <- number row.DensePeakBytes
    o

let write (path: string) (rows: Row list) =
    makeFolderOf path
    let all = JsonArray [| for row in rows -> toJson row |]
    File.WriteAllText(path, all.ToJsonString(JsonSerializerOptions(WriteIndented = true)))

/// The rows of a file that write has made.
let read (path: string) : Row list =
    [ for row in (present "rows" (JsonNode.Parse(File.ReadAllText path))).AsArray() do
          let node = present "a row" row
          let field (name: string) = present name node[name]

          let number (name: string) : 'a option =
              node[name] |> Option.ofObj |> Option.map _.GetValue<'a>()

          { Setting =
              { Op = (field "op").GetValue<string>()
                Rows = (field "rows").GetValue<int>()
                Cols = (field "cols").GetValue<int>()
                Batch = (field "batch").GetValue<int>()
                Sparsity = (field "sparsity").GetValue<float>()
                Layout = layoutOf ((field "topology").GetValue<string>())
                Threads = (field "threads").GetValue<int>() }
            Milliseconds =
              Map.ofList
                  [ for name in contenders do
                        match number (name + "_ms") with
                        | Some(ms: float) -> name, ms
                        | None -> () ]
            PeakBytes = number "peak_bytes"
            DensePeakBytes = number "dense_peak_bytes" } ]

let header =
    "op       in x out        batch  sparsity  topology  threads  sparsefs ms    dense ms   dense/  masked/     coo/  gather/  peak MB  dense MB"

let line (row: Row) =
    let s = row.Setting

    let text (digits: int) (value: float option) =
        match value with
        | Some v -> v.ToString("F" + string digits)
        | None -> "-"

    let megabytes bytes =
        bytes |> Option.map (fun b -> float b / 1e6) |> text 1

    let own = text 3 (Map.tryFind "sparsefs" row.Milliseconds)
    let dense = text 3 (Map.tryFind "dense" row.Milliseconds)

    let ratios =
        [ "dense"; "masked"; "coo"; "gather" ]
        |> List.map (fun name -> (text 1 (row.Ratio name)).PadLeft 7)
        |> String.concat "  "

    let peaks = $"{megabytes row.PeakBytes, 7}  {megabytes row.DensePeakBytes, 8}"

    $"{s.Op, -8} {s.Shape, -15} {s.Batch, 5}  {s.Sparsity, 8}  {s.Layout, -8}  {s.Threads, 7}  {own, 11}  {dense, 10}  {ratios}  {peaks}"

/// From which sparsity on SparseFs is faster than dense.
[<RequireQualifiedAccess>]
type BreakEven =
    | From of sparsity: float
    /// It is faster at all that were measured.
    | AtOrBelow of lowest: float
    /// It is slower at all that were measured.
    | Above of highest: float

/// <summary>The break-even of rows that differ in sparsity alone.</summary>
/// <remarks>Between two sparsities by a straight line through the logarithms of density and of ratio.</remarks>
let breakEven (rows: Row list) : BreakEven option =
    let points =
        [ for row in rows do
              match row.Ratio "dense" with
              | Some ratio -> row.Setting.Sparsity, ratio
              | None -> () ]
        |> List.sort

    let crossing ((_, before), (_, after)) = before < 1.0 && after >= 1.0

    match points, List.tryFind crossing (List.pairwise points) with
    | [], _ -> None
    | (lowest, ratio) :: _, _ when ratio >= 1.0 -> Some(BreakEven.AtOrBelow lowest)
    | _, None -> Some(BreakEven.Above(fst (List.last points)))
    | _, Some((s0, r0), (s1, r1)) ->
        let part = Math.Log(1.0 / r0) / Math.Log(r1 / r0)

        1.0 - Math.Exp(Math.Log(1.0 - s0) + part * Math.Log((1.0 - s1) / (1.0 - s0)))
        |> BreakEven.From
        |> Some

/// Rows that differ in sparsity alone, in the order of their first.
let series (rows: Row list) : (Setting * Row list) list =
    rows |> List.groupBy (fun row -> { row.Setting with Sparsity = 0.0 })
