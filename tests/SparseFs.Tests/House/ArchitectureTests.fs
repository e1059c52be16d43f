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
    let rec find (folder: DirectoryInfo | null) =
        match folder with
        | null -> failtest $"expected SparseFs.sln above {AppContext.BaseDirectory}, got none"
        | folder when File.Exists(Path.Combine(folder.FullName, "SparseFs.sln")) -> folder.FullName
        | folder -> find folder.Parent

    lazy find (DirectoryInfo AppContext.BaseDirectory)

let private relative (path: string) =
    Path.GetRelativePath(root.Value, path).Replace('\\', '/')

let internal filesUnder (folder: string) (patterns: string list) =
    let full = Path.Combine(root.Value, folder)

    if Directory.Exists full then
        patterns
        |> List.collect (fun pattern -> List.ofArray (Directory.GetFiles(full, pattern, SearchOption.AllDirectories)))
        |> List.map relative
        |> List.filter (fun path -> not (Regex.IsMatch(path, "(^|/)(bin|obj|artifacts)/")))
        |> List.sort
    else
        []

let internal read (path: string) =
    File.ReadAllText(Path.Combine(root.Value, path))

/// The files of the libraries.
let internal sourceFiles = lazy filesUnder "src" [ "*.fs"; "*.cs" ]

/// The assemblies in F#, from leaf to root.
let private assemblies = [ "src/SparseFs.Core/"; "src/SparseFs/" ]

let private everything =
    BindingFlags.Static
    ||| BindingFlags.Instance
    ||| BindingFlags.Public
    ||| BindingFlags.NonPublic
    ||| BindingFlags.DeclaredOnly

/// The files of an assembly, in the order of their compilation.
let private compiled (assembly: string) : string list =
    let name = Path.GetFileName(assembly.TrimEnd '/')

    XDocument.Parse(read $"{assembly}{name}.fsproj").Descendants(XName.Get "Compile")
    |> Seq.map (fun item ->
        assembly
        + (present "a file" (item.Attribute(XName.Get "Include"))).Value.Replace('\\', '/'))
    |> List.ofSeq

/// The files that may hold addresses: the kernels, their memory, who walks scores, and the one place where a tensor becomes
/// one.
let private mayHoldPointers =
    set
        [ "src/SparseFs.Core/Execution/CpuGradients.fs"
          "src/SparseFs.Core/Execution/CpuGrowthScores.fs"
          "src/SparseFs.Core/Execution/CpuKernels.fs"
          "src/SparseFs.Core/Execution/CpuSlotCopies.fs"
          "src/SparseFs.Core/Execution/CpuSparseActivations.fs"
          "src/SparseFs.Core/Execution/CpuSpmm.fs"
          "src/SparseFs.Core/Execution/CpuTopK.fs"
          "src/SparseFs.Core/Execution/Tiles/KernelTable.fs"
          "src/SparseFs.Core/Execution/Tiles/TileKernels.fs"
          "src/SparseFs.Core/Execution/Tiles/TileWidth.fs"
          "src/SparseFs.Core/Execution/Convolutions/CpuConvolution.fs"
          "src/SparseFs.Core/Execution/Convolutions/StencilProducts.fs"
          "src/SparseFs.Core/Execution/Attention/AttentionBackward.fs"
          "src/SparseFs.Core/Execution/Attention/AttentionForward.fs"
          "src/SparseFs.Core/Execution/Attention/AttentionHeads.fs"
          "src/SparseFs.Core/Kernels/Attention/AttentionKernels.fs"
          "src/SparseFs.Core/Kernels/Attention/ScoreRows.fs"
          "src/SparseFs.Core/Kernels/Attention/SmallProducts.fs"
          "src/SparseFs.Core/Kernels/Products/Inputs.fs"
          "src/SparseFs/Backends/Cpu/CpuAttention.fs"
          "src/SparseFs.Core/Execution/Compact/PackedCalls.fs"
          "src/SparseFs.Core/Execution/Compact/PackedKernels.fs"
          "src/SparseFs.Core/Execution/Compact/PackedLayout.fs"
          "src/SparseFs.Core/Execution/Compact/PackedProducts.fs"
          "src/SparseFs.Core/Kernels/Compact/PackedElements.fs"
          "src/SparseFs.Core/Kernels/Compact/PackedGroupProducts.fs"
          "src/SparseFs.Core/Kernels/Compact/PackedRowProducts.fs"
          "src/SparseFs.Core/Kernels/Compact/PackedVector.fs"
          "src/SparseFs.Core/Kernels/Compact/PackedView.fs"
          "src/SparseFs.Core/Execution/Chains/Chain.fs"
          "src/SparseFs.Core/Execution/Chains/ChainBackward.fs"
          "src/SparseFs.Core/Execution/Chains/ChainForward.fs"
          "src/SparseFs.Core/Kernels/Chains/ChainKernels.fs"
          "src/SparseFs.Core/Kernels/Chains/ChainTile.fs"
          "src/SparseFs.Core/Kernels/Chains/TileActivations.fs"
          "src/SparseFs/Backends/Cpu/CpuChains.fs"
          "src/SparseFs.Core/Execution/Recurrent/RecurrentBackward.fs"
          "src/SparseFs.Core/Execution/Recurrent/RecurrentForward.fs"
          "src/SparseFs.Core/Execution/Recurrent/RecurrentLanes.fs"
          "src/SparseFs.Core/Execution/Recurrent/RecurrentPlan.fs"
          "src/SparseFs.Core/Execution/Recurrent/RecurrentProducts.fs"
          "src/SparseFs.Core/Kernels/Recurrent/ActivationRuns.fs"
          "src/SparseFs.Core/Kernels/Recurrent/GateStep.fs"
          "src/SparseFs.Core/Kernels/Recurrent/GruGates.fs"
          "src/SparseFs.Core/Kernels/Recurrent/LstmGates.fs"
          "src/SparseFs.Core/Kernels/Recurrent/RnnGates.fs"
          "src/SparseFs.Core/Kernels/Convolutions/Pixels.fs"
          "src/SparseFs.Core/Kernels/Convolutions/PixelLayout.fs"
          "src/SparseFs.Core/Kernels/Convolutions/PixelTarget.fs"
          "src/SparseFs.Core/Kernels/Convolutions/SddmmPixels.fs"
          "src/SparseFs.Core/Execution/ScratchPool.fs"
          "src/SparseFs.Core/Execution/SpmmPlan.fs"
          "src/SparseFs.Core/Kernels/Optimizers/AdamNumbers.fs"
          "src/SparseFs.Core/Kernels/Optimizers/GradientNorm.fs"
          "src/SparseFs.Core/Kernels/Optimizers/OptimizerSteps.fs"
          "src/SparseFs.Core/Kernels/Optimizers/StepNumbers.fs"
          "src/SparseFs.Core/Kernels/Optimizers/YoungMoments.fs"
          "src/SparseFs.Core/Kernels/Products/CsrView.fs"
          "src/SparseFs/Optimizers/Fused/FusedSteps.fs"
          "src/SparseFs/Optimizers/Fused/FusedTensors.fs"
          "src/SparseFs.Core/Kernels/DenseConversion.fs"
          "src/SparseFs.Core/Kernels/DutyCycleUpdate.fs"
          "src/SparseFs.Core/Kernels/Dropout.fs"
          "src/SparseFs.Core/Execution/CpuDropout.fs"
          "src/SparseFs.Core/Kernels/GatherSlots.fs"
          "src/SparseFs.Core/Kernels/Gemm.fs"
          "src/SparseFs.Core/Kernels/Pack.fs"
          "src/SparseFs.Core/Kernels/Pointer.fs"
          "src/SparseFs.Core/Kernels/Reduce.fs"
          "src/SparseFs.Core/Kernels/ScoreScan.fs"
          "src/SparseFs.Core/Kernels/Products/Sddmm.fs"
          "src/SparseFs.Core/Kernels/RowGroups/RowGroup.fs"
          "src/SparseFs.Core/Kernels/RowGroups/SddmmRowGroups.fs"
          "src/SparseFs.Core/Kernels/RowGroups/SpmmRowGroups.fs"
          "src/SparseFs.Core/Kernels/RowGroups/SpmmTransposeRowGroups.fs"
          "src/SparseFs.Core/Kernels/Simd/SimdKeyLanes.fs"
          "src/SparseFs.Core/Kernels/Simd/SimdKeys.fs"
          "src/SparseFs.Core/Kernels/Simd/SimdVector.fs"
          "src/SparseFs.Core/Kernels/SparseActivations.fs"
          "src/SparseFs.Core/Kernels/Products/Spmm.fs"
          "src/SparseFs.Core/Kernels/Products/SpmmTranspose.fs"
          "src/SparseFs.Core/Kernels/TopKRows.fs"
          "src/SparseFs.Core/Selection/StreamingTopK.fs"
          "src/SparseFs/Backends/Cpu/CpuBackend.fs"
          "src/SparseFs/Backends/Cpu/CpuRecurrence.fs"
          "src/SparseFs/Tensors/TensorView.fs" ]

let private holdsPointers (text: string) =
    Regex.IsMatch(text, "#nowarn \"9\"|NativePtr|nativeptr<")

/// Written in pieces, so that this file holds none of them.
let private forbidden =
    [ "a package registry's host", @"\b(nuget|npmjs|pypi|crates|debian|ubuntu|pythonhosted)\" + @".(org|com|io)\b"
      "an absolute path of a machine", @"(?<![\w.)}\]-])/(work|root|home|Users)" + @"/\w"
      "a folder of a machine", @"(?<![\w.)}\]/-])/(work|root)" + @"(?![\w/-])" ]

/// The lines of a source file that are no comment.
let private code (text: string) : string =
    text.Split '\n'
    |> Array.filter (fun line -> not (Regex.IsMatch(line, @"^\s*//")))
    |> String.concat "\n"

let private writesToConsole (text: string) =
    Regex.Match(code text, @"\b(eprintfn?|printfn?|stdout|stderr|stdin|Console)\b")

let private readsGradient (text: string) =
    Regex.Match(code text, @"(?<!autograd)\.grad\b")

/// Folders of the core whose functions depend on their arguments alone.
let private pure' =
    [ "Connectivity"
      "KWinners"
      "Random"
      "Rules"
      "Scores"
      "Selection"
      "Sparsity"
      "Topology"
      "Update" ]

let private impure =
    [ "a clock", @"\b(Stopwatch|DateTime|DateTimeOffset|TimeProvider|TickCount64?|Timer)\b"
      "a disk", @"\bSystem\.IO\b|\bopen IO\b|\b(File|Directory|Path|Stream)\."
      "reflection", @"\bSystem\.Reflection\b|\bFSharp\.Reflection\b|\.GetType\(|\b(Activator|FSharpType|FSharpValue)\b"
      "the machine", @"\bEnvironment\b"
      "an exception of any kind as a value", @"\bwith\s+(e|_|exn|ex)\s*->|:\?\s*exn\b" ]

/// Where a file writes to an array that a pattern holds, by itself or by a name that it has from there to the end of the
/// block.
let private writesToPattern (text: string) : string list =
    let lines = (code text).Split '\n'
    let indent (line: string) = line.Length - line.TrimStart().Length
    let arrays = @"\.(?:ColIdxArray|RowPtrArray)\b"

    let named =
        Regex($@"^\s*(?:let|use)\s+(?:mutable\s+)?(\w+)(?:\s*,\s*(\w+))?\s*=.*{arrays}(?!\[)")

    [ for i in 0 .. lines.Length - 1 do
          for m in Regex.Matches(lines[i], arrays + @"\[[^\]]*\]\s*<-") -> m.Value
          let names = named.Match(lines[i]).Groups |> Seq.skip 1 |> Seq.filter _.Success

          let block =
              lines[i + 1 ..]
              |> Array.takeWhile (fun line -> line.Trim() = "" || indent line >= indent lines[i])

          for name in names do
              for line in block do
                  for m in Regex.Matches(line, $@"(?<![\w.]){name.Value}\[[^\]]*\]\s*<-") -> m.Value ]

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
        [ testCase "every source file of an assembly is compiled, and no folder holds more than 14" (fun () ->
              for assembly in assemblies do
                  let onDisk = filesUnder assembly [ "*.fs"; "*.fsi" ]
                  Expect.equal (List.sort (compiled assembly)) onDisk $"files of {assembly}"

                  for folder, files in onDisk |> List.groupBy folderOf do
                      Expect.isLessThanOrEqual files.Length 14 folder)

          testCase "docs/architecture.md names every folder of src, and each has its README" (fun () ->
              let page = read "docs/architecture.md"

              let folders =
                  filesUnder "src" [ "*.fs"; "*.fsi"; "*.cs"; "*.proto" ]
                  |> List.map (fun file -> (folderOf file).Replace('\\', '/').Substring 4)
                  |> List.distinct
                  |> List.filter (fun folder -> not (folder.EndsWith "buildTransitive"))

              Expect.isGreaterThan folders.Length 25 "not vacuous"

              for folder in folders do
                  Expect.stringContains page $"`{folder}`" folder

                  if folder.Contains '/' then
                      Expect.isTrue
                          (File.Exists(Path.Combine(root.Value, "src", folder, "README.md")))
                          $"{folder}/README.md")

          testCase "each word of docs/glossary.md lives where it says" (fun () ->
              let rows =
                  (read "docs/glossary.md").Split '\n'
                  |> Array.filter (fun line ->
                      line.StartsWith "| "
                      && not (line.StartsWith "| word " || line.StartsWith "| ---"))

              Expect.isGreaterThan rows.Length 40 "not vacuous"

              for row in rows do
                  let cells = row.Trim('|').Split '|' |> Array.map _.Trim()
                  Expect.equal cells.Length 4 row

                  for file in Regex.Matches(cells[3], "`([^`]+)`") do
                      Expect.isTrue (File.Exists(Path.Combine(root.Value, "src", file.Groups[1].Value))) row)

          testCase "what a newcomer looks for is found by the names of files alone" (fun () ->
              // What is looked for, the word that is typed, and the file that has it: `find src tests -type f | grep -i word`.
              let table =
                  [ "RigL's growth", "growth", "src/SparseFs.Core/Update/Growth.fs"
                    "the AVX-512 width", "simd", "src/SparseFs.Core/Kernels/Simd/SimdVector.fs"
                    "the check of a safetensors header",
                    "header",
                    "src/SparseFs.Core/Formats/Safetensors/HeaderReader.fs"
                    "the validation of a loaded pattern",
                    "validation",
                    "src/SparseFs.Core/Connectivity/CsrValidation.fs"
                    "an optimizer's moments at a rewire", "moments", "src/SparseFs/Optimizers/RemapMoments.fs"
                    "drop", "drops", "src/SparseFs.Core/Update/DropSlots.fs"
                    "dropout", "dropout", "src/SparseFs.Core/Kernels/Dropout.fs"
                    "schedule", "schedule.", "src/SparseFs.Core/Rules/Schedule.fs"
                    "policy", "policy", "src/SparseFs.Core/Rules/Policy.fs"
                    "budget", "budget", "src/SparseFs.Core/Rules/Budget.fs"
                    "redistribution", "redistribution", "src/SparseFs.Core/Update/Redistribution.fs"
                    "fingerprint", "fingerprint", "src/SparseFs.Core/Connectivity/Fingerprint.fs"
                    "sddmm", "sddmm", "src/SparseFs.Core/Kernels/Products/Sddmm.fs"
                    "gemm", "gemm", "src/SparseFs.Core/Kernels/Gemm.fs"
                    "spmm transpose", "spmmtranspose", "src/SparseFs.Core/Kernels/Products/SpmmTranspose.fs"
                    "small world", "smallworld", "src/SparseFs.Core/Topology/SmallWorld.fs"
                    "Curveball", "curveball", "src/SparseFs.Core/Topology/Curveball.fs"
                    "duty cycle", "dutycycle", "src/SparseFs.Core/KWinners/DutyCycle.fs"
                    "boost", "boost", "src/SparseFs.Core/KWinners/Boost.fs"
                    "remap", "remap", "src/SparseFs.Core/Update/Remap.fs"
                    "explored cells", "explored", "src/SparseFs.Core/Update/ExploredCells.fs"
                    "sparsity distribution", "distribution", "src/SparseFs.Core/Sparsity/SparsityDistribution.fs"
                    "averaging", "averaging.", "src/SparseFs/Averaging/Averaging.fs"
                    "atomic file", "atomic", "src/SparseFs.Core/Formats/AtomicFile.fs"
                    "gradient recorder", "recorder", "src/SparseFs/Autograd/GradientRecorder.fs"
                    "plan", "plan", "src/SparseFs.Core/Execution/SpmmPlan.fs"
                    "batch tiling", "tiling", "src/SparseFs.Core/Execution/Tiles/BatchTiling.fs"
                    "notice", "noticeboard", "src/SparseFs/Training/Notices/NoticeBoard.fs"
                    "conversion", "conversion", "src/SparseFs/Pruning/Conversion.fs"
                    "version", "layerversion", "src/SparseFs/Layers/Versions/LayerVersions.fs"
                    "staged load", "staged", "src/SparseFs/Checkpoints/StagedLoad.fs" ]

              let files = filesUnder "src" [ "*" ] @ filesUnder "tests" [ "*" ]

              for what, word, file in table do
                  let hits = files |> List.filter _.Contains(word, StringComparison.OrdinalIgnoreCase)

                  Expect.contains hits file what
                  Expect.isLessThanOrEqual hits.Length 5 $"lines that grep prints for {word}: {hits}")

          testCase "the library writes nothing to the console" (fun () ->
              for file in sourceFiles.Value do
                  // The command's work is to write there.
                  if not (file.StartsWith "src/SparseFs.Tool/") then
                      let found = writesToConsole (read file)
                      Expect.isFalse found.Success $"{file}: {found.Value}"

              for text in
                  [ "eprintfn \"x\""
                    "  printf \"%d\" 1"
                    "Console.Error.WriteLine();"
                    "stderr.Write 'x'" ] do
                  Expect.isTrue (writesToConsole text).Success text

              for text in [ "/// printfn"; "sprintf \"x\""; "failwithf \"x\"" ] do
                  Expect.isFalse (writesToConsole text).Success text)

          testCase "gradients, which may be null, are read and written in one file alone" (fun () ->
              let border = "src/SparseFs/Tensors/TorchNulls.fs"

              for file in sourceFiles.Value do
                  let found = readsGradient (read file)
                  Expect.equal found.Success (file = border) $"{file}: {found.Value}"

              for text in [ "use grad = p.grad"; "if isNull layer.weight.grad then"; "p.grad <- zeros" ] do
                  Expect.isTrue (readsGradient text).Success text

              for text in
                  [ "/// those in p.grad"
                    "torch.no_grad ()"
                    "t.grad_fn"
                    "torch.autograd.grad (y, x)" ] do
                  Expect.isFalse (readsGradient text).Success text)

          testCase "no warning of nulls is turned off, and no type of ours takes null for one of its values" (fun () ->
              let off =
                  Regex
                      @"#nowarn[^\n]*326[0-9]|NoWarn[^\n]*326[0-9]|nowarn:326|NotAsErrors[^\n]*326[0-9]|AllowNullLiteral"

              let files =
                  [ "Directory.Build.props"; "Directory.Build.targets" ]
                  @ (sources.Value
                     |> List.filter (fun file -> Regex.IsMatch(file, @"(\.fs|\.fsi|\.fsx|proj|\.props|\.targets)$")))

              Expect.isGreaterThan files.Length 300 "not vacuous"

              for file in files do
                  if not (file.EndsWith "House/ArchitectureTests.fs") then
                      Expect.isFalse (off.IsMatch(read file)) file

              for text in [ "#nowarn \"3261\""; "<NoWarn>3264</NoWarn>"; "[<Sealed; AllowNullLiteral>]" ] do
                  Expect.isTrue (off.IsMatch text) text)

          testCase "what is pure has no clock, no disk and no reflection, and takes no fault for a result" (fun () ->
              let files =
                  sourceFiles.Value
                  |> List.filter (fun file ->
                      pure'
                      |> List.exists (fun folder -> file.StartsWith $"src/SparseFs.Core/{folder}/"))

              Expect.isGreaterThan files.Length 50 "not vacuous"

              for file in files do
                  let text = code (read file)

                  for what, pattern in impure do
                      let found = Regex.Match(text, pattern)
                      Expect.isFalse found.Success $"{file} has {what}: {found.Value}"

              for text in
                  [ "let watch = Stopwatch.StartNew()"
                    "File.ReadAllText path"
                    "x.GetType().Name"
                    "Environment.ProcessorCount"
                    "with e -> refused" ] do
                  Expect.isTrue (impure |> List.exists (fun (_, pattern) -> Regex.IsMatch(text, pattern))) text)

          testCase "nobody writes to an array that a pattern holds" (fun () ->
              let readers =
                  sourceFiles.Value
                  |> List.filter (fun file -> Regex.IsMatch(read file, "ColIdxArray|RowPtrArray"))

              Expect.isGreaterThan readers.Length 20 "not vacuous"

              for file in readers do
                  Expect.isEmpty (writesToPattern (read file)) file

              // A generator makes its arrays before the pattern: what changes arrays in place never sees one's.
              for file in readers do
                  Expect.isFalse (file.StartsWith "src/SparseFs.Core/Topology/") file

              for text in
                  [ "c.ColIdxArray[slot] <- 1"
                    "let colIdx = c.ColIdxArray\n    colIdx[0] <- 1"
                    "let rowPtr, colIdx = c.RowPtrArray, c.ColIdxArray\n    rowPtr[i + 1] <- 1" ] do
                  Expect.isNonEmpty (writesToPattern text) text)

          testCase "only the listed files hold pointers, and the list is not stale" (fun () ->
              let holders =
                  assemblies
                  |> List.collect compiled
                  |> List.filter (fun file -> holdsPointers (read file))
                  |> set

              Expect.isTrue
                  (Set.isSubset holders mayHoldPointers)
                  $"pointers outside the list: {holders - mayHoldPointers}"

              Expect.equal mayHoldPointers holders "each file of the list holds some")

          testCase "instruction sets are asked for where the widths are listed, and by the vectors, alone" (fun () ->
              let askers =
                  compiled "src/SparseFs.Core/"
                  |> List.filter (fun file ->
                      Regex.IsMatch(read file, @"\bIs(Supported|HardwareAccelerated)\b|\bVector<"))

              Expect.equal
                  askers
                  [ "src/SparseFs.Core/Kernels/Pointer.fs"
                    "src/SparseFs.Core/Kernels/Simd/Widths.fs"
                    "src/SparseFs.Core/Kernels/CacheLevels.fs"
                    "src/SparseFs.Core/Kernels/Simd/SimdVector.fs" ]
                  "files that ask what the machine has")

          testCase
              "no source file is longer than 300 lines but those that are listed, each no longer than it is"
              (fun () ->
                  let known =
                      dict
                          [ "src/SparseFs.Core/Connectivity/Connectivity.fsi", 311
                            "src/SparseFs/Checkpoints/Checkpoint.fs", 329
                            "src/SparseFs/Layers/Versions/LayerVersions.fs", 372
                            "src/SparseFs/Layers/Transformers/SparseMultiheadAttention.fs", 315
                            "src/SparseFs/Layers/Transformers/SparseTransformerEncoderLayer.fs", 315
                            "src/SparseFs/Training/Rewirer.fs", 328 ]

                  let files = filesUnder "src" [ "*.fs"; "*.fsi" ]
                  Expect.isGreaterThan files.Length 240 "not vacuous"

                  for file in files do
                      let lines = (read file).Split('\n').Length - 1

                      match known.TryGetValue file with
                      | true, most ->
                          Expect.isLessThanOrEqual lines most file
                          Expect.isGreaterThan lines 300 $"{file} needs no place in the list"
                      | _ -> Expect.isLessThanOrEqual lines 300 file)

          testCase "each kernel is compiled with all optimisations at its first call" (fun () ->
              let marked =
                  [ for t in typeof<Connectivity>.Assembly.GetTypes() do
                        for m in t.GetMethods(everything) do
                            if m.IsDefined typeof<AggressiveOptimizationAttribute> then
                                m ]

              let kernels =
                  [ "tile"
                    "untile"
                    "rows"
                    "groups"
                    "group"
                    "some"
                    "rowSums"
                    "order"
                    "transpose"
                    "countAbove"
                    "keep" ]

              let names = marked |> List.map _.Name
              Expect.all kernels (fun name -> List.contains name names) "not vacuous"

              // What the compiler has carved out of a large one.
              let parts =
                  [ for m in marked do
                        for part in (present "a type" m.DeclaringType).GetMethods everything do
                            if part.Name.StartsWith $"{m.Name}$cont@" then
                                part ]

              Expect.isNonEmpty parts "not vacuous: keysOf is cut"

              for m in marked @ parts do
                  Expect.isTrue
                      (m.GetMethodImplementationFlags().HasFlag MethodImplAttributes.AggressiveOptimization)
                      $"{m.DeclaringType}.{m.Name}: the build has set the flag")

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
