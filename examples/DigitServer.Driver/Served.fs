namespace DigitServer.Driver

open System
open System.Diagnostics
open System.IO
open System.Runtime.InteropServices
open System.Threading.Tasks

module private Native =
    [<DllImport("libc", SetLastError = true)>]
    extern int kill(int pid, int signal)

/// <summary>A running service.</summary>
/// <param name="program">The native program, or the .dll that dotnet runs.</param>
/// <param name="model">The file of the network.</param>
/// <param name="options">Its other options; it listens on a free port.</param>
type Served(program: string, model: string, options: string list) =
    let watch = Stopwatch.StartNew()

    let running =
        let own = [ "--model"; model; "--port"; "0" ] @ options

        let file, arguments =
            if program.EndsWith ".dll" then
                "dotnet", program :: own
            else
                program, own

        match
            Process.Start(
                ProcessStartInfo(file, arguments, RedirectStandardOutput = true, RedirectStandardError = true)
            )
        with
        | null -> failwith $"{file} did not start"
        | running -> running

    let address =
        let errors = running.StandardError.ReadToEndAsync()

        match running.StandardOutput.ReadLine() with
        | null -> failwith $"{program} ended instead of answering: {errors.Result}"
        | line -> Uri((line.Split ' ')[0])

    // Nobody reads what follows, and a full pipe would hold the service up.
    do running.StandardOutput.ReadToEndAsync() |> ignore

    /// Where it answers.
    member _.Address = address

    /// From the start of the process until it said that it answers, or whatever is asked next.
    member _.Elapsed = watch.Elapsed

    /// Asks it to end, as a system does that shuts down.
    member _.Terminate() : unit =
        if Native.kill (running.Id, 15) <> 0 then
            failwith $"kill: error {Marshal.GetLastPInvokeError()}"

    /// Its exit code; none where it did not end in time.
    member _.Ended(within: TimeSpan) : Task<int option> =
        task {
            let ended = running.WaitForExitAsync()
            let! first = Task.WhenAny(ended, Task.Delay within)
            return if first = ended then Some running.ExitCode else None
        }

    interface IDisposable with
        member _.Dispose() =
            if not running.HasExited then
                running.Kill()

            running.Dispose()

/// <summary>A folder for a model that is replaced while a service runs: the user's own file is never touched.</summary>
type ModelFolder(model: string) =
    let folder = Directory.CreateTempSubdirectory("digit-server-").FullName
    let file = Path.Combine(folder, string (Path.GetFileName model))
    do File.Copy(model, file)

    /// The file that the service reads.
    member _.File = file

    /// Puts other bytes in the file's place by one rename.
    member _.Replace(bytes: byte[]) : unit =
        let beside = file + ".new"
        File.WriteAllBytes(beside, bytes)
        File.Move(beside, file, overwrite = true)

    interface IDisposable with
        member _.Dispose() =
            Directory.Delete(folder, recursive = true)
