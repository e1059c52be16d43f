namespace SparseFs

open System
open System.Collections.Generic
open System.Globalization
open SparseFs.Pictures

/// <summary>A model's modules with their sizes, and the sums; as text it is a table.</summary>
[<Sealed; TypeFormatterSource(typeof<HtmlFormatterSource>)>]
type ModelSummary internal (rows: SummaryRow[]) =

    let sum (of': SummaryRow -> int64) = Array.sumBy of' rows

    let sumOfKnown (of': SummaryRow -> Nullable<int64>) =
        let known = rows |> Array.map of' |> Array.filter _.HasValue

        if known.Length = 0 then
            Nullable()
        else
            Nullable(known |> Array.sumBy _.Value)

    static let count (n: int64) =
        n.ToString("N0", CultureInfo.InvariantCulture)

    static let short (n: Nullable<int64>) (none: string) =
        let units = [ 1e12, "T"; 1e9, "G"; 1e6, "M"; 1e3, "k" ]

        match Option.ofNullable n with
        | None -> none
        | Some n ->
            match units |> List.tryFind (fun (unit, _) -> float n >= unit) with
            | Some(unit, letter) -> (float n / unit).ToString("0.##", CultureInfo.InvariantCulture) + " " + letter
            | None -> string n

    static let shape (lengths: IReadOnlyList<int64> | null) =
        match lengths with
        | null -> "-"
        | lengths -> "[" + String.Join(", ", lengths) + "]"

    static let percent (part: float) =
        (100.0 * part).ToString("0.##", CultureInfo.InvariantCulture) + " %"

    static let cells (r: SummaryRow) =
        let weighs = r.Cells > 0L

        [ (if r.Name = "" then "(model)" else r.Name)
          r.Kind
          shape r.OutputShape
          (if weighs then count r.Weights else "")
          (if weighs then percent r.Sparsity else "")
          (if r.Parameters > 0L then count r.Parameters else "")
          (if r.Bytes > 0L then count r.Bytes else "")
          (if r.Flops.HasValue && r.Flops.Value = 0L then
               ""
           else
               short r.Flops "-") ]

    static let header =
        [ "layer"
          "kind"
          "output"
          "weights"
          "sparsity"
          "parameters"
          "bytes"
          "FLOPs" ]

    /// Columns of names are set to the left, those of numbers to the right.
    static let isName (column: int) = column < 3

    let widths =
        header :: [ for r in rows -> cells r ]
        |> List.map (List.map String.length)
        |> List.reduce (List.map2 max)

    let line (texts: string list) =
        let padded =
            List.zip texts widths
            |> List.mapi (fun column (text, width) ->
                if isName column then
                    text.PadRight width
                else
                    text.PadLeft width)

        (String.Join("  ", padded)).TrimEnd()

    /// <summary>The modules, in the model's order; one that has several names is there once, under the first.</summary>
    member _.Rows: IReadOnlyList<SummaryRow> = rows

    /// <summary>Weights that exist.</summary>
    member _.Weights: int64 = sum _.Weights

    /// <summary>Weights that the same model has with dense layers.</summary>
    member _.Cells: int64 = sum _.Cells

    /// <summary>Numbers that are trained.</summary>
    member _.Parameters: int64 = sum _.Parameters

    /// <summary>Numbers that are trained in the same model with dense layers.</summary>
    member _.DenseParameters: int64 = sum _.DenseParameters

    /// <summary>Bytes of parameters and buffers.</summary>
    member _.Bytes: int64 = sum _.Bytes

    /// <summary>Floating-point operations of the modules whose are known; none without an input.</summary>
    member _.Flops: Nullable<int64> = sumOfKnown _.Flops

    /// <summary>Operations of the same model with dense layers.</summary>
    member _.DenseFlops: Nullable<int64> = sumOfKnown _.DenseFlops

    /// <summary>Whether each module's operations are known, so that Flops leaves none out.</summary>
    member _.KnowsAllFlops: bool = rows |> Array.forall _.Flops.HasValue

    /// <summary>The table, and the sums below it.</summary>
    override s.ToString() =
        let rule = String('-', List.sum widths + 2 * (widths.Length - 1))

        let sums =
            [ $"weights {count s.Weights} of {count s.Cells}, parameters {count s.Parameters} (dense {count s.DenseParameters}), bytes {count s.Bytes}"
              if s.Flops.HasValue then
                  let least = if s.KnowsAllFlops then "" else "at least "
                  $"""FLOPs {least}{short s.Flops ""} (dense {short s.DenseFlops ""})""" ]

        [ line header
          rule
          yield! rows |> Array.map (cells >> line)
          rule
          yield! sums ]
        |> String.concat "\n"
