/// Proves the packages: programs outside this repository restore, build, publish and run with them.
/// dotnet fsi eng/consume.fsx

open System
open System.Diagnostics
open System.IO

let root = Path.GetFullPath(Path.Combine(__SOURCE_DIRECTORY__, ".."))
let packages = Path.Combine(root, "artifacts", "packages")
/// Left behind after a failure, to look at.
let outside = Directory.CreateTempSubdirectory("sparsefs-consume-").FullName

/// Its own packages folder, because a cache would answer with an older build of the same version.
let project (reference: string) (source: string) =
    $"""<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup>
    <OutputType>Exe</OutputType>
    <TargetFramework>net10.0</TargetFramework>
    <EnableDefaultCompileItems>false</EnableDefaultCompileItems>
    <RestoreAdditionalProjectSources>{packages}</RestoreAdditionalProjectSources>
    <RestorePackagesPath>../packages</RestorePackagesPath>
  </PropertyGroup>
  <ItemGroup>
    <Compile Include="{source}" />
    <PackageReference Include="{reference}" Version="*" />
    <PackageReference Include="TorchSharp-cpu" Version="0.107.0" />
  </ItemGroup>
</Project>
"""

let programs =
    [ "FSharpUser.fsproj",
      project "SparseFs" "Program.fs",
      "Program.fs",
      "open TorchSharp\nprintfn $\"{typeof<SparseFs.Seed>}: {(torch.ones 3L).sum().item<float32> ()}\"\n"

      "CSharpUser.csproj",
      project "SparseFs.CSharp" "Program.cs",
      "Program.cs",
      "using TorchSharp;\nSystem.Console.WriteLine($\"{typeof(SparseFs.Seed)}: {torch.ones(3).sum().item<float>()}\");\n" ]

let run (folder: string) (command: string) (arguments: string list) =
    let start = ProcessStartInfo(command, arguments, WorkingDirectory = folder)
    use running = Process.Start start
    running.WaitForExit()

    if running.ExitCode <> 0 then
        let arguments = String.concat " " arguments
        eprintfn $"failed with exit code {running.ExitCode}: {command} {arguments}"
        exit running.ExitCode

let consume (projectFile: string, projectText: string, sourceFile: string, sourceText: string) =
    let name = Path.GetFileNameWithoutExtension projectFile
    let folder = Directory.CreateDirectory(Path.Combine(outside, name)).FullName
    File.WriteAllText(Path.Combine(folder, projectFile), projectText)
    File.WriteAllText(Path.Combine(folder, sourceFile), sourceText)

    printfn $"{name}, built:"
    run folder "dotnet" [ "build"; "-v"; "quiet"; "-nologo"; "-clp:ErrorsOnly"; "-o"; "built" ]
    run folder "dotnet" [ $"built/{name}.dll" ]

    printfn $"{name}, published:"
    run folder "dotnet" [ "publish"; "-v"; "quiet"; "-nologo"; "-clp:ErrorsOnly"; "-o"; "published" ]
    run folder "dotnet" [ $"published/{name}.dll" ]

run root "dotnet" [ "fsi"; "build.fsx"; "pack" ]

programs |> List.iter consume
Directory.Delete(outside, recursive = true)
