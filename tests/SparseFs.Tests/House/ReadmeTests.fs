/// README is for users: its parts stand in the order in which they are needed, and its links lead somewhere.
module SparseFs.Tests.ReadmeTests

open System.IO
open System.Text.RegularExpressions
open Expecto
open SparseFs.Tests.ArchitectureTests

let private lines () =
    (read "README.md").Replace("\r\n", "\n").Split '\n'

let private languages () =
    [ for fence in
          Regex.Matches(read "README.md", @"^```(\w*)\r?\n.*?^```", RegexOptions.Multiline ||| RegexOptions.Singleline) ->
          fence.Groups[1].Value ]

[<Tests>]
let readme =
    testList
        "README"
        [ testCase "the parts stand in the order in which a user needs them" (fun () ->
              let headings =
                  lines ()
                  |> Array.filter (fun line -> line.StartsWith "#" && not (line.StartsWith "#r"))

              Expect.equal
                  (List.ofArray headings)
                  [ "# SparseFs"
                    "## Install"
                    "## A first network"
                    "## Training that rewires"
                    "## Models that exist, and their files"
                    "## Speed"
                    "## What there is, and what there is not"
                    "## From source" ]
                  "headings")

          testCase "each part with a program has it in F# and C#, and the first shows what it prints" (fun () ->
              // The programs themselves are run from the packages: dotnet fsi build.fsx consume.
              Expect.equal
                  (languages ())
                  [ "sh"; "fsharp"; "csharp"; ""; "fsharp"; "csharp"; "fsharp"; "csharp"; "" ]
                  "languages")

          testCase "links lead to files that are there" (fun () ->
              let links =
                  [ for link in Regex.Matches(read "README.md", @"\]\((?!https?:)([^)#]+)") -> link.Groups[1].Value ]

              Expect.isNonEmpty links "not vacuous"

              let broken =
                  links
                  |> List.filter (fun link ->
                      not (File.Exists(Path.Combine(__SOURCE_DIRECTORY__, "..", "..", "..", link))))

              Expect.equal broken [] "links to nothing")

          testCase
              "wherever libtorch's package is named with a version, it is that of the TorchSharp that is built with"
              (fun () ->
                  let locked =
                      Regex
                          .Match(read "paket.lock", @"^    TorchSharp \(([^)]+)\)", RegexOptions.Multiline)
                          .Groups[1].Value

                  Expect.isNotEmpty locked "paket.lock"

                  for file in
                      [ "README.md"
                        "docs/running.md"
                        "src/SparseFs/buildTransitive/SparseFs.targets" ] do
                      let named =
                          [ for found in Regex.Matches(read file, @"TorchSharp-cpu(?: --version|,) ([0-9.]+[0-9])") ->
                                found.Groups[1].Value ]

                      Expect.isNonEmpty named file
                      Expect.all named ((=) locked) file)

          testCase "what it is comes first, in at most seven lines" (fun () ->
              let first = lines () |> Array.skip 2 |> Array.takeWhile ((<>) "")
              Expect.isLessThanOrEqual first.Length 7 "lines") ]
