// Pictures of topologies. After one build (dotnet fsi build.fsx): dotnet fsi examples/topologies.fsx
// Writes artifacts/topologies/{adjacency,degrees,small-worlds}.html; the pages need no network.
#r "nuget: Plotly.NET, 6.0.0"
#r "../artifacts/bin/SparseFs/release/TorchSharp.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.Core.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.dll"

open System.IO
open Plotly.NET
open Plotly.NET.LayoutObjects
open SparseFs

let folder =
    Path.GetFullPath(Path.Combine(__SOURCE_DIRECTORY__, "../artifacts/topologies"))

let write (name: string) (chart: GenericChart) =
    Directory.CreateDirectory folder |> ignore
    let path = Path.Combine(folder, name + ".html")

    chart
    |> Chart.withDisplayOptionsStyle (PlotlyJSReference = PlotlyJSReference.Full)
    |> Chart.saveHtml path

    printfn $"{path}"

let seed = Seed.ofInt 42

// 1. Which cells of a [rows, cols] matrix each topology fills, at about the same nnz.
let rows, cols, fanIn = 600, 800, 40
let nnz = rows * fanIn

let topologies =
    [ "uniform", Topology.uniform rows cols nnz seed
      "small world", Topology.smallWorldWith Placement.Stretched ValueNone rows cols nnz seed
      "Watts–Strogatz, β = 0.1", Topology.wattsStrogatz rows cols fanIn 0.1 seed
      "constant fan-in", Topology.constantFanIn rows cols fanIn seed
      "biregular", Topology.biregular rows cols fanIn seed
      "scale-free, γ = 2.5", Topology.scaleFree rows cols nnz 2.5 seed
      "banded", Topology.banded rows cols nnz
      "blocks of 20", Topology.block rows cols 20 (nnz / 400) seed
      "2:40", Topology.nOfM rows cols 2 40 seed ]

/// The part of each pixel's cells that are slots; the last row comes first, since pictures are drawn upwards.
let binned (pixel: int) (c: Connectivity) : float[][] =
    let image =
        Array.init ((c.Rows + pixel - 1) / pixel) (fun _ -> Array.zeroCreate<float>((c.Cols + pixel - 1) / pixel))

    for row, col in Seq.zip (Connectivity.rowIndices c) (c.ColIdx.ToArray()) do
        let line = image[row / pixel]
        line[col / pixel] <- line[col / pixel] + 1.0 / float (pixel * pixel)

    Array.rev image

let adjacency (_: string, c: Connectivity) =
    Chart.Heatmap(
        zData = binned 4 c,
        ColorScale = StyleParam.Colorscale.Greys,
        ReverseScale = true,
        ShowScale = false,
        ShowLegend = false
    )
    |> GenericChart.mapTrace (Trace2DStyle.Heatmap(ZMin = 0.0, ZMax = 0.4))
    |> Chart.withXAxis (LinearAxis.init (ShowTickLabels = false))
    |> Chart.withYAxis (LinearAxis.init (ShowTickLabels = false))

topologies
|> List.map adjacency
|> Chart.Grid(3, 3, SubPlotTitles = [ for name, c in topologies -> $"{name}: {c.Nnz} slots" ], YGap = 0.15)
|> Chart.withTitle $"Slots of a [{rows}, {cols}] layer: rows downwards, columns to the right, darker where denser"
|> Chart.withSize (1100.0, 1000.0)
|> write "adjacency"

// 2. How many outputs the inputs have.
let histogram (name: string, c: Connectivity) =
    let d = GraphMetrics.fanOutDistribution c

    Chart.Column(
        values = d.Counts,
        Keys = [ 0 .. d.Most ],
        Name = name,
        ShowLegend = false,
        MarkerColor = Color.fromKeyword SteelBlue
    )
    |> Chart.withXAxis (LinearAxis.init (Title = Title.init $"fan-out, {name} ({d.Least}..{d.Most})"))
    |> Chart.withYAxis (LinearAxis.init (Title = Title.init "columns"))

topologies
|> List.map histogram
|> Chart.Grid(3, 3)
|> Chart.withTitle $"Fan-outs of {cols} columns, {float nnz / float cols} in the mean"
|> Chart.withSize (1100.0, 1000.0)
|> write "degrees"

// 3. From a lattice to chance: Watts and Strogatz, Nature 393, 1998, figure 2, for a bipartite ring.
let betas = [ for tenths in -40..2..0 -> 10.0 ** (float tenths / 10.0) ]

let measured =
    let measure beta =
        let c = Topology.wattsStrogatz 2000 2000 12 beta seed
        GraphMetrics.clustering 2000 seed c, GraphMetrics.pathLength 100 seed c

    let clustering, way = measure 0.0

    [ for beta in betas ->
          let c, l = measure beta
          beta, c / clustering, l / way ]

let curve name (points: (float * float) list) =
    Chart.Line(points, Name = name, ShowMarkers = true)

[ curve "clustering C(β) / C(0)" [ for beta, c, _ in measured -> beta, c ]
  curve "path length L(β) / L(0)" [ for beta, _, l in measured -> beta, l ] ]
|> Chart.combine
|> Chart.withXAxis (LinearAxis.init (AxisType = StyleParam.AxisType.Log, Title = Title.init "β"))
|> Chart.withYAxis (LinearAxis.init (Title = Title.init "relative to the lattice"))
|> Chart.withTitle "Small worlds: a few rewired slots shorten the ways long before neighbours stop sharing theirs"
|> Chart.withSize (1000.0, 600.0)
|> write "small-worlds"
