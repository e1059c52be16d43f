/// Files of events: what is written is what happened.
module SparseFs.Tests.RewireLogTests

open System
open System.Globalization
open System.IO
open System.Text
open System.Text.Json
open System.Threading.Tasks
open Expecto
open SparseFs

let private counts: RewireCounts =
    { Nnz = 100
      Dropped = 7
      Grown = 7
      Regrown = 3
      Explored = 0.25
      DeadRows = 1
      DeadCols = 2 }

let private finished: RewireEvent =
    { Step = 300L
      Layer = "net.hidden"
      Seconds = 0.0125
      Outcome = RewireOutcome.Done counts }

let private refused: RewireEvent =
    { Step = 400L
      Layer = "a, \"b\""
      Seconds = 0.0
      Outcome = RewireOutcome.Refused "weight 3 is NaN,\nso nothing changed" }

let private inFile (body: string -> unit) =
    let folder = Directory.CreateTempSubdirectory("sparsefs-log-").FullName

    try
        body (Path.Combine(folder, "log"))
    finally
        Directory.Delete(folder, recursive = true)

/// A reader of RFC 4180 that shares nothing with the writer.
let private parse (text: string) : string list list =
    let records, record, field = ResizeArray(), ResizeArray(), StringBuilder()
    let mutable isQuoted = false
    let mutable i = 0

    let endField () =
        record.Add(string field)
        field.Clear() |> ignore

    while i < text.Length do
        match text[i] with
        | '"' when isQuoted && i + 1 < text.Length && text[i + 1] = '"' ->
            field.Append '"' |> ignore
            i <- i + 1
        | '"' -> isQuoted <- not isQuoted
        | ',' when not isQuoted -> endField ()
        | '\n' when not isQuoted ->
            endField ()
            records.Add(List.ofSeq record)
            record.Clear()
        | c -> field.Append c |> ignore

        i <- i + 1

    List.ofSeq records

let private header =
    "step,layer,outcome,reason,nnz,dropped,grown,regrown,churn,explored,dead_rows,dead_cols,seconds"

[<Tests>]
let rewireLog =
    testList
        "Rewire log"
        [ testCase "values come back from a file of comma-separated values" (fun () ->
              inFile (fun path ->
                  (use log = RewireLog.Csv path
                   log.Add finished
                   log.Add refused)

                  Expect.equal
                      (parse (File.ReadAllText path))
                      [ List.ofArray (header.Split ',')
                        [ "300"
                          "net.hidden"
                          "done"
                          ""
                          "100"
                          "7"
                          "7"
                          "3"
                          "0.07"
                          "0.25"
                          "1"
                          "2"
                          "0.0125" ]
                        [ "400"
                          "a, \"b\""
                          "refused"
                          "weight 3 is NaN,\nso nothing changed"
                          ""
                          ""
                          ""
                          ""
                          ""
                          ""
                          ""
                          ""
                          "0" ] ]
                      "records"))

          testCase "values come back from JSON Lines" (fun () ->
              inFile (fun path ->
                  (use log = RewireLog.JsonLines path
                   log.Add finished
                   log.Add refused)

                  let lines = File.ReadAllLines path |> Array.map JsonDocument.Parse
                  let first, second = lines[0].RootElement, lines[1].RootElement
                  Expect.hasLength lines 2 "a line each"
                  Expect.equal (first.GetProperty("step").GetInt64()) 300L "step"
                  Expect.equal (first.GetProperty("churn").GetDouble()) 0.07 "churn"
                  Expect.equal (second.GetProperty("layer").GetString()) refused.Layer "layer"
                  Expect.equal (second.GetProperty("outcome").GetString()) "refused" "outcome"
                  Expect.isFalse (second.TryGetProperty "nnz" |> fst) "no counts of what was not done"))

          testCase "a file that is there is continued, with one header" (fun () ->
              inFile (fun path ->
                  for _ in 1..2 do
                      use log = RewireLog.Csv path
                      log.Add finished

                  Expect.hasLength (parse (File.ReadAllText path)) 3 "a header and two records"))

          testCase "a file that ends in the middle of a line is continued below it" (fun () ->
              inFile (fun path ->
                  File.WriteAllText(path, header + "\n200,net.hid")

                  (use log = RewireLog.Csv path
                   log.Add finished)

                  let lines = File.ReadAllLines path
                  Expect.equal lines[1] "200,net.hid" "nothing is lost"
                  Expect.stringStarts lines[2] "300,net.hidden,done" "the next"))

          testCase "another file is not continued" (fun () ->
              inFile (fun path ->
                  File.WriteAllText(path, "epoch,loss\n1,0.5\n")

                  Expect.throwsC (fun () -> RewireLog.Csv path |> ignore) (fun e ->
                      Expect.equal
                          e.Message
                          $"expected a new file, or one whose first line is '{header}', got '{path}', which begins with 'epoch,loss' (Parameter 'path')"
                          "text")

                  Expect.equal (File.ReadAllText path) "epoch,loss\n1,0.5\n" "untouched"))

          testCase "a missing folder is named" (fun () ->
              inFile (fun path ->
                  let folder = Path.Combine(string (Path.GetDirectoryName path), "runs")

                  Expect.throwsC (fun () -> RewireLog.JsonLines(Path.Combine(folder, "log")) |> ignore) (fun e ->
                      Expect.equal
                          e.Message
                          $"path: expected a folder that exists, got '{folder}'; create it before the log is opened"
                          "text")))

          testCase "an event is on disk when Add returns" (fun () ->
              inFile (fun path ->
                  use log = RewireLog.Csv path
                  log.Add finished

                  use reader =
                      new StreamReader(new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite))

                  Expect.hasLength (parse (reader.ReadToEnd())) 2 "both lines"))

          testCase "lines of many threads stay whole" (fun () ->
              inFile (fun path ->
                  (use log = RewireLog.Csv path

                   Parallel.For(0, 400, fun i -> log.Add { finished with Step = int64 i })
                   |> ignore)

                  let steps =
                      parse (File.ReadAllText path) |> List.tail |> List.map (List.head >> int)

                  Expect.equal (List.sort steps) [ 0..399 ] "each once"))

          testCase "numbers do not follow the machine's language" (fun () ->
              inFile (fun path ->
                  let before = CultureInfo.CurrentCulture

                  try
                      let comma = CultureInfo.InvariantCulture.Clone() :?> CultureInfo
                      comma.NumberFormat.NumberDecimalSeparator <- ","
                      comma.NumberFormat.NegativeSign <- "~"
                      CultureInfo.CurrentCulture <- comma
                      use log = RewireLog.Csv path
                      log.Add { finished with Step = -1L }
                  finally
                      CultureInfo.CurrentCulture <- before

                  let record = parse (File.ReadAllText path) |> List.item 1
                  Expect.equal (List.head record, List.last record) ("-1", "0.0125") "a minus and a point"))

          testCase "a closed log refuses" (fun () ->
              inFile (fun path ->
                  let log = RewireLog.Csv path
                  log.Dispose()
                  log.Dispose()
                  Expect.throwsT<ObjectDisposedException> (fun () -> log.Add finished) "closed")) ]
