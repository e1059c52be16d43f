/// The command in this process, with what it prints.
[<AutoOpen>]
module SparseFs.Tests.Sparsefs

open System
open System.IO
open System.Threading
open Expecto
open SparseFs.Tool

/// How a command line ended.
type Ended =
    { Code: int
      Output: string
      Errors: string }

/// Runs a command line in a folder: arguments that begin with @ are files there.
let sparsefs (folder: string) (arguments: string list) : Ended =
    use output = new StringWriter()
    use errors = new StringWriter()

    let arguments =
        [| for argument in arguments do
               if argument.StartsWith '@' then
                   Path.Combine(folder, argument.Substring 1)
               else
                   argument |]

    let code = Program.run' output errors CancellationToken.None arguments

    { Code = code
      Output = string output
      Errors = string errors }

let inFolder (work: string -> 'a) : 'a =
    let folder = Directory.CreateTempSubdirectory("sparsefs-tool-").FullName

    try
        work folder
    finally
        Directory.Delete(folder, true)

/// What a command line that must succeed prints.
let succeeds (folder: string) (arguments: string list) : string =
    let ended = sparsefs folder arguments
    Expect.equal ended.Errors "" "the error output"
    Expect.equal ended.Code 0 "the exit code"
    ended.Output

/// The one line of a command line that must fail, which no trace of calls follows.
let fails (code: int) (folder: string) (arguments: string list) : string =
    let ended = sparsefs folder arguments
    let line = ended.Errors.TrimEnd('\n', '\r')
    Expect.equal ended.Code code $"the exit code, {line}"
    Expect.equal ended.Output "" "the output"
    Expect.stringStarts line "sparsefs: " "who says it"
    Expect.isFalse (line.Contains '\n' || line.Contains "   at ") $"one line, got {line}"
    line
