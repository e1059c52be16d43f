module SparseFs.Tests.ArchitectureTests

open System.Reflection
open System
open System.IO
open System.Text.RegularExpressions
open System.Xml.Linq
open Expecto
open SparseFs
open SparseFs.Kernels

/// The folder that holds SparseFs.sln, above the program's own.
let private root =
    let rec find (folder: DirectoryInfo) =
        if isNull folder then
            failtest $"expected SparseFs.sln above {AppContext.BaseDirectory}, got none"
        elif File.Exists(Path.Combine(folder.FullName, "SparseFs.sln")) then
            folder.FullName
        else
            find folder.Parent

    lazy find (DirectoryInfo AppContext.BaseDirectory)

let private relative (path: string) =
    Path.GetRelativePath(root.Value, path).Replace('\\', '/')

let private filesUnder (folder: string) (patterns: string list) =
    let full = Path.Combine(root.Value, folder)

    if Directory.Exists full then
        patterns
        |> List.collect (fun pattern -> List.ofArray (Directory.GetFiles(full, pattern, SearchOption.AllDirectories)))
        |> List.map relative
        |> List.filter (fun path -> not (Regex.IsMatch(path, "(^|/)(bin|obj|artifacts)/")))
        |> List.sort
    else
        []

let private read (path: string) =
    File.ReadAllText(Path.Combine(root.Value, path))

let private core = "src/SparseFs/"

let private everything =
    BindingFlags.Static
    ||| BindingFlags.Instance
    ||| BindingFlags.Public
    ||| BindingFlags.NonPublic
    ||| BindingFlags.DeclaredOnly

let private zones = [ "Pure"; "Kernels"; "Torch" ]

let private zoneOf (path: string) =
    List.findIndex (fun (zone: string) -> path.StartsWith $"{zone}/") zones

let private compiled =
    lazy
        (XDocument.Parse(read $"{core}SparseFs.fsproj").Descendants(XName.Get "Compile")
         |> Seq.map (fun item -> item.Attribute(XName.Get "Include").Value.Replace('\\', '/'))
         |> List.ofSeq)

/// The files that may hold addresses: the kernels, their memory, and the one place where a tensor becomes one.
let private mayHoldPointers =
    set
        [ "Kernels/Carry.fs"
          "Kernels/DenseCopy.fs"
          "Kernels/Dispatch.fs"
          "Kernels/DutyCycles.fs"
          "Kernels/KeyLanes.fs"
          "Kernels/Keys.fs"
          "Kernels/Lanes.fs"
          "Kernels/Pack.fs"
          "Kernels/Parts.fs"
          "Kernels/Plan.fs"
          "Kernels/Product.fs"
          "Kernels/ProductDispatch.fs"
          "Kernels/Scatter.fs"
          "Kernels/Scratch.fs"
          "Kernels/Sddmm.fs"
          "Kernels/SparseInputs.fs"
          "Kernels/SparseInputsDispatch.fs"
          "Kernels/Spmm.fs"
          "Kernels/Sums.fs"
          "Kernels/Winners.fs"
          "Kernels/WinnersDispatch.fs"
          "Kernels/YoungMoments.fs"
          "Torch/TensorView.fs" ]

let private holdsPointers (text: string) =
    Regex.IsMatch(text, "#nowarn \"9\"|NativePtr|nativeptr<")

/// Written in pieces, so that this file holds none of them.
let private forbidden =
    [ "a package registry's host", @"\b(nuget|npmjs|pypi|crates|debian|ubuntu|pythonhosted)\" + @".(org|com|io)\b"
      "an absolute path of a machine", @"(?<![\w.)}\]-])/(work|root|home|Users)" + @"/\w"
      "a folder of a machine", @"(?<![\w.)}\]/-])/(work|root)" + @"(?![\w/-])" ]

let private sources =
    lazy
        ([ "src"; "tests"; "benchmarks"; "examples"; "eng"; "docs"; ".ci"; ".config" ]
         |> List.collect (fun folder ->
             filesUnder
                 folder
                 [ "*.fs"
                   "*.fsi"
                   "*.fsx"
                   "*.cs"
                   "*.proto"
                   "*proj"
                   "*.props"
                   "*.targets"
                   "*.references"
                   "*.md"
                   "*.json"
                   "run" ])
         |> List.append
             [ "build.fsx"
               "paket.dependencies"
               "paket.lock"
               "README.md"
               "CONTRIBUTING.md"
               "CHANGELOG.md"
               "global.json" ])

[<Tests>]
let architecture =
    testList
        "Architecture"
        [ testCase "no file of Pure or Kernels names TorchSharp" (fun () ->
              for zone in [ "Pure"; "Kernels" ] do
                  let files = filesUnder $"{core}{zone}" [ "*.fs"; "*.fsi" ]
                  Expect.isNonEmpty files $"not vacuous: {zone}"

                  for file in files do
                      // A message may tell what to do in Python.
                      let code = Regex.Replace(read file, "\"[^\"\\n]*\"", "\"\"")

                      Expect.isFalse
                          (Regex.IsMatch(code, @"TorchSharp|\btorch\.|open\s+type\s+torch"))
                          $"{file} names TorchSharp")

          testCase "the compile order is Pure, then Kernels, then Torch" (fun () ->
              let order = compiled.Value |> List.map zoneOf
              Expect.equal (List.distinct order) [ 0; 1; 2 ] "each zone once, in order")

          testCase "every source file of the core is compiled" (fun () ->
              let onDisk =
                  filesUnder core [ "*.fs"; "*.fsi" ]
                  |> List.map (fun path -> path.Substring core.Length)

              Expect.equal (List.sort compiled.Value) onDisk "files")

          testCase "only the listed files hold pointers, and the list is not stale" (fun () ->
              let holders =
                  compiled.Value
                  |> List.filter (fun file -> holdsPointers (read $"{core}{file}"))
                  |> set

              Expect.isTrue
                  (Set.isSubset holders mayHoldPointers)
                  $"pointers outside the list: {holders - mayHoldPointers}"

              Expect.equal mayHoldPointers holders "each file of the list holds some")

          testCase "each kernel is compiled with all optimisations at its first call" (fun () ->
              let marked =
                  [ for t in typeof<Connectivity>.Assembly.GetTypes() do
                        for m in t.GetMethods(everything) do
                            if m.IsDefined typeof<FullyOptimizedAttribute> then
                                m ]

              let kernels =
                  [ "tile"
                    "untile"
                    "rows4"
                    "rows2"
                    "rows1"
                    "rowSums"
                    "order"
                    "transpose"
                    "countAbove"
                    "keep" ]

              let names = marked |> List.map _.Name
              Expect.all kernels (fun name -> List.contains name names) "not vacuous"

              for m in marked do
                  Expect.isTrue
                      (m.GetMethodImplementationFlags().HasFlag MethodImplAttributes.AggressiveOptimization)
                      $"{m.DeclaringType.Name}.{m.Name}: the build has set the flag")

          testCase "no source holds the address of a registry or a path of a machine" (fun () ->
              Expect.isGreaterThan sources.Value.Length 30 "not vacuous"

              for file in sources.Value do
                  let text = read file

                  for what, pattern in forbidden do
                      let found = Regex.Match(text, pattern)
                      Expect.isFalse found.Success $"{file} holds {what}: {found.Value}")

          testCase "the patterns find what they are for and pass what they are not" (fun () ->
              let finds (text: string) =
                  forbidden |> List.exists (fun (_, pattern) -> Regex.IsMatch(text, pattern))

              let host = String.concat "." [ "https://api"; "nuget"; "org/v3/index.json" ]
              let slash = "/"

              for text in
                  [ host
                    $"\"{slash}work{slash}main\""
                    $"cd {slash}root"
                    $" {slash}home{slash}me" ] do
                  Expect.isTrue (finds text) text

              for text in
                  [ "the NuGet client"
                    "Debian 12"
                    $"artifacts{slash}work{slash}x"
                    $"$(Root){slash}work{slash}x"
                    "../root/x"
                    "and/or/work" ] do
                  Expect.isFalse (finds text) text) ]
