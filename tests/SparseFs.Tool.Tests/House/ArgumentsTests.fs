/// Arguments are told, and wrong ones end with 2 and one line.
module SparseFs.Tests.ArgumentsTests

open System.IO
open System.Text.RegularExpressions
open Expecto

let private commands = [ "info"; "run"; "bench"; "convert"; "serve" ]

[<Tests>]
let argumentsTests =
    testList
        "Arguments"
        [ test "every command has help" {
              inFolder (fun folder ->
                  let all = succeeds folder [ "--help" ]

                  for command in commands do
                      Expect.stringContains all $"    {command} <options>" "all commands"

                      Expect.stringStarts (succeeds folder [ command; "--help" ]) $"USAGE: sparsefs {command}" command

                  Expect.stringStarts (succeeds folder [ "--version" ]) "sparsefs 0." "version")
          }

          test "wrong arguments end with 2, and the line names them" {
              inFolder (fun folder ->
                  for arguments, expected in
                      [ [], "expected a command: info, run, bench, convert or serve"
                        [ "frobnicate" ], "'frobnicate'"
                        [ "info" ], "<file>"
                        [ "info"; "a"; "--frobnicate" ], "'--frobnicate'"
                        [ "run"; "a"; "b" ], "<output>"
                        [ "run"; "a"; "b"; "c"; "--threads"; "0" ], "--threads: expected 1 to 1024, got 0"
                        [ "run"; "a"; "b"; "c"; "--batch"; "x" ], "--batch"
                        [ "bench"; "a"; "--seconds"; "0" ], "--seconds: expected 0.01 to 3600, got 0"
                        [ "bench"; "a"; "--batch"; "-1" ], "--batch: expected 1 or more, got -1"
                        [ "convert"; "a"; "b" ], "--sparsity"
                        [ "convert"; "a"; "b"; "--sparsity"; "90" ], "sparsity is a fraction: write 0.9 for 90 %"
                        [ "convert"; "a"; "b"; "--sparsity"; "1" ], "expected a sparsity in [0, 1), got 1"
                        [ "convert"; "a"; "b"; "--sparsity"; "nan" ], "expected a sparsity in [0, 1), got NaN"
                        [ "convert"; "a"; "b"; "--sparsity"; "0.5"; "--network"; "cnn" ],
                        "--network: expected one of mlp, none, got cnn"
                        [ "convert"; "a"; "b"; "--sparsity"; "0.5"; "--activation"; "relu" ],
                        "expected --network mlp beside --activation"
                        [ "convert"; "a"; "b"; "--sparsity"; "0.5"; "--row-groups"; "0" ],
                        "--row-groups: expected 1 to 64, got 0"
                        [ "serve"; "a"; "--port"; "70000" ], "--port: expected 0 to 65535, got 70000" ] do
                      let line = fails 2 folder arguments
                      Expect.stringContains line expected $"{arguments}"
                      Expect.stringEnds line "(sparsefs --help)" "where more is told")
          }

          test "docs/tool.md tells of every command and option" {
              let rec find (folder: DirectoryInfo | null) =
                  match folder with
                  | null -> failtest "expected docs/tool.md above the program"
                  | folder when File.Exists(Path.Combine(folder.FullName, "docs", "tool.md")) ->
                      File.ReadAllText(Path.Combine(folder.FullName, "docs", "tool.md"))
                  | folder -> find folder.Parent

              let page = find (DirectoryInfo System.AppContext.BaseDirectory)

              inFolder (fun folder ->
                  for command in commands do
                      Expect.stringContains page $"sparsefs {command} " command

                      for option in
                          Regex.Matches(
                              succeeds folder [ command; "--help" ],
                              @"^    (--[a-z-]+)",
                              RegexOptions.Multiline
                          ) do
                          Expect.stringContains page option.Groups[1].Value $"{command}, {option.Groups[1].Value}")
          } ]
