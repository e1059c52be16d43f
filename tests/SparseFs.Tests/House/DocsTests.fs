/// The F# of README and docs compiles: what a reader copies from a page, from its first block to its last.
module SparseFs.Tests.DocsTests

open System
open System.IO
open System.Text.RegularExpressions
open Expecto
open SparseFs.Tests.ArchitectureTests
open SparseFs.Tests.CheckpointFiles
open SparseFs.Tests.PublicApiTests

/// What a page takes for there, beside the namespaces of <c>opened</c>; a page that is not here is whole.
let private givens: (string * string) list =
    [ "docs/checkpoints.md",
      """let model = torch.nn.Sequential(new SparseLinear(784, 300), torch.nn.ReLU(), torch.nn.Linear(300L, 10L))
let optimizer = torch.optim.Adam(model.parameters (), 1e-3)
let rewirer = new Rewirer(model, optimizer, Policy.rigL (Schedule.cosine 0.3 100L 75_000L))"""
      "docs/threads.md",
      """open System.Threading
let model = torch.nn.Sequential(new SparseLinear(784, 300), torch.nn.ReLU(), torch.nn.Linear(300L, 10L))
let optimizer = torch.optim.Adam(model.parameters (), 1e-3)
let rewirer = new Rewirer(model, optimizer, Policy.rigL (Schedule.cosine 0.3 100L 75_000L))
let batches: torch.Tensor list = []
let evaluate (_: torch.nn.Module) : unit = ()""" ]

/// Pages speak of the library and of torch without saying so each time.
let private opened = [ "open SparseFs"; "open TorchSharp" ]

let private blocksOf (page: string) : string list =
    [ for block in Regex.Matches(page, @"^```fsharp\r?\n(.*?)^```", RegexOptions.Multiline ||| RegexOptions.Singleline) do
          block.Groups[1].Value ]

/// README and the pages of docs that have F#, with their blocks.
let private pages () : (string * string list) list =
    [ for file in filesUnder "docs" [ "*.md" ] @ [ "README.md" ] do
          match blocksOf (read file) with
          | [] -> ()
          | blocks -> file, blocks ]

/// One script, each page a module of its own. Directives are for readers: the libraries are those of the tests.
let private scriptOf (pages: (string * string list) list) : string list =
    [ for library in fsharp @ [ typeof<TorchSharp.torch>.Assembly ] do
          $"#r @\"{library.Location}\""

      for i, (page, blocks) in List.indexed pages do
          let given = givens |> List.filter (fun (name, _) -> name = page) |> List.map snd
          $"module Page{i} ="

          for text in opened @ given @ blocks do
              for line in text.Split '\n' do
                  if not (line.StartsWith '#') then
                      "    " + line.TrimEnd '\r'

          "    ()" ]

/// What F# Interactive says against the pages, and the lines that it says it of; nothing where all is well.
let private complaints (pages: (string * string list) list) : string =
    inFolder (fun folder ->
        let script = Path.Combine(folder, "pages.fsx")
        let lines = scriptOf pages |> Array.ofList
        File.WriteAllLines(script, lines)

        let code, _, errors =
            Sdk.run [ "fsi"; "--nologo"; "--quiet"; "--typecheck-only"; script ]

        let inPage (at: Match) =
            let line = int at.Groups[1].Value

            let page =
                lines
                |> Array.truncate line
                |> Array.filter (fun line -> line.StartsWith("module Page", StringComparison.Ordinal))
                |> Array.length

            if page = 0 then
                at.Value
            else
                $"{fst pages[page - 1]}, \"{lines[line - 1].Trim()}\" ("

        match code, errors.Trim() with
        | 0, _ -> ""
        | code, "" -> $"F# Interactive ended with {code} and said nothing"
        | _, said -> Regex.Replace(said, @"\S*pages\.fsx\((\d+),", inPage))

[<Tests>]
let docsTests =
    testList
        "Docs"
        [ testCase "the F# of every page compiles" (fun () ->
              let pages = pages ()
              Expect.isGreaterThan pages.Length 7 "not vacuous"
              Expect.equal (List.except (List.map fst pages) (List.map fst givens)) [] "what is given is taken"
              Expect.equal (complaints pages) "" "pages")

          testCase "a block that does not compile is named with its page" (fun () ->
              let said =
                  complaints [ "docs/a.md", [ "let a = 1\n" ]; "docs/b.md", [ "let b: string = a\n" ] ]

              Expect.stringContains said "docs/b.md, \"let b: string = a\"" "page and line") ]
