/// The rates of the products over density, under what the machine can do at most, as a picture.
module SparseFs.Benchmarks.RooflinePlot

open System
open System.IO
open SparseFs.Benchmarks.Grid
open SparseFs.Benchmarks.MachineLimits
open SparseFs.Benchmarks.SvgChart

/// A product's rate, and the limit that binds it.
type Rate =
    { Setting: Setting
      Product: string
      Gflops: float
      Limit: string
      OfLimit: float }

let private colours = [ "#d62728"; "#1f77b4"; "#2ca02c"; "#9467bd"; "#ff7f0e" ]

let private nameOf (s: Setting) = $"{s.Shape}, batch {s.Batch}"

/// Shapes in the order of the rates, each with its colour.
let private shapesOf (rates: Rate list) : (string * string) list =
    rates
    |> List.map (fun r -> nameOf r.Setting)
    |> List.distinct
    |> List.mapi (fun i name -> name, colours[i % colours.Length])

let private densities (rates: Rate list) : Axis =
    let all = rates |> List.map (fun r -> 1.0 - r.Setting.Sparsity) |> List.distinct

    let percent (density: float) =
        (Math.Round(100.0 * density, 3)).ToString "0.###" + " %"

    { Title = "density of the weights"
      From = 1.15 * List.max all
      To = List.min all / 1.15
      Scale = Scale.Log
      Ticks = [ for density in all -> density, percent density ] }

let private gflops (limits: Limits) (rates: Rate list) : Axis =
    let least = rates |> List.map _.Gflops |> List.min

    { Title = "GFLOP/s of one core"
      From = 0.8 * least
      To = 1.6 * limits.Peak
      Scale = Scale.Log
      Ticks =
        [ for at in [ 1.0; 2.0; 5.0; 10.0; 20.0; 50.0; 100.0; 200.0 ] do
              if at > 0.8 * least && at < 1.6 * limits.Peak then
                  at, string at ] }

let private panel (limits: Limits) (all: Rate list) (product: string) : Panel =
    let colourOf = Map.ofList (shapesOf all)

    { Title = product
      X = densities all
      Y = gflops limits all
      Curves =
        [ for s, ofCurve in
              all
              |> List.filter (fun r -> r.Product = product)
              |> List.groupBy (fun r -> { r.Setting with Sparsity = 0.0 }) ->
              { Points = [ for r in ofCurve -> 1.0 - r.Setting.Sparsity, r.Gflops ]
                Colour = colourOf[nameOf s]
                IsDashed = (s.Layout <> Layout.Uniform) } ]
      Marks = []
      Levels =
        [ limits.Peak, "multiply-add peak"
          limits.GatherL1, "gather from L1"
          limits.GatherL2, "gather from L2" ] }

/// One panel a product: a colour for each shape, whole lines for uniform patterns and dashed ones for groups.
let internal write (path: string) (limits: Limits) (rates: Rate list) =
    let entry sign colour name =
        { Sign = sign
          Colour = colour
          Name = name }

    let legend =
        [ for name, colour in shapesOf rates do
              entry Sign.Line colour name
          entry Sign.Line "#555" "uniform pattern"
          entry Sign.DashedLine "#555" "groups of 4 rows" ]

    let titles =
        Map.ofList
            [ "forward", "forward"
              "dX", "gradient of the input (dX)"
              "dW", "gradient of the weights (dW)" ]

    makeFolderOf path

    [ for product in Products.names ->
          { panel limits rates product with
              Title = titles[product] } ]
    |> draw
        $"Products with a sparse matrix on one core, vectors of {int limits.Width} floats"
        Products.names.Length
        legend
    |> fun lines -> File.WriteAllLines(path, lines)
