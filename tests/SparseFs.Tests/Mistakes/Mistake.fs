/// Programs with a mistake, and the error that names it: the whole text, for it is all that its reader has.
module SparseFs.Tests.Mistakes.Mistake

open System
open Expecto

/// The exception that a program ends with; none if it ends well.
let private caught (program: unit -> unit) : exn voption =
    try
        program ()
        ValueNone
    with found ->
        ValueSome found

/// <summary>A test: the program raises an exception whose whole message is the text.</summary>
/// <param name="name">The mistake, in plain words.</param>
/// <param name="text">The message, lines parted by \n, without what differs between machines.</param>
/// <param name="program">What somebody wrote.</param>
let expect (name: string) (text: string) (program: unit -> unit) : Test =
    testCase name (fun () ->
        match caught program with
        | ValueSome found -> Expect.equal (found.Message.Replace(Environment.NewLine, "\n")) text name
        | ValueNone -> failtest "expected an exception, got none")
