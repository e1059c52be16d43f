// What the tests for other platforms share (test-arm64.fsx, test-windows.fsx): programs of the system, tests published for a
// platform with the runtime that they need, and their run.

open System
open System.Diagnostics
open System.IO

let root = Path.GetFullPath(Path.Combine(__SOURCE_DIRECTORY__, ".."))

/// Where everything for a platform lies.
let folderOf (rid: string) =
    Path.Combine(root, "artifacts", "platforms", rid)

/// Says what is wrong and ends.
let fail (message: string) : 'a =
    eprintfn $"{message}"
    exit 1

let private started (start: ProcessStartInfo) : Process =
    match Process.Start start with
    | null -> fail $"{start.FileName} did not start"
    | running -> running

/// Runs a program and returns what it prints, on both its outputs; it must end well.
let outputOf (file: string) (arguments: string list) (environment: (string * string) list) : string =
    let start =
        ProcessStartInfo(
            file,
            arguments,
            WorkingDirectory = root,
            RedirectStandardOutput = true,
            RedirectStandardError = true
        )

    for name, value in environment do
        start.Environment[name] <- value

    use running = started start
    let errors = running.StandardError.ReadToEndAsync()
    let output = running.StandardOutput.ReadToEnd() + errors.Result
    running.WaitForExit()

    if running.ExitCode <> 0 then
        let command = String.concat " " (file :: arguments)
        fail $"{output}\nfailed with exit code {running.ExitCode}: {command}"

    output

let quietly (title: string) (file: string) (arguments: string list) (environment: (string * string) list) : unit =
    printfn $"{title} ..."
    outputOf file arguments environment |> ignore

// ---------------------------------------------------------------------------------------------------------
// Programs of the system
// ---------------------------------------------------------------------------------------------------------

/// Debian's packages, each with a file that it brings.
let install (packages: (string * string) list) : unit =
    let missing =
        [ for package, file in packages do
              if not (File.Exists file) then
                  package ]

    if not missing.IsEmpty then
        let names = String.concat " " missing

        if not (File.Exists "/usr/bin/apt-get") then
            fail
                $"expected a Debian system, or these programs already here: {names}. There is no apt-get that could install them."

        if Environment.UserName <> "root" then
            fail $"expected these packages, or root who may install them: {names}. As root: apt-get install {names}"

        printfn $"installing {names} ..."
        let silent = [ ("DEBIAN_FRONTEND", "noninteractive") ]
        outputOf "apt-get" [ "update"; "-q" ] silent |> ignore

        outputOf "apt-get" ([ "install"; "-y"; "-q"; "--no-install-recommends" ] @ missing) silent
        |> ignore

        for package, file in packages do
            if not (File.Exists file) then
                fail $"expected {file} from the package {package}, which is installed and does not hold it"

// ---------------------------------------------------------------------------------------------------------
// Publishing
// ---------------------------------------------------------------------------------------------------------

/// The runtime and, where asked for, libtorch of a platform, into .feed.
let download (rid: string) (withLibTorch: bool) : unit =
    let withLibTorch = if withLibTorch then "true" else "false"

    quietly
        $"downloading the runtime of {rid}"
        "dotnet"
        [ "restore"
          "eng/packs.proj"
          $"-p:RuntimeIdentifier={rid}"
          $"-p:WithLibTorch={withLibTorch}" ]
        []

/// Publishes a test program with its runtime, in a folder of its own that the usual build knows nothing of.
let publish (rid: string) (project: string) : string =
    let target = Path.Combine(folderOf rid, "publish", project)

    quietly
        $"publishing {project} for {rid}"
        "dotnet"
        [ "publish"
          $"tests/{project}"
          "-c"
          "Release"
          "-r"
          rid
          "--self-contained"
          $"-p:ArtifactsPath={folderOf rid}/"
          $"""-p:RestoreAdditionalProjectSources={Path.Combine(root, ".feed")}"""
          "-p:DisableTransitiveFrameworkReferenceDownloads=true"
          "-o"
          target ]
        [ ("MSBUILDDISABLENODEREUSE", "1") ]

    target

// ---------------------------------------------------------------------------------------------------------
// Running
// ---------------------------------------------------------------------------------------------------------

/// Runs a program of tests, which speaks for itself, in the folder where it lies.
let exitCodeOf (file: string) (arguments: string list) (folder: string) (environment: (string * string) list) : int =
    let start = ProcessStartInfo(file, arguments, WorkingDirectory = folder)

    for name, value in environment do
        start.Environment[name] <- value

    use running = started start
    running.WaitForExit()
    running.ExitCode
