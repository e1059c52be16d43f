/// A user's machine: a folder outside this repository, with a fresh package cache and the packed packages, and nothing else.
module Outside

open System
open System.Diagnostics
open System.IO
open System.Text.RegularExpressions

let root = Path.GetFullPath(Path.Combine(__SOURCE_DIRECTORY__, ".."))
let packages = Path.Combine(root, "artifacts", "packages")

/// Of the packages that dotnet fsi build.fsx pack wrote last.
let version =
    let prefix, suffix = "SparseFs.Core.", ".nupkg"

    let name =
        match Directory.GetFiles(packages, $"{prefix}0*{suffix}") with
        | [| file |] -> Path.GetFileName file
        | files ->
            failwith
                $"expected one package of SparseFs.Core in {packages}, found {files.Length}: dotnet fsi build.fsx pack"

    name[prefix.Length .. name.Length - suffix.Length - 1]

/// TorchSharp's version, as the packages ask for it.
let torchVersion =
    let lockFile = File.ReadAllText(Path.Combine(root, "paket.lock"))
    Regex.Match(lockFile, @"^    TorchSharp \(([\d.]+)\)", RegexOptions.Multiline).Groups[1].Value

/// A path as users have them. Left behind after a failure, to look at.
let folder =
    let made = Directory.CreateTempSubdirectory("sparsefs-").FullName
    Directory.CreateDirectory(Path.Combine(made, "Müllers Projekte")).FullName

let cache = Path.Combine(folder, "..", "cache")

let subfolder (name: string) =
    let made = Directory.CreateDirectory(Path.Combine(folder, name)).FullName
    File.Copy(Path.Combine(packages, "nuget.config"), Path.Combine(made, "nuget.config"), overwrite = true)
    made

let write (path: string) (text: string) =
    Directory.CreateDirectory(Path.GetDirectoryName path) |> ignore
    File.WriteAllText(path, text)

type Ended = { Code: int; Text: string }

/// Runs a command as a user would, and keeps what it prints on both its outputs.
let tryRun (where: string) (command: string) (arguments: string list) : Ended =
    let start =
        ProcessStartInfo(
            command,
            arguments,
            WorkingDirectory = where,
            RedirectStandardOutput = true,
            RedirectStandardError = true
        )

    start.Environment["NUGET_PACKAGES"] <- cache
    start.Environment["DOTNET_NOLOGO"] <- "1"
    start.Environment["DOTNET_CLI_TELEMETRY_OPTOUT"] <- "1"
    start.Environment["MSBUILDDISABLENODEREUSE"] <- "1"
    use running = Process.Start start
    let errors = running.StandardError.ReadToEndAsync()
    let output = running.StandardOutput.ReadToEnd()
    running.WaitForExit()

    { Code = running.ExitCode
      Text = (output + errors.Result).Trim() }

let fail (text: string) : 'a =
    eprintfn $"{text}\nlook at {folder}"
    exit 1

/// As tryRun, for a command that must end well.
let run (where: string) (command: string) (arguments: string list) : string =
    match tryRun where command arguments with
    | { Code = 0; Text = text } -> text
    | ended ->
        let line = String.concat " " (command :: arguments)
        fail $"{line}\nended with {ended.Code} in {where}:\n{ended.Text}"

/// A project that asks for packages of SparseFs, and for libtorch where it is told to.
let project (sdk: string) (ours: string list) (libtorch: bool) (properties: string) (source: string) =
    let references =
        [ for name in ours do
              yield name, version
          if libtorch then
              yield "TorchSharp-cpu", torchVersion ]
        |> List.map (fun (name, version) -> $"""    <PackageReference Include="{name}" Version="{version}" />""")
        |> String.concat "\n"

    $"""<Project Sdk="{sdk}">
  <PropertyGroup>
    <OutputType>Exe</OutputType>
    <TargetFramework>net10.0</TargetFramework>
    <Nullable>enable</Nullable>
    <ImplicitUsings>enable</ImplicitUsings>
    <EnableDefaultCompileItems>false</EnableDefaultCompileItems>
    {properties}
  </PropertyGroup>
  <ItemGroup>
    <Compile Include="{source}" />
{references}
  </ItemGroup>
</Project>
"""

let build (where: string) (into: string) =
    run
        where
        "dotnet"
        [ "build"
          "-c"
          "Release"
          "-v"
          "quiet"
          "-nologo"
          "-clp:NoSummary"
          "-o"
          into ]

/// What comes before a script's own text, so that F# Interactive finds the packages and libtorch.
let scriptHead =
    $"""#i "nuget: {packages.Replace('\\', '/')}"
#r "nuget: SparseFs, {version}"
#r "nuget: TorchSharp-cpu, {torchVersion}"
"""

let script (where: string) (name: string) (text: string) : string =
    let path = Path.Combine(where, name)
    write path (scriptHead + text)
    run where "dotnet" [ "fsi"; path ]

/// The code blocks of a page in one language, in order.
let blocks (page: string) (language: string) : string list =
    let text = File.ReadAllText(Path.Combine(root, page)).Replace("\r\n", "\n")

    [ for block in
          Regex.Matches(text, $@"^```{language}\n(.*?)^```", RegexOptions.Multiline ||| RegexOptions.Singleline) ->
          block.Groups[1].Value ]

/// Takes away what a script left, once all went well.
let clean () =
    Directory.Delete(Path.GetFullPath(Path.Combine(folder, "..")), recursive = true)
