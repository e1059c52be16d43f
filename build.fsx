/// Builds, tests and packs SparseFs: dotnet fsi build.fsx [target] [arguments of the target]
/// It needs the .NET 10 SDK and nothing else; without a target it runs the demo.

#load "eng/counts.fsx"

open System
open System.Diagnostics
open System.IO
open System.Security.Cryptography
open System.Text
open System.Text.RegularExpressions

let inRoot (relative: string) =
    Path.Combine(__SOURCE_DIRECTORY__, relative)

// ---------------------------------------------------------------------------------------------------------
// Steps
// ---------------------------------------------------------------------------------------------------------

let dotnet (arguments: string list) =
    let start =
        ProcessStartInfo("dotnet", arguments, WorkingDirectory = __SOURCE_DIRECTORY__)

    start.Environment["DOTNET_NOLOGO"] <- "1"
    start.Environment["DOTNET_CLI_TELEMETRY_OPTOUT"] <- "1"
    // A node that outlives the build would hold on to the pipe that its output is read from.
    start.Environment["MSBUILDDISABLENODEREUSE"] <- "1"
    start

/// Runs a command that speaks for itself, also when it fails.
let exitCodeOf (arguments: string list) : int =
    use running = Process.Start(dotnet arguments)
    running.WaitForExit()
    running.ExitCode

let loudly (arguments: string list) =
    match exitCodeOf arguments with
    | 0 -> ()
    | code -> exit code

/// Runs a command and keeps what it prints to itself, unless it fails.
let quietly (title: string) (arguments: string list) =
    printfn $"{title} ..."
    let start = dotnet arguments
    start.RedirectStandardOutput <- true
    start.RedirectStandardError <- true
    use running = Process.Start start
    let output = StringBuilder()

    let keep (line: DataReceivedEventArgs) =
        lock output (fun () -> output.AppendLine line.Data |> ignore)

    running.OutputDataReceived.Add keep
    running.ErrorDataReceived.Add keep
    running.BeginOutputReadLine()
    running.BeginErrorReadLine()
    running.WaitForExit()

    if running.ExitCode <> 0 then
        let command = String.concat " " ("dotnet" :: arguments)
        eprintfn $"{output}\nfailed with exit code {running.ExitCode}: {command}"
        exit running.ExitCode

// ---------------------------------------------------------------------------------------------------------
// Packages: paket.lock, or without one paket.dependencies, says what eng/feed.proj downloads into .feed
// ---------------------------------------------------------------------------------------------------------

let matches (pattern: string) (text: string) =
    [ for line in Regex.Matches(text, pattern, RegexOptions.Multiline) -> line.Groups[1].Value, line.Groups[2].Value ]

/// Each package of paket.lock with its versions, of which two groups may hold different ones.
let lockedPackages (lockFile: string) =
    matches @"^    (\S+) \(([^)]+)\)" lockFile
    |> List.groupBy fst
    |> List.map (fun (name, versions) -> name, versions |> List.map (fun (_, v) -> $"[{v}]") |> List.distinct)

/// NuGet's word for a constraint of paket.dependencies. Options such as lowest_matching may follow it.
let nugetRange (constraints: string) =
    match List.ofArray (constraints.Split(' ', StringSplitOptions.RemoveEmptyEntries)) with
    | ">=" :: low :: "<" :: high :: _ -> $"[{low}, {high})"
    | ">=" :: low :: _ -> $"[{low}, )"
    | _ -> failwith $"paket.dependencies: expected '>= low' or '>= low < high', got '{constraints}'"

/// The packages that each group of paket.dependencies asks for.
let wantedPackages (dependencies: string) =
    Regex.Split(dependencies, @"^group ", RegexOptions.Multiline)
    |> Array.toList
    |> List.map (matches @"^\s*nuget (\S+) ([^\r\n]+)")
    |> List.map (List.map (fun (name, constraints) -> name, [ nugetRange constraints ]))

let downloadFeed (itemType: string) (packages: (string * string list) list) =
    let items =
        packages
        |> List.map (fun (name, versions) ->
            let versions = String.concat ";" versions
            $"""<{itemType} Include="{name}" Version="{versions}" />""")

    let list = inRoot "artifacts/feed.props"
    Directory.CreateDirectory(Path.GetDirectoryName list) |> ignore
    File.WriteAllLines(list, [ "<Project><ItemGroup>"; yield! items; "</ItemGroup></Project>" ])
    quietly "downloading packages" [ "restore"; "eng/feed.proj"; $"-p:FeedList={list}" ]

let restoreTools () =
    quietly "restoring tools" [ "tool"; "restore" ]

let relock () =
    restoreTools ()
    let read = File.ReadAllText(inRoot "paket.dependencies")
    wantedPackages read |> List.iter (downloadFeed "PackageReference")
    quietly "locking packages" [ "paket"; "update"; "--no-install" ]

let restorePackages () =
    restoreTools ()

    File.ReadAllText(inRoot "paket.lock")
    |> lockedPackages
    |> downloadFeed "PackageDownload"

    quietly "restoring packages" [ "paket"; "restore" ]
    quietly "restoring projects" [ "restore"; "SparseFs.sln" ]

/// Whatever a restore reads.
let setUpInputs () =
    let projectFiles =
        [ "src"; "tests"; "benchmarks"; "examples"; "eng" ]
        |> List.collect (fun folder ->
            [ "*proj"; "*.props"; "*.targets"; "paket.references" ]
            |> List.collect (fun pattern ->
                List.ofArray (Directory.GetFiles(inRoot folder, pattern, SearchOption.AllDirectories))))

    [ ".config/dotnet-tools.json"
      "build.fsx"
      "Directory.Build.props"
      "Directory.Build.targets"
      "global.json"
      "paket.dependencies"
      "paket.lock"
      "SparseFs.sln" ]
    |> List.map inRoot
    |> List.append projectFiles
    |> List.sort

let setUpKey () =
    setUpInputs ()
    |> Seq.collect File.ReadAllBytes
    |> Array.ofSeq
    |> SHA256.HashData
    |> Convert.ToHexString

/// Tools and packages. The stamp remembers for which inputs they are already here.
let setUp () =
    let stamp = inRoot "artifacts/setup.stamp"
    let isHere = [ ".feed"; ".paket" ] |> List.forall (inRoot >> Directory.Exists)

    if not (File.Exists(inRoot "paket.lock")) then
        relock ()

    if not isHere || not (File.Exists stamp) || File.ReadAllText stamp <> setUpKey () then
        restorePackages ()
        File.WriteAllText(stamp, setUpKey ())

// ---------------------------------------------------------------------------------------------------------
// Targets
// ---------------------------------------------------------------------------------------------------------

let build (project: string) =
    setUp ()
    quietly $"building {project}" [ "build"; project; "-c"; "Release"; "--no-restore" ]

let runProject (folder: string) (arguments: string list) =
    build folder
    let name = Path.GetFileName folder
    loudly (inRoot $"artifacts/bin/{name}/release/{name}.dll" :: arguments)

/// The tests of the core, which has no torch beside it, of the libraries and of the command; the last line counts all.
let test (arguments: string list) =
    let programs =
        [ "tests/SparseFs.Core.Tests"
          "tests/SparseFs.Tests"
          "tests/SparseFs.Tool.Tests" ]

    for program in programs do
        build program

    [ for program in programs do
          let name = Path.GetFileName program
          fun () -> exitCodeOf (inRoot $"artifacts/bin/{name}/release/{name}.dll" :: arguments) ]
    |> Counts.inOneLine
    |> function
        | 0 -> ()
        | code -> exit code

/// The tests as another system or processor runs them, each target with its own set-up beside the usual one.
let testElsewhere (script: string) (arguments: string list) =
    setUp ()
    loudly ("fsi" :: script :: arguments)

/// The benchmarks, or with --against COMMIT first, the library of this tree beside that of another commit.
let bench (arguments: string list) =
    let folder = "benchmarks/SparseFs.Benchmarks"

    match arguments with
    | "--against" :: _ ->
        build folder
        loudly ("fsi" :: "eng/against.fsx" :: arguments)
    | _ -> runProject folder arguments

/// Two minutes of a character model on a small text, and what it writes then.
let gptDemo (arguments: string list) =
    setUp ()
    // Its libraries, and those that its arguments and its progress bar come from.
    build "examples/Digits"
    let run = inRoot "artifacts/demo-gpt.safetensors"
    File.Delete run

    loudly (
        [ "fsi"
          "examples/chargpt.fsx"
          "examples/texts/genesis.txt"
          "--seconds"
          "120"
          "--steps"
          "20000"
          "--save"
          run ]
        @ arguments
    )

let demo (arguments: string list) =
    match arguments with
    | "--gpt" :: others -> gptDemo others
    | _ -> runProject "examples/Digits" arguments

/// A service that reads drawn digits; or what holds it to its word.
let serve (arguments: string list) =
    setUp ()
    loudly ("fsi" :: "eng/serve.fsx" :: arguments)

let libraries =
    [ "src/SparseFs.Core"
      "src/SparseFs"
      "src/SparseFs.FsCheck"
      "src/SparseFs.Core.CSharp"
      "src/SparseFs.CSharp"
      "src/SparseFs.Onnx"
      "src/SparseFs.Inference"
      "src/SparseFs.Deploy"
      "src/SparseFs.Tool" ]

let packages = inRoot "artifacts/packages"

/// The version of a release, as Directory.Build.props has it.
let releaseVersion () =
    matches "<(Version)>([^<]+)<" (File.ReadAllText(inRoot "Directory.Build.props"))
    |> List.head
    |> snd

/// Each build's own, so that no package cache answers with an older one; of --release, the release's.
let packedVersion (arguments: string list) =
    if List.contains "--release" arguments then
        releaseVersion ()
    else
        $"{releaseVersion ()}-local.{DateTime.UtcNow:yyyyMMddHHmmss}"

/// Lets a folder's projects see the packages, beside what the machine has.
let packageSource =
    $"""<configuration>
  <packageSources>
    <add key="SparseFs" value="{packages}" />
  </packageSources>
</configuration>
"""

/// The packages of the libraries that are named, and nothing else, in artifacts/packages.
let packed (version: string) (libraries: string list) =
    setUp ()

    if Directory.Exists packages then
        Directory.Delete(packages, recursive = true)

    for library in libraries do
        quietly
            $"packing {library}"
            [ "pack"
              library
              "-c"
              "Release"
              "--no-restore"
              $"-p:PackageVersion={version}" ]

    quietly "leaving internals out of the documentation" [ "fsi"; "eng/public-docs.fsx" ]
    File.WriteAllText(Path.Combine(packages, "nuget.config"), packageSource)

let pack (arguments: string list) =
    let version = packedVersion arguments
    packed version libraries

    printfn
        $"""
SparseFs {version} is in {packages}

Next, in the folder of your project:
  cp "{Path.Combine(packages, "nuget.config")}" .
  dotnet add package SparseFs --version {version}        (from C#: SparseFs.CSharp)
  dotnet add package TorchSharp-cpu
or at the top of an F# script:
  #i "nuget: {packages}"
  #r "nuget: SparseFs, {version}"
  #r "nuget: TorchSharp-cpu" """

/// What the packages ask for, against docs/architecture.md.
let comparePackages () =
    packed (packedVersion []) libraries
    loudly [ "fsi"; "eng/packages.fsx" ]

/// Programs outside this repository, from the packages alone.
let consume () =
    comparePackages ()
    loudly [ "fsi"; "eng/consume.fsx" ]

/// Five jobs of users, from the packages alone.
let jobs (arguments: string list) =
    packed (packedVersion []) libraries
    loudly ("fsi" :: "eng/jobs.fsx" :: arguments)

/// The core's package and the one that runs networks, compiled ahead of time; the network is written by a script.
let aot () =
    packed (packedVersion []) [ "src/SparseFs.Core"; "src/SparseFs.Inference" ]
    quietly "building src/SparseFs.Deploy" [ "build"; "-c"; "Release"; "src/SparseFs.Deploy" ]
    loudly [ "fsi"; "eng/aot.fsx" ]

let sources = [ "src"; "tests"; "benchmarks"; "examples"; "eng"; "build.fsx" ]

let format () =
    setUp ()
    loudly ("fantomas" :: sources)

let check () =
    setUp ()
    quietly "checking the format (dotnet fsi build.fsx format mends it)" ("fantomas" :: "--check" :: sources)
    build "SparseFs.sln"

let docs () =
    libraries |> List.iter build
    printfn "there is no site yet; the XML documentation lies beside each library:"

    for library in libraries do
        let name = Path.GetFileName library
        printfn $"  artifacts/bin/{name}/release/{name}.xml"

/// The downloaded packages stay in .feed.
let clean () =
    for made in [ "artifacts"; ".paket"; "paket-files" ] |> List.map inRoot do
        if Directory.Exists made then
            Directory.Delete(made, recursive = true)

let targets: (string * string * (string list -> unit)) list =
    [ "demo", "build and run examples/Digits; --gpt: two minutes of a character model", demo
      "test", "build and run the tests; arguments go to Expecto", test
      "test-arm64", "run the tests of the core for Arm64, under qemu", testElsewhere "eng/test-arm64.fsx"
      "test-windows", "run all tests for Windows, under Wine", testElsewhere "eng/test-windows.fsx"
      "stress", "call one model on many threads: [all | NAME] [TIMES]", runProject "tests/SparseFs.Stress"
      "bench", "build and run the benchmarks; --against COMMIT: beside another commit", bench
      "serve", "run examples/DigitServer: [--port P] [--model FILE] [--aot] [--smoke] [--load]", serve
      "aot", "compile programs over the core and over a network ahead of time", ignore >> aot
      "pack", "write the NuGet packages to artifacts/packages: [--release]", pack
      "packages", "pack, and compare what the packages ask for with docs/architecture.md", ignore >> comparePackages
      "consume", "pack, and run programs of users from the packages alone", ignore >> consume
      "jobs", "pack, and do five jobs of users from the packages alone: [--job 1..5]", jobs
      "format", "format the sources", ignore >> format
      "check", "check the format and build everything", ignore >> check
      "docs", "write the documentation", ignore >> docs
      "lock", "resolve paket.dependencies anew and write paket.lock", ignore >> relock
      "clean", "remove what the build made", ignore >> clean ]

let run (name: string) (arguments: string list) =
    match targets |> List.tryFind (fun (target, _, _) -> target = name) with
    | Some(_, _, target) -> target arguments
    | None ->
        eprintfn $"there is no target '{name}'; the targets are:"

        for target, does, _ in targets do
            eprintfn $"  %-14s{target}{does}"

        exit 2

match List.tail (List.ofArray fsi.CommandLineArgs) with
| [] -> run "demo" []
| name :: arguments -> run name arguments
