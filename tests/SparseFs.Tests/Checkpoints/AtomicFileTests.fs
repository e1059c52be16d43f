/// What a save does to what is already there, and what is opened at all.
module SparseFs.Tests.AtomicFileTests

open System
open System.Diagnostics
open System.IO
open System.Net.Sockets
open System.Threading.Tasks
open Expecto
open SparseFs
open SparseFs.Tests.CheckpointFiles
open TorchSharp

let private run (program: string) (arguments: string list) : int * string =
    let info =
        ProcessStartInfo(program, arguments, RedirectStandardOutput = true, RedirectStandardError = true)

    info.Environment["DOTNET_EnableDiagnostics"] <- "0" // its pipe belongs into a folder that another user may not have

    try
        use child = started info
        let errors = child.StandardError.ReadToEndAsync()
        let output = child.StandardOutput.ReadToEnd()
        child.WaitForExit()
        child.ExitCode, output + errors.Result
    with :? ComponentModel.Win32Exception as e ->
        -1, e.Message

/// A program that the test needs; where it fails, the test says so instead of passing.
let private needs (program: string) (arguments: string list) =
    match run program arguments with
    | 0, _ -> ()
    | _, output -> skiptest $"{program} is needed: {output.Trim()}"

let private isRoot = Environment.UserName = "root"

// No regular files

let private matrix: SparseMatrix =
    { Connectivity = Connectivity.full 1 1
      Values = [| 1.0 |] }

let private layer () =
    new SparseLinear(3, 2, seed = Seed.ofInt 0)

let private writers: (string * (string -> unit)) list =
    [ "Checkpoint.save",
      fun file ->
          use layer = layer ()
          Checkpoint.save file layer
      "Checkpoint.saveTraining",
      fun file ->
          use layer = layer ()
          use optimizer = torch.optim.SGD(layer.parameters (), 0.1)

          Checkpoint.saveTraining
              { Step = 0L
                Seed = Seed.ofInt 0
                Notes = readOnlyDict [] }
              file
              layer
              optimizer
              ValueNone
      "Safetensors.save", (fun file -> Safetensors.save file (readOnlyDict []) (readOnlyDict []))
      "Npy.write", (fun file -> Npy.write file (NpyArray([| 1 |], [| 1.0 |])))
      "MatrixMarket.write", (fun file -> MatrixMarket.write file matrix)
      "MatrixMarket.writePattern", (fun file -> MatrixMarket.writePattern file matrix.Connectivity)
      "MatrixMarket.writeDense", (fun file -> MatrixMarket.writeDense file (array2D [ [ 1.0 ] ]))
      "Onnx.export",
      fun file ->
          use layer = layer ()
          use model = torch.nn.Sequential [ struct ("0", layer :> torch.nn.Module<_, _>) ]
          Onnx.export file model ]

let private readers: (string * (string -> unit)) list =
    [ "Checkpoint.load",
      fun file ->
          use layer = layer ()
          Checkpoint.load file layer
      "Checkpoint.sparseLayer", (fun file -> (Checkpoint.sparseLayer WeightForm.SparseFs file "").Dispose())
      "Safetensors.inspect", (fun file -> Safetensors.inspect file |> ignore)
      "Safetensors.load", (fun file -> Safetensors.load file |> ignore)
      "Npy.read", (fun file -> Npy.read file |> ignore)
      "MatrixMarket.read", (fun file -> MatrixMarket.read file |> ignore)
      "MatrixMarket.readDense", (fun file -> MatrixMarket.readDense file |> ignore) ]

/// The message of the refusal that the function's documentation promises; work that waits for ever has failed.
let private refusedSoon (what: string) (work: unit -> unit) : string =
    let task = Task.Run work

    try
        if not (task.Wait(TimeSpan.FromSeconds 60.0)) then
            failtest $"{what} waits"

        failtest $"{what}: expected a refusal, got none"
    with :? AggregateException as e ->
        match e.InnerException with
        | :? CheckpointException as e ->
            Expect.equal e.Problem CheckpointProblem.Access what
            e.Message
        | :? UnauthorizedAccessException as e -> e.Message
        | other -> failtest $"{what}: {other}"

let private isStill (kind: PathKind) (file: string) =
    Expect.equal (SystemFiles.kind file) kind "what it was"

let private refusesKind (kind: PathKind) (called: string) (make: string -> IDisposable) =
    testCase $"{called} is neither replaced nor opened, under its own name or a link's" (fun () ->
        if OperatingSystem.IsWindows() && kind <> PathKind.Folder then
            skiptest "Windows has none in a folder"

        inFolder (fun folder ->
            let file = Path.Combine(folder, "it")
            use _ = make file
            isStill kind file // not vacuous
            let link = Path.Combine(folder, "link")

            let paths =
                if Links.areMade.Value then
                    File.CreateSymbolicLink(link, file) |> ignore
                    [ file; link ]
                else
                    [ file ]

            for path in paths do
                for name, work in writers @ readers do
                    let message = refusedSoon name (fun () -> work path)
                    Expect.stringContains message path $"{name} names it"
                    Expect.stringContains message $"got {called}" $"{name} says what it is"
                    isStill kind file

            Expect.equal (Directory.GetFileSystemEntries folder).Length paths.Length "nothing else is left"))

let private nothing =
    { new IDisposable with
        member _.Dispose() = () }

let private made (program: string) (arguments: string list) : IDisposable =
    needs program arguments
    nothing

let private kinds =
    [ refusesKind (PathKind.Other "a named pipe") "a named pipe" (fun file -> made "mkfifo" [ file ])
      refusesKind (PathKind.Other "a device") "a device" (fun file -> made "mknod" [ file; "c"; "1"; "3" ])
      refusesKind (PathKind.Other "a socket") "a socket" (fun file ->
          let socket =
              new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)

          socket.Bind(UnixDomainSocketEndPoint file)
          socket)
      refusesKind PathKind.Folder "a folder" (fun file ->
          Directory.CreateDirectory file |> ignore
          nothing) ]

// Links

let private write (file: string) (text: string) =
    AtomicFile.write file (fun stream -> stream.Write(Text.Encoding.UTF8.GetBytes text))

let private links =
    [ testCase "a link stays a link, and what it leads to is replaced" (fun () ->
          Links.needed ()

          inFolder (fun folder ->
              let elsewhere =
                  Directory.CreateDirectory(Path.Combine(folder, "elsewhere")).FullName

              let file = Path.Combine(elsewhere, "it")
              File.WriteAllText(file, "old")
              let near, far = Path.Combine(elsewhere, "near"), Path.Combine(folder, "far")
              File.CreateSymbolicLink(near, "it") |> ignore
              File.CreateSymbolicLink(far, Path.Combine("elsewhere", "near")) |> ignore
              write far "new"
              Expect.equal (File.ReadAllText file) "new" "the file"
              Expect.equal (FileInfo near).LinkTarget "it" "the near link"
              Expect.equal (FileInfo far).LinkTarget (Path.Combine("elsewhere", "near")) "the far link"
              Expect.equal (Directory.GetFileSystemEntries elsewhere).Length 2 "nothing else is left"))

      testCase "through a link to nothing the file is made where the link leads to" (fun () ->
          Links.needed ()

          inFolder (fun folder ->
              let link = Path.Combine(folder, "link")
              File.CreateSymbolicLink(link, "it") |> ignore
              write link "new"
              Expect.equal (FileInfo link).LinkTarget "it" "the link"
              Expect.equal (File.ReadAllText(Path.Combine(folder, "it"))) "new" "the file"))

      testCase "a link into a folder that is not there, and a link to itself, are errors" (fun () ->
          Links.needed ()

          inFolder (fun folder ->
              let link = Path.Combine(folder, "link")
              File.CreateSymbolicLink(link, Path.Combine("gone", "it")) |> ignore
              Expect.throwsT<DirectoryNotFoundException> (fun () -> write link "new") "no folder"
              let loop = Path.Combine(folder, "loop")
              File.CreateSymbolicLink(loop, "loop") |> ignore
              Expect.throws (fun () -> write loop "new") "a loop"
              Expect.equal (Directory.GetFileSystemEntries folder).Length 2 "nothing else is left")) ]

// Permissions: the same cases as whoever runs the tests and as another user

/// nobody, on most systems; no more than a number here.
let private stranger = 65534u

/// A file that is there before the save, and what is to come of it.
type private Case =
    { Name: string
      Owner: uint32
      Group: uint32
      Mode: string // as chmod takes it
      Root: string
      Stranger: string }

let private cases =
    let case name owner group mode root stranger =
        { Name = name
          Owner = owner
          Group = group
          Mode = mode
          Root = root
          Stranger = stranger }

    [ case "protected-roots" 0u 0u "444" "refused" "refused"
      case "protected-own" stranger stranger "444" "refused" "refused"
      case "protected-by-mode-0" stranger stranger "000" "refused" "refused"
      case "plain-roots" 0u 0u "644" "saved" "refused"
      case "plain-own" stranger stranger "644" "saved" "saved"
      case "secret-own" stranger stranger "600" "saved" "saved"
      case "odd-mode-own" stranger stranger "751" "saved" "saved"
      case "open-to-all-roots" 0u 0u "666" "saved" "refused: owner 0"
      case "groups-own" stranger 0u "664" "saved" "refused: group 0"
      case "somebody-elses" 1234u 2345u "640" "saved" "refused" ]

/// What another user's process does: it saves over every file of a folder, and says what came of it.
let child (folder: string) : int =
    for file in Directory.GetFiles folder |> Array.sort do
        let outcome =
            try
                write file "new"
                "saved"
            with :? UnauthorizedAccessException as e ->
                $"refused: {e.Message}"

        Console.WriteLine $"{Path.GetFileName file} {outcome}"

    0

let private childOf (arguments: string list) : string list =
    let program = Reflection.Assembly.GetExecutingAssembly().Location
    let host = hostOfTests ()

    if Path.GetFileNameWithoutExtension host = "dotnet" then
        host :: program :: arguments
    else
        host :: arguments

let private permissions (who: string) (expected: Case -> string) (saveAll: string -> string) =
    testCase $"owner, group and mode are kept, and what is protected stays as it is: {who}" (fun () ->
        if not (isRoot && OperatingSystem.IsLinux()) then
            skiptest "only root on Linux can make other people's files"

        inFolder (fun folder ->
            needs "chmod" [ "777"; folder ]

            let state (case: Case) =
                match run "stat" [ "--format=%u %g %a %i"; Path.Combine(folder, case.Name) ] with
                | 0, text -> text.Trim().Split ' '
                | _, text -> failtest text

            for case in cases do
                let file = Path.Combine(folder, case.Name)
                File.WriteAllText(file, "old")
                needs "chown" [ $"{case.Owner}:{case.Group}"; file ]
                needs "chmod" [ case.Mode; file ]

            let before = cases |> List.map state
            let said = (saveAll folder).Split '\n'

            for case, before in List.zip cases before do
                let outcome =
                    said
                    |> Array.tryFind (fun line -> line.StartsWith $"{case.Name} ")
                    |> Option.defaultWith (fun () ->
                        let all = String.concat "\n" said
                        failtest $"nothing came of {case.Name}: {all}")

                let after = state case
                let wanted = (expected case).Split(": ")
                Expect.stringStarts outcome $"{case.Name} {wanted[0]}" case.Name
                Expect.equal after[..2] before[..2] $"{case.Name}: owner, group and mode"

                if wanted[0] = "refused" then
                    Expect.stringContains outcome (Path.Combine(folder, case.Name)) "the file is named"
                    Expect.stringContains outcome (Array.last wanted) "the reason"
                    Expect.equal after[3] before[3] $"{case.Name}: the same file"

                let text = File.ReadAllText(Path.Combine(folder, case.Name))
                Expect.equal text (if wanted[0] = "saved" then "new" else "old") $"{case.Name}: its text"

            Expect.equal (Directory.GetFileSystemEntries folder).Length cases.Length "nothing else is left"))

let private asStranger (arguments: string list) : int * string =
    run
        "setpriv"
        ([ $"--reuid={stranger}"; $"--regid={stranger}"; "--clear-groups" ]
         @ childOf arguments)

let private rights =
    [ permissions "as root" _.Root (fun folder ->
          let previous = Console.Out
          use said = new StringWriter()
          Console.SetOut said

          try
              child folder |> ignore
          finally
              Console.SetOut previous

          said.ToString())

      permissions "as another user" _.Stranger (fun folder ->
          match asStranger [ "--child-files"; folder ] with
          | 0, output -> output
          | code, output -> skiptest $"setpriv and a program that all may read are needed, got {code}: {output.Trim()}")

      testCase "a write-protected file is not replaced, whoever saves" (fun () ->
          inFolder (fun folder ->
              let file = Path.Combine(folder, "it")
              File.WriteAllText(file, "old")
              File.SetAttributes(file, FileAttributes.ReadOnly)

              try
                  for name, work in writers do
                      Expect.stringContains (refusedSoon name (fun () -> work file)) file name
                      Expect.equal (File.ReadAllText file) "old" name

                  Expect.equal (Directory.GetFileSystemEntries folder).Length 1 "nothing else is left"
              finally
                  File.SetAttributes(file, FileAttributes.Normal)))

      testCase "a folder that may be written to and not be read takes a save" (fun () ->
          if not (isRoot && OperatingSystem.IsLinux()) then
              skiptest "only root on Linux can start another user's process"

          inFolder (fun folder ->
              let inner = Path.Combine(folder, "inner")
              Directory.CreateDirectory inner |> ignore
              needs "chmod" [ "755"; folder ]
              needs "chown" [ $"{stranger}"; inner ]
              needs "chmod" [ "300"; inner ]
              let file = Path.Combine(inner, "it")

              match asStranger [ "--child-file"; file ] with
              | 0, _ -> Expect.equal (File.ReadAllText file) "new" "saved"
              | code, output -> skiptest $"setpriv and a program that all may read are needed, got {code}: {output}")) ]

/// One save of another process.
let childFile (file: string) : int =
    write file "new"
    0

// Flushing

let private flushing =
    [ testCase "bytes, the file's flush, the rename and the folder's flush come in this order" (fun () ->
          inFolder (fun folder ->
              let file = Path.Combine(folder, "it")
              File.WriteAllText(file, "old")
              let calls = ResizeArray<string>()

              let disk: Disk =
                  { FlushFile =
                      fun stream ->
                          stream.Flush()
                          Expect.equal stream.Length 3L "all bytes are there"
                          calls.Add "flush file"
                    Rename =
                      fun source target ->
                          Expect.equal target file "onto the target"
                          Expect.equal (File.ReadAllText source) "new" "of the new file"
                          File.Move(source, target, overwrite = true)
                          calls.Add "rename"
                    FlushFolder =
                      fun flushed ->
                          Expect.equal flushed folder "the target's folder"
                          calls.Add "flush folder" }

              AtomicFile.writeOn disk id file (fun stream ->
                  stream.Write(Text.Encoding.UTF8.GetBytes "new")
                  calls.Add "bytes")

              Expect.equal (List.ofSeq calls) [ "bytes"; "flush file"; "rename"; "flush folder" ] "order"))

      testCase "the system sees the folder's flush after the rename" (fun () ->
          if not (OperatingSystem.IsLinux()) then
              skiptest "strace is Linux's"

          inFolder (fun folder ->
              let file, trace = Path.Combine(folder, "it"), Path.Combine(folder, "trace")

              let calls = "trace=fsync,fdatasync,rename,renameat,renameat2"

              match run "strace" ([ "-f"; "-y"; "-e"; calls; "-o"; trace ] @ childOf [ "--child-file"; file ]) with
              | 0, _ ->
                  let lines = File.ReadAllLines trace

                  let at (part: string) (shown: string) =
                      lines
                      |> Array.tryFindIndex (fun line -> line.Contains part && line.Contains shown)

                  let flushed, renamed, folderFlushed =
                      at "fsync(" ".tmp>", at "rename" $"\"{file}\"", at "fsync(" $"<{folder}>"

                  let all = String.concat "\n" lines
                  Expect.isSome flushed $"the file's flush in\n{all}"
                  Expect.isGreaterThan renamed flushed $"the rename after it in\n{all}"
                  Expect.isGreaterThan folderFlushed renamed $"the folder's flush after it in\n{all}"
              | code, output -> skiptest $"strace is needed, got {code}: {output.Trim()}")) ]

[<Tests>]
let wholeFileTests =
    testSequenced <| testList "WholeFile" (kinds @ links @ rights @ flushing)
