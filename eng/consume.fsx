/// Proves the packages: programs outside this repository restore, build, publish and run with them, from one fresh cache.
/// dotnet fsi eng/consume.fsx, as dotnet fsi build.fsx consume runs it.

#load "notebook.fsx"

open System
open System.IO

let started = Diagnostics.Stopwatch.StartNew()

let say (what: string) (text: string) =
    let last = text.Split '\n' |> Array.last
    printfn $"%5.0f{started.Elapsed.TotalSeconds} s  {what}: {last.Trim()}"

let expect (what: string) (expected: string) (text: string) =
    if not (text.Contains expected) then
        Outside.fail $"{what}: expected\n{expected}\ngot\n{text}"

// ---------------------------------------------------------------------------------------------------------
// README's blocks, as they stand: in F# Interactive, and as projects
// ---------------------------------------------------------------------------------------------------------

let fsharp = String.Join("\n", Outside.blocks "README.md" "fsharp")
let csharp = String.Join("\n", Outside.blocks "README.md" "csharp")

let multiline =
    Text.RegularExpressions.RegexOptions.Multiline
    ||| Text.RegularExpressions.RegexOptions.Singleline

let withoutDirectives (script: string) =
    script.Split '\n'
    |> Array.filter (fun line -> not (line.StartsWith "#"))
    |> String.concat "\n"

/// What README says that its first program prints: the first block without a language.
let printed =
    let text =
        File.ReadAllText(Path.Combine(Outside.root, "README.md")).Replace("\r\n", "\n")

    let blocks =
        Text.RegularExpressions.Regex.Matches(text, @"^```(\w*)\n(.*?)^```", multiline)

    (blocks |> Seq.find (fun block -> block.Groups[1].Value = "")).Groups[2].Value.Trim()

let interactive () =
    let where = Outside.subfolder "In fsi"
    let text = Outside.script where "readme.fsx" (withoutDirectives fsharp)
    expect "README's program in F# Interactive" printed text
    say "README in F# Interactive" text

/// A cell that fails says so; one that ends in a pattern shows its picture, and one that ends in a table shows the table.
let notebook (language: string) (package: string) (cells: (string * string) list) =
    let first = Outside.scriptHead.Replace("nuget: SparseFs,", $"nuget: {package},")

    let said = Notebook.run language (first :: List.map fst cells)

    for (code, expected), said in List.zip cells (List.tail said) do
        expect $"{language} in a notebook, {code}" expected said

    say $"{language} in a notebook" $"{cells.Length} cells"

/// Builds, runs, looks at what is printed, publishes and runs again.
let program (name: string) (extension: string) (ours: string list) (prints: string) (source: string) =
    let where = Outside.subfolder name
    let file = $"Program.{extension}"
    Outside.write (Path.Combine(where, file)) source

    Outside.write
        (Path.Combine(where, $"{name}.{extension}proj"))
        (Outside.project "Microsoft.NET.Sdk" ours true "" file)

    let built = Outside.build where "built"

    if built.Contains "warning" then
        Outside.fail $"{name}: expected no warning, got\n{built}"

    let text = Outside.run where "dotnet" [ $"built/{name}.dll" ]
    expect $"{name}, built" prints text
    say $"{name}, built" text

    Outside.run where "dotnet" [ "publish"; "-c"; "Release"; "-v"; "quiet"; "-nologo"; "-o"; "published" ]
    |> ignore

    say $"{name}, published" (Outside.run where "dotnet" [ $"published/{name}.dll" ])

/// Fails if the files are not there, or the sparse one is not the smaller.
let onnx =
    """using SparseFs.CSharp;
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

// ---------------------------------------------------------------------------------------------------------
// A program that forgot libtorch: the build warns, and the first layer says what is missing, although a package of it
// lies in this machine's cache
// ---------------------------------------------------------------------------------------------------------

let forgetful () =
    let where = Outside.subfolder "Forgetful"
    Outside.write (Path.Combine(where, "Program.cs")) "var layer = SparseFs.CSharp.sparsenn.SparseLinear(20, 30);"

    Outside.write
        (Path.Combine(where, "Forgetful.csproj"))
        (Outside.project "Microsoft.NET.Sdk" [ "SparseFs.CSharp" ] false "" "Program.cs")

    Outside.build where "built"
    |> expect
        "the build of a program without libtorch"
        "warning SPARSEFS002: This program uses SparseFs and has no libtorch"

    let ended = Outside.tryRun where "dotnet" [ "built/Forgetful.dll" ]

    ended.Text
    |> expect
        "a program without libtorch"
        ("System.DllNotFoundException: libtorch, the native part of TorchSharp, was not found beside this program. "
         + "SparseFs does not bring it, because it is large and comes in several kinds. Add one of its packages to the "
         + $"project that runs: dotnet add package TorchSharp-cpu --version {Outside.torchVersion}")

    if ended.Code = 0 || ended.Text.Contains "LoadNativeBackend" then
        Outside.fail $"a program without libtorch: expected our error alone, got\n{ended.Text}"

    say "a program without libtorch" "the build warns, and the error names the package"

// ---------------------------------------------------------------------------------------------------------
// The command, installed as a user does
// ---------------------------------------------------------------------------------------------------------

/// A safetensors file of one weight [8, 250]: the length of the header, the header, and numbers that rise.
let weights (path: string) =
    let header =
        """{"fc.weight":{"dtype":"F32","shape":[8,250],"data_offsets":[0,8000]}}"""

    let bytes =
        [| yield! BitConverter.GetBytes(uint64 header.Length)
           yield! Text.Encoding.ASCII.GetBytes header
           for i in 1..2000 do
               yield! BitConverter.GetBytes(float32 i) |]

    File.WriteAllBytes(path, bytes)

let command () =
    let where = Outside.subfolder "Command"

    Outside.run
        where
        "dotnet"
        [ "tool"
          "install"
          "SparseFs.Tool"
          "--version"
          Outside.version
          "--tool-path"
          "tools" ]
    |> ignore

    let name =
        if OperatingSystem.IsWindows() then
            "sparsefs.exe"
        else
            "sparsefs"

    let sparsefs = Outside.run where (Path.Combine(where, "tools", name))
    weights (Path.Combine(where, "dense.safetensors"))

    sparsefs
        [ "convert"
          "dense.safetensors"
          "sparse.safetensors"
          "--sparsity"
          "0.9"
          "--network"
          "mlp" ]
    |> ignore

    let text = sparsefs [ "info"; "sparse.safetensors" ]
    expect "sparsefs info" "output: float32 [batch, 8]" text
    expect "sparsefs info" "8 x 250" text
    say "dotnet tool install, sparsefs info" text

interactive ()
command ()

notebook
    "fsharp"
    "SparseFs"
    [ "open SparseFs\nlet layer = new SparseLinear(20, 30, seed = Seed.ofInt 1)\nlayer.Connectivity", "<svg "
      "Summary.ofShape [ 2L; 20L ] layer", "<pre>layer    kind" ]

notebook
    "csharp"
    "SparseFs.CSharp"
    [ "using SparseFs.CSharp;\nvar layer = sparsenn.SparseLinear(20, 30, seed: 1);\nlayer.Connectivity", "<svg "
      "layer.Summary(2, 20)", "<pre>layer    kind" ]

program "FSharpUser" "fs" [ "SparseFs" ] printed (withoutDirectives fsharp)
program "CSharpUser" "cs" [ "SparseFs.CSharp" ] printed csharp
program "OnnxUser" "cs" [ "SparseFs.CSharp"; "SparseFs.Onnx" ] "bytes sparse" onnx
forgetful ()
Outside.clean ()
printfn "programs of users run from the packages"
