/// The C# of README and docs compiles: what a reader copies from a page, from its first block to its last.
module SparseFs.Tests.CSharpDocsTests

open System
open System.IO
open System.Text.RegularExpressions
open Expecto
open SparseFs.Tests.ArchitectureTests
open SparseFs.Tests.CheckpointFiles
open SparseFs.Tests.PublicApiTests
open SparseFs.Tests.PublicSurface

/// What a page takes for there, before its blocks and behind them; a page that is not here is whole.
let private givens: (string * (string * string)) list =
    [ "docs/checkpoints.md",
      ("""var model = nn.Sequential(sparsenn.SparseLinear(784, 300), nn.ReLU(), nn.Linear(300, 10));
var optimizer = optim.Adam(model.parameters(), 1e-3);
var rewirer = Rewiring.Rewire(model, optimizer, Policies.RigL(Schedules.Cosine(0.3, 100, 75_000)));""",
       "")
      "docs/optimizers.md",
      ("""sealed class Lion : IStatefulOptimizer
{
    private readonly Dictionary<IntPtr, Tensor> means = [];
    private Tensor MeanOf(Parameter parameter) => means[parameter.Handle];""",
       "}") ]

/// What a program has open: the namespaces of C#'s own template, and what the pages speak of without saying so each time.
let private opened: string list =
    [ "System"
      "System.Collections.Generic"
      "System.IO"
      "System.Linq"
      "System.Threading"
      "System.Threading.Tasks"
      "SparseFs"
      "SparseFs.CSharp"
      "TorchSharp"
      "TorchSharp.Modules"
      "static TorchSharp.torch" ]

let private blocksOf (page: string) : string list =
    [ for block in Regex.Matches(page, @"^```csharp\r?\n(.*?)^```", RegexOptions.Multiline ||| RegexOptions.Singleline) do
          block.Groups[1].Value ]

/// README and the pages of docs that have C#, with their blocks.
let private pages () : (string * string list) list =
    [ for file in filesUnder "docs" [ "*.md" ] @ [ "README.md" ] do
          match blocksOf (read file) with
          | [] -> ()
          | blocks -> file, blocks ]

let private isUsing (line: string) : bool =
    Regex.IsMatch(line, @"^using [\w\s.]+;\s*$")

/// A page that only declares types is no program.
let private isOfTypes (source: string) : bool =
    source.Split '\n'
    |> Seq.filter (fun line -> not (isUsing line || line.StartsWith '#' || String.IsNullOrWhiteSpace line))
    |> Seq.head
    |> fun line -> Regex.IsMatch(line, @"^(public |sealed |static )*class ")

/// A program: its usings first, wherever in the page they stand.
let private programOf (page: string) (blocks: string list) : string =
    let before, after =
        givens
        |> List.tryFind (fun (name, _) -> name = page)
        |> Option.map snd
        |> Option.defaultValue ("", "")

    let lines = blocks |> List.collect (fun block -> List.ofArray (block.Split '\n'))
    let usings, rest = List.partition isUsing lines

    let usings =
        [ for name in opened do
              $"using {name};" ]
        @ [ for line in usings do
                line.Trim() ]
        |> List.distinct

    String.Join("\n", [ yield! usings; "#line 1"; before; yield! rest; after ])

/// The output of `dotnet` where global.json says which SDK.
let private dotnet (arguments: string list) : int * string =
    let code, output, errors = Sdk.run arguments
    code, (output + errors).Trim()

/// The compiler of the SDK that builds this project.
let private compiler =
    lazy
        (let _, version = dotnet [ "--version" ]
         let _, sdks = dotnet [ "--list-sdks" ]

         let folder =
             sdks.Split '\n'
             |> Array.pick (fun line ->
                 let found = Regex.Match(line, @"^(\S+) \[(.+)\]")

                 if found.Success && found.Groups[1].Value = version then
                     Some(Path.Combine(found.Groups[2].Value, version))
                 else
                     None)

         Path.Combine(folder, "Roslyn", "bincore", "csc.dll"))

/// What a program of the tests' own references: the framework, torch and the libraries.
let private references =
    lazy
        (let framework =
            match AppContext.GetData "TRUSTED_PLATFORM_ASSEMBLIES" with
            | :? string as paths -> List.ofArray (paths.Split Path.PathSeparator)
            | _ -> []

         let ours =
             [ for assembly in [ core; layers; onnx; inference; deploy; coreFacade; facade ] -> assembly.Location ]

         framework @ ours |> List.distinctBy Path.GetFileName)

/// What the compiler says against a page's program; nothing where all is well.
let private complaints (page: string) (blocks: string list) : string =
    inFolder (fun folder ->
        let source = Path.Combine(folder, "Page.cs")
        let response = Path.Combine(folder, "csc.rsp")
        let program = programOf page blocks
        File.WriteAllText(source, program)

        File.WriteAllLines(
            response,
            [ "-nologo"
              (if isOfTypes program then
                   "-target:library"
               else
                   "-target:exe")
              "-nullable:enable"
              "-warnaserror+:nullable"
              // Usings that a page repeats, names that it only shows, and tests' versions of assemblies.
              "-nowarn:CS8019,CS0105,CS0219,CS0168,CS1701,CS1702,CS8321"
              for path in references.Value do
                  $"-r:\"{path}\""
              let compiled = Path.Combine(folder, "Page.dll")
              $"-out:\"{compiled}\""
              $"\"{source}\"" ]
        )

        match dotnet [ "exec"; compiler.Value; $"@{response}" ] with
        | 0, _ -> ""
        | code, "" -> $"{page}: the compiler ended with {code} and said nothing"
        | _, said -> Regex.Replace(said, @"\S*Page\.cs", page))

[<Tests>]
let csharpDocsTests =
    testList
        "Docs in C#"
        [ testCase "the C# of every page compiles" (fun () ->
              let pages = pages ()
              Expect.isGreaterThan pages.Length 7 "not vacuous"
              Expect.equal (List.except (List.map fst pages) (List.map fst givens)) [] "what is given is taken"

              let said =
                  [ for page, blocks in pages do
                        match complaints page blocks with
                        | "" -> ()
                        | said -> said ]

              Expect.equal said [] "pages")

          testCase "a block that does not compile is named with its page and line" (fun () ->
              let said = complaints "docs/a.md" [ "int a = 1;\n"; "string b = a;\n" ]
              Expect.stringContains said "docs/a.md(4,12): error CS0029" "page and line") ]
