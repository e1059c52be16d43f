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
let project (references: string list) (source: string) =
    let packageReferences =
        references
        |> List.map (fun name -> $"""<PackageReference Include="{name}" Version="*" />""")
        |> String.concat "\n    "

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
    {packageReferences}
    <PackageReference Include="TorchSharp-cpu" Version="0.107.0" />
  </ItemGroup>
</Project>
"""

/// The first two train a layer and fail if it learns nothing.
let fsharpProgram =
    """open SparseFs
open TorchSharp

torch.manual_seed 0L |> ignore
let layer = new SparseLinear(20, 30, seed = Seed.ofInt 1)
let optimizer = torch.optim.SGD (layer.parameters (), 1.0)
let x, target = torch.randn (64L, 20L), torch.randn (64L, 30L)

let losses =
    [ for _ in 1..20 do
          optimizer.zero_grad ()
          let loss = torch.nn.functional.mse_loss (layer.call x, target)
          loss.backward ()
          optimizer.step () |> ignore
          loss.item<float32> () ]

printfn $"{layer}: loss {List.head losses} -> {List.last losses}"
exit (if List.last losses < List.head losses then 0 else 1)
"""

let csharpProgram =
    """using System;
using SparseFs.CSharp;
using static TorchSharp.torch;

manual_seed(0);
var layer = sparsenn.SparseLinear(20, 30, seed: 1);
var optimizer = optim.SGD(layer.parameters(), 1.0);
var (x, target) = (randn(64, 20), randn(64, 30));
var (first, last) = (0f, 0f);

for (int step = 0; step < 20; step++)
{
    optimizer.zero_grad();
    var loss = nn.functional.mse_loss(layer.forward(x), target);
    loss.backward();
    optimizer.step();
    last = loss.item<float>();
    first = step == 0 ? last : first;
}

Console.WriteLine($"{layer}: loss {first} -> {last}");
return last < first ? 0 : 1;
"""

/// Fails if the files are not there, or the sparse one is not the smaller.
let onnxProgram =
    """using System;
using System.IO;
using SparseFs.CSharp;
using static TorchSharp.torch;

var model = nn.Sequential(("hidden", sparsenn.SparseLinear(20, 30, sparsity: 0.9, seed: 1)), ("relu", nn.ReLU()));
model.ExportOnnx("sparse.onnx");
model.ExportOnnx("dense.onnx", sparseWeights: false, inputShape: [20]);
using var stream = new MemoryStream();
model.WriteOnnx(stream);
var (sparse, dense) = (new FileInfo("sparse.onnx").Length, new FileInfo("dense.onnx").Length);
Console.WriteLine($"{sparse} bytes sparse, {dense} dense");
return sparse == stream.Length && sparse < dense ? 0 : 1;
"""

let programs =
    [ "FSharpUser.fsproj", project [ "SparseFs" ] "Program.fs", "Program.fs", fsharpProgram
      "CSharpUser.csproj", project [ "SparseFs.CSharp" ] "Program.cs", "Program.cs", csharpProgram
      "OnnxUser.csproj", project [ "SparseFs.CSharp"; "SparseFs.Onnx" ] "Program.cs", "Program.cs", onnxProgram ]

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
