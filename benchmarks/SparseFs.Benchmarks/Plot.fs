/// Speed-up over dense against sparsity, as a page.
module SparseFs.Benchmarks.Plot

open System
open System.IO
open Plotly.NET
open Plotly.NET.LayoutObjects
open SparseFs.Benchmarks.Grid

/// The place of a sparsity on a logarithmic axis: the ideal speed-up itself.
let private ideal (sparsity: float) = 1.0 / (1.0 - sparsity)

let private marks = [ 0.0; 0.5; 0.7; 0.8; 0.9; 0.95; 0.99; 0.999 ]

let private panel (title: string) (rows: Row list) : GenericChart =
    let curves =
        [ for s, ofSeries in series rows do
              let points =
                  [ for row in ofSeries do
                        match row.Ratio "dense" with
                        | Some ratio -> ideal row.Setting.Sparsity, ratio
                        | None -> () ]
                  |> List.sort

              if not points.IsEmpty then
                  let layout = if s.Layout = Layout.Uniform then "" else $", {s.Layout}"
                  let name = $"{s.Shape}, batch {s.Batch}{layout}"

                  let at =
                      match breakEven ofSeries with
                      | Some(BreakEven.From sparsity) -> $" (faster from {sparsity:P0} on)"
                      | _ -> ""

                  Chart.Line(points, ShowMarkers = true, Name = name + at) ]

    let most = rows |> List.map (fun row -> ideal row.Setting.Sparsity) |> List.max

    let straight name from into dash =
        Chart.Line([ 1.0, from; most, into ], Name = name, LineDash = dash, LineColor = Color.fromKeyword Gray)

    let sparsities =
        LinearAxis.init (
            AxisType = StyleParam.AxisType.Log,
            Title = Title.init "sparsity",
            TickVals = List.map ideal marks,
            TickText = List.map (fun s -> (100.0 * s).ToString "0.#" + " %") marks
        )

    let ratios =
        LinearAxis.init (
            AxisType = StyleParam.AxisType.Log,
            Title = Title.init "time of dense / time of SparseFs",
            TickVals = [ 0.1; 0.2; 0.5; 1.0; 2.0; 5.0; 10.0; 20.0; 50.0; 100.0; 200.0; 500.0; 1000.0 ]
        )

    straight "ideal: 1 / (1 − sparsity)" 1.0 most StyleParam.DrawingStyle.Dot
    :: straight "break-even" 1.0 1.0 StyleParam.DrawingStyle.Dash
    :: curves
    |> Chart.combine
    |> Chart.withTitle title
    |> Chart.withXAxis sparsities
    |> Chart.withYAxis ratios
    |> Chart.withSize (1000.0, 620.0)

/// One panel for each operation and number of threads, below each other.
let write (path: string) (rows: Row list) =
    let panels =
        rows
        |> List.groupBy (fun row -> row.Setting.Op, row.Setting.Threads)
        |> List.map (fun ((op, threads), ofPanel) ->
            let what =
                if op = "train" then
                    "Training step (forward and backward)"
                else
                    "Forward"

            let count = if threads = 1 then "one thread" else $"{threads} threads"
            panel $"{what}, {count}" ofPanel)

    let page =
        panels.Head
        |> Chart.withDisplayOptionsStyle (PlotlyJSReference = PlotlyJSReference.Full) // the page needs no network
        |> GenericChart.toEmbeddedHTML

    let others = panels.Tail |> List.map GenericChart.toChartHTML |> String.concat "\n"

    let last = page.LastIndexOf("</body>", StringComparison.Ordinal)
    makeFolderOf path
    File.WriteAllText(path, page.Insert(last, others))
