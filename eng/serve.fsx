/// The example service examples/DigitServer: its network, its browser, its native program. dotnet fsi eng/serve.fsx, as dotnet fsi build.fsx serve runs it.

#load "platforms.fsx"

open System
open System.IO
open System.Runtime.InteropServices
open Platforms

let usage =
    """expected options of these:
  --port P              of the service; 5080
  --model FILE          a network that Deploy.save has written; artifacts/digits.safetensors, which is trained where it is missing
  --data FOLDER         MNIST's four files to train with; ../shared/data/mnist, or the 5,000 digits of examples/Digits
  --aot                 the program compiled ahead of time
  --smoke               requests, and ten digits drawn in a browser, in the place of serving
  --load                --connections N (64) for --minutes M (5), in the place of serving"""

/// Options by name; those of the first list have a value.
let rec parse (found: Map<string, string>) (arguments: string list) =
    match arguments with
    | [] -> found
    | ("--port" | "--model" | "--data" | "--minutes" | "--connections" as name) :: value :: others ->
        parse (Map.add name value found) others
    | ("--aot" | "--smoke" | "--load" as name) :: others -> parse (Map.add name "" found) others
    | other :: _ -> fail $"got '{other}'; {usage}"

let given = parse Map.empty (List.tail (List.ofArray fsi.CommandLineArgs))
let isGiven (name: string) = Map.containsKey name given

let inRoot (relative: string) = Path.Combine(root, relative)

let build (project: string) =
    quietly
        $"building {project}"
        "dotnet"
        [ "build"; project; "-c"; "Release"; "--no-restore" ]
        [ ("MSBUILDDISABLENODEREUSE", "1") ]

let built (name: string) =
    build $"examples/{name}"
    inRoot $"artifacts/bin/{name}/release/{name}.dll"

let loudly (file: string) (arguments: string list) =
    match exitCodeOf file arguments root [] with
    | 0 -> ()
    | code -> exit code

/// MNIST's folder, where somebody has it.
let data =
    match Map.tryFind "--data" given with
    | Some folder -> [ folder ]
    | None ->
        [ Path.GetFullPath(inRoot "../shared/data/mnist") ]
        |> List.filter Directory.Exists

let model =
    match Map.tryFind "--model" given with
    | Some file -> Path.GetFullPath file
    | None ->
        let file = inRoot "artifacts/digits.safetensors"

        if not (File.Exists file) then
            build "examples/Digits"
            build "src/SparseFs.Deploy"
            printfn "training a network, once ..."
            loudly "dotnet" ([ "fsi"; "examples/DigitServer/train.fsx"; file ] @ data)

        file

/// The native program. The compiler and the runtimes that it needs are the SDK's own; it has a folder of its own, that the usual
/// build knows nothing of.
let compiledAhead () : string =
    let rid = RuntimeInformation.RuntimeIdentifier
    let folder = Path.Combine(folderOf rid, "DigitServer")

    let said =
        printfn $"compiling examples/DigitServer for {rid} ahead of time ..."

        outputOf
            "dotnet"
            [ "publish"
              "examples/DigitServer"
              "-c"
              "Release"
              "-r"
              rid
              "-p:PublishAot=true"
              $"-p:ArtifactsPath={folderOf rid}/"
              $"""-p:RestoreAdditionalProjectSources={inRoot ".feed"}"""
              "-o"
              folder ]
            [ ("MSBUILDDISABLENODEREUSE", "1") ]

    match said.Split '\n' |> Array.filter (fun line -> line.Contains "warning") with
    | [||] -> ()
    | warnings -> fail $"""expected no warning, got {String.Join("\n", warnings)}"""

    Path.Combine(
        folder,
        if OperatingSystem.IsWindows() then
            "DigitServer.exe"
        else
            "DigitServer"
    )

let program =
    if isGiven "--aot" then
        compiledAhead ()
    else
        built "DigitServer"

let driver = lazy (built "DigitServer.Driver")

let drive (arguments: string list) =
    loudly "dotnet" ([ driver.Value; "--program"; program; "--model"; model ] @ arguments)

/// A browser that is here, or Debian's.
let browser () : string =
    let names = [ "chromium"; "chromium-browser"; "google-chrome" ]

    let folders =
        (string (Environment.GetEnvironmentVariable "PATH")).Split Path.PathSeparator

    let found () =
        List.allPairs names (List.ofArray folders)
        |> List.map (fun (name, folder) -> Path.Combine(folder, name))
        |> List.tryFind File.Exists

    match found () with
    | Some file -> file
    | None ->
        install [ ("chromium", "/usr/bin/chromium") ]
        "/usr/bin/chromium"

let picture = inRoot "artifacts/digit-server.png"

let valued (names: string list) =
    [ for name in names do
          match Map.tryFind name given with
          | Some value ->
              name
              value
          | None -> () ]

if isGiven "--aot" then
    drive [ "--start" ]

if isGiven "--smoke" then
    drive [ "--smoke"; browser (); picture ]

if isGiven "--load" then
    drive ("--load" :: valued [ "--minutes"; "--connections" ])

if not (isGiven "--smoke" || isGiven "--load") then
    let arguments = [ "--model"; model ] @ valued [ "--port" ]

    if isGiven "--aot" then
        loudly program arguments
    else
        loudly "dotnet" (program :: arguments)
