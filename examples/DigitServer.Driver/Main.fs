module DigitServer.Driver.Main

open System
open Argu

type private Argument =
    | [<Mandatory>] Program of file: string
    | [<Mandatory>] Model of file: string
    | Smoke of browser: string * picture: string
    | Load
    | Start
    | Minutes of float
    | Connections of int

    interface IArgParserTemplate with
        member a.Usage =
            match a with
            | Program _ -> "the service: a native program, or a .dll"
            | Model _ -> "the file of its network"
            | Smoke _ -> "requests, swaps, and ten digits drawn in that browser, whose page is kept as a PNG"
            | Load -> "many connections for minutes, and swaps meanwhile"
            | Start -> "the time from the start to the first answer"
            | Minutes _ -> "of the load (5)"
            | Connections _ -> "of the load (64)"

let private run (given: ParseResults<Argument>) : int =
    let program, model = given.GetResult Program, given.GetResult Model
    let checks = Checks()

    (task {
        if given.Contains Start then
            do! Start.run program model

        match given.TryGetResult Smoke with
        | None -> ()
        | Some(browser, picture) ->
            printfn "requests"
            do! HttpChecks.run checks program model
            printfn "other networks"
            do! SwapChecks.run checks program model
            printfn "the page"
            do! BrowserChecks.run checks program model browser picture

        if given.Contains Load then
            printfn "load"
            let time = TimeSpan.FromMinutes(given.GetResult(Minutes, 5.0))
            do! Load.run checks program model (given.GetResult(Connections, 64)) time
    })
        .Wait()

    if checks.Right + checks.Wrong > 0 then
        printfn $"{checks.Right} right, {checks.Wrong} wrong"

    min checks.Wrong 1

[<EntryPoint>]
let main arguments =
    let parser = ArgumentParser.Create<Argument>(programName = "DigitServer.Driver")

    try
        run (parser.Parse arguments)
    with :? ArguParseException as e ->
        eprintfn $"{e.Message}"
        2
