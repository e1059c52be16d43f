/// Examples of the documentation: what a user calls first has one, and each compiles, runs and gives what it says.
module SparseFs.Tests.ExamplesTests

open System
open System.IO
open System.Reflection
open System.Text.RegularExpressions
open System.Xml.Linq
open Expecto
open Microsoft.FSharp.Reflection
open SparseFs
open SparseFs.Tests.CheckpointFiles
open SparseFs.Tests.PublicApiTests
open SparseFs.Tests.PublicSurface

// ---------------------------------------------------------------------------------------------------------
// Who has an example
// ---------------------------------------------------------------------------------------------------------

/// A code block of an example, and the name that its member has in the XML file, without parameters.
type private Example = { Member: string; Lines: string list }

let private withoutIndent (lines: string list) : string list =
    let indent (line: string) = line.Length - line.TrimStart().Length
    let isBlank (line: string) = String.IsNullOrWhiteSpace line

    match List.filter (isBlank >> not) lines with
    | [] -> []
    | written ->
        let least = written |> List.map indent |> List.min

        lines
        |> List.map (fun line -> if isBlank line then "" else line.Substring(least).TrimEnd())
        |> List.skipWhile isBlank

let private documented (assembly: Assembly) : (string * XElement) list =
    let file = Path.Combine(AppContext.BaseDirectory, $"{assembly.GetName().Name}.xml")

    [ for m in XDocument.Load(file, LoadOptions.PreserveWhitespace).Descendants(XName.Get "member") do
          for name in m.Attributes(XName.Get "name") do
              (name.Value.Split('(')[0]).Split("``")[0], m ]

let private examplesOf (assembly: Assembly) : Example list =
    [ for name, m in documented assembly do
          for example in m.Descendants(XName.Get "example") do
              for code in example.Elements(XName.Get "code") do
                  { Member = name
                    Lines = withoutIndent (List.ofArray (code.Value.Split '\n')) } ]

/// Members of types that have more to show than their constructors.
let private shown =
    [ typeof<SparseLayer>, [ "Connectivity"; "Policy"; "Arithmetic"; "weight"; "weightMatrix" ]
      typeof<SparseLinear>, [ "ArithmeticFor" ]
      typeof<KWinnersBase>, [ "Boost"; "DutyCycles"; "Entropy"; "EndEpoch" ]
      typeof<KWinners>, [ "K"; "KAtInference"; "MaxEntropy" ]
      typeof<KWinners2d>, [ "KOf"; "MaxEntropy" ]
      typeof<Rewirer>,
      [ "Step"
        "Follow"
        "ZeroGrad"
        "Events"
        "Notices"
        "Refusals"
        "Capture"
        "Restore" ] ]

/// Every function and value of a public module, the constructors of the types above, and the members beside them.
let private wanted: MemberInfo list =
    [ for assembly in fsharp do
          for t in publicTypes assembly do
              if FSharpType.IsModule t then
                  yield! publicMembers t

      for t, names in shown do
          for m in publicMembers t do
              if m :? ConstructorInfo || List.contains m.Name names then
                  m ]

let private withoutExample () : string list =
    let having =
        [ for assembly in fsharp do
              for name, m in documented assembly do
                  if not (Seq.isEmpty (m.Descendants(XName.Get "example"))) then
                      name ]
        |> List.countBy id
        |> dict

    [ for name, count in List.countBy docName wanted do
          match having.TryGetValue name with
          | true, found when found >= count -> ()
          | _ -> name ]

// ---------------------------------------------------------------------------------------------------------
// Whether they run
// ---------------------------------------------------------------------------------------------------------

/// What an example may use without saying it: these namespaces, and the values of <c>given</c>. Each example has them
/// new, and a current folder of its own.
let private prelude =
    """
open System
open System.IO
open System.Text.RegularExpressions
open FsCheck
open FsCheck.FSharp
open SparseFs
open SparseFs.Inference
open SparseFs.Kernels
open SparseFs.Testing
open TorchSharp

torch.set_num_threads 1 // other tests run beside these

let given () =
    let seed = Seed.ofInt 42
    let linear = torch.nn.Linear(784L, 300L) // a dense layer
    let layer = new SparseLinear(784, 300, sparsity = 0.9, seed = seed) // a sparse one
    let dense = torch.nn.Sequential(torch.nn.Linear(784L, 300L), torch.nn.ReLU(), torch.nn.Linear(300L, 10L))
    let first = new SparseLinear(784, 300, sparsity = 0.9, seed = seed)
    let model = torch.nn.Sequential(first, torch.nn.ReLU(), torch.nn.Linear(300L, 10L))
    let optimizer = torch.optim.SGD(model.parameters (), 0.1, momentum = 0.9)
    let x = torch.randn (32L, 784L) // samples, and their labels
    let labels = torch.randint (10L, [| 32L |])
    struct (seed, linear, layer, dense, model, optimizer, x, labels)

let mutable running = ""
let mutable failures = 0

let fail (what: string) =
    failures <- failures + 1
    eprintfn $"{running}: {what}"

let shows (expected: string) (value: 'a) =
    let got = Regex.Replace(sprintf "%0A" value, @"\s+", " ")
    if got <> expected then fail $"expected {expected}, got {got}"

let run (name: string) (example: unit -> unit) =
    running <- name
    let own = Path.Combine(__SOURCE_DIRECTORY__, Guid.NewGuid().ToString "N")
    Environment.CurrentDirectory <- Directory.CreateDirectory(own).FullName

    try
        example ()
    with raised ->
        fail $"{raised}"
"""

/// What follows "// = " is what F# prints of the expression before it, on one line; a pipeline's last line will do.
let private checkedLine (line: string) : string =
    let said = Regex.Match(line, @"^(\s*)(\S.*?)\s+// = (.*)$")

    if said.Success then
        let indent, expression = said.Groups[1].Value, said.Groups[2].Value
        let expected = said.Groups[3].Value.Replace("\"", "\"\"")

        if expression.StartsWith "|>" then
            $"{indent}{expression} |> shows @\"{expected}\""
        else
            $"{indent}({expression}) |> shows @\"{expected}\""
    else
        line

/// One script of all examples, each a function of its own, and the line where each begins, counted from 1.
let private scriptOf (examples: Example list) : string list * (int * Example) list =
    let references =
        [ for library in fsharp @ [ typeof<FsCheck.Check>.Assembly; typeof<TorchSharp.torch>.Assembly ] do
              $"#r @\"{library.Location}\"" ]

    let functionOf (i: int) (example: Example) =
        [ $"let example{i} () ="
          "    let struct (seed, linear, layer, dense, model, optimizer, x, labels) = given ()"
          for line in example.Lines do
              "    " + checkedLine line
          "    ()" ]

    let head = references @ List.ofArray (prelude.Split '\n')
    let functions = List.mapi functionOf examples

    let starts =
        functions
        |> List.scan (fun at lines -> at + lines.Length) (head.Length + 3)
        |> List.truncate examples.Length

    let calls =
        [ for i, example in List.indexed examples do
              $"run \"{example.Member}\" example{i}" ]

    head
    @ List.concat functions
    @ calls
    @ [ "exit (if failures = 0 then 0 else 1)" ],
    List.zip starts examples

/// What F# Interactive says against the examples, with the member and the line of its example in the place of the
/// script's; nothing where all is well.
let private complaints (examples: Example list) : string =
    inFolder (fun folder ->
        let script = Path.Combine(folder, "examples.fsx")
        let lines, starts = scriptOf examples
        File.WriteAllLines(script, lines)

        // An example may end in a value, which nobody takes: warning 20.
        let code, _, errors =
            Sdk.run [ "fsi"; "--nologo"; "--quiet"; "--warnaserror+"; "--nowarn:20"; script ]

        let inExample (at: Match) =
            let line = int at.Groups[1].Value

            match starts |> List.tryFindBack (fun (first, _) -> first <= line) with
            | Some(first, example) -> $"{example.Member}({line - first + 1},"
            | None -> at.Value

        match code, errors.Trim() with
        | 0, _ -> ""
        | code, "" -> $"F# Interactive ended with {code} and said nothing"
        | _, said -> Regex.Replace(said, @"\S*examples\.fsx\((\d+),", inExample))

[<Tests>]
let examplesTests =
    testList
        "Examples"
        [ testCase "every function of a module, and what a user of the layers calls first, has an example" (fun () ->
              for t, names in shown do
                  let found = publicMembers t |> List.map _.Name
                  Expect.equal (List.except found names) [] $"{t.Name} has these members"

              Expect.isGreaterThan wanted.Length 150 "not vacuous"
              Expect.equal (String.concat "\n" (withoutExample ())) "" "without an example")

          testCase "every example compiles, runs, and gives what it says" (fun () ->
              let examples = List.collect examplesOf fsharp
              Expect.isGreaterThan examples.Length 150 "not vacuous"
              Expect.equal (complaints examples) "" "examples")

          testCase "an example that does not compile, raises or gives another value is named" (fun () ->
              let example (name: string) (line: string) = { Member = name; Lines = [ line ] }
              let ofTypes = complaints [ example "M:Types" "Connectivity.full 2 \"3\"" ]
              Expect.stringContains ofTypes "M:Types(1" "the member and the line"
              Expect.stringContains ofTypes "FS0001" "the compiler's error"

              let running =
                  complaints
                      [ example "M:Raises" "Connectivity.full -1 3 |> ignore"
                        example "M:Value" "(Connectivity.full 2 3).Nnz // = 7"
                        example "M:Right" "(Connectivity.full 2 3).Nnz // = 6" ]

              Expect.stringContains running "M:Raises: System.ArgumentOutOfRangeException" "raised"
              Expect.stringContains running "M:Value: expected 7, got 6" "another value"
              Expect.isFalse (running.Contains "M:Right") "nothing against what is right") ]
