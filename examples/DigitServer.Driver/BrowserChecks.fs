namespace DigitServer.Driver

open System
open System.IO
open System.Threading.Tasks
open PuppeteerSharp
open PuppeteerSharp.Input
open PuppeteerSharp.Media

/// <summary>The page in a browser without a window: digits drawn by the mouse, one by fingers, one by keys.</summary>
[<RequireQualifiedAccess>]
module BrowserChecks =

    /// Digits that must be read right, of ten.
    let private enough = 9

    /// The page has shown the answer to all that was drawn.
    let private settled (page: IPage) : Task =
        task {
            let! _ = page.WaitForExpressionAsync "!isAsking && answered === drawn"
            return ()
        }

    let private textOf (page: IPage) (id: string) : Task<string> =
        page.EvaluateExpressionAsync<string> $"document.getElementById('{id}').firstChild?.textContent ?? ''"

    /// Where a point of a square of 0..1 is on the page's pad.
    let private padOf (page: IPage) =
        task {
            let! pad = page.QuerySelectorAsync "#pad"
            let! box = pad.BoundingBoxAsync()

            return
                fun (x: float, y: float) ->
                    decimal (float box.X + x * float box.Width), decimal (float box.Y + y * float box.Height)
        }

    let private drawByMouse (page: IPage) (strokes: (float * float) list list) =
        task {
            let! at = padOf page

            for stroke in strokes do
                let x, y = at stroke.Head
                do! page.Mouse.MoveAsync(x, y)
                do! page.Mouse.DownAsync()

                for point in stroke.Tail do
                    let x, y = at point
                    do! page.Mouse.MoveAsync(x, y, MoveOptions(Steps = 3))

                do! page.Mouse.UpAsync()

            do! settled page
        }

    let private drawByTouch (page: IPage) (strokes: (float * float) list list) =
        task {
            let! at = padOf page

            for stroke in strokes do
                let x, y = at stroke.Head
                let! finger = page.Touchscreen.TouchStartAsync(x, y)

                for point in stroke.Tail do
                    let x, y = at point
                    do! finger.MoveAsync(x, y)

                do! finger.EndAsync()

            do! settled page
        }

    /// A line from top to bottom.
    let private drawByKeys (page: IPage) =
        task {
            do! page.FocusAsync "#pad"

            for key in
                List.replicate 5 "ArrowUp"
                @ [ "Space" ]
                @ List.replicate 10 "ArrowDown"
                @ [ "Space" ] do
                do! page.Keyboard.PressAsync key

            do! settled page
        }

    /// <summary>Draws, reads what the page says, and keeps a picture of it.</summary>
    /// <param name="browser">The program of the browser.</param>
    /// <param name="picture">The PNG to write.</param>
    let run (checks: Checks) (program: string) (model: string) (browser: string) (picture: string) : Task =
        task {
            use served = new Served(program, model, [])

            let options =
                LaunchOptions(
                    ExecutablePath = browser,
                    Headless = true,
                    // Root has no sandbox; the page is our own.
                    Args = [| "--no-sandbox"; "--disable-gpu" |],
                    DefaultViewport = ViewPortOptions(Width = 960, Height = 820, DeviceScaleFactor = 1.5)
                )

            use! browser = Puppeteer.LaunchAsync options
            use! page = browser.NewPageAsync()
            let troubles = ResizeArray<string>()
            page.PageError.Add(fun e -> troubles.Add(string e.Message))
            page.Console.Add(fun e -> troubles.Add(string e.Message.Text))
            let! _ = page.GoToAsync(string served.Address, WaitUntilNavigation.Networkidle0)
            let! version = browser.GetVersionAsync()
            printfn $"  {version}"
            let mutable right = 0

            // The last one is kept on the picture.
            for digit in [ 0; 1; 2; 4; 5; 6; 7; 8; 9; 3 ] do
                do! page.ClickAsync "#clear"
                do! drawByMouse page (Strokes.ofDigit digit)
                let! read = textOf page "label"
                let! said = textOf page "said"
                let! model = textOf page "model-time"
                let! trip = textOf page "trip-time"
                printfn $"  drawn {digit}, {said} ({model} in the network, {trip} there and back)"

                if read = string digit then
                    right <- right + 1

            checks.That $"at least {enough} of ten drawn digits are read right" (right >= enough) $"{right}"
            printfn $"  {right} of 10 right"

            let! _ =
                Directory.CreateDirectory(string (Path.GetDirectoryName picture))
                |> Task.FromResult

            do! page.ScreenshotAsync(picture, ScreenshotOptions(FullPage = true))

            do!
                page.EmulateMediaFeaturesAsync
                    [ MediaFeatureValue(MediaFeature = MediaFeature.PrefersColorScheme, Value = "dark") ]

            do! Task.Delay 300
            let dark = Path.ChangeExtension(picture, ".dark.png")
            do! page.ScreenshotAsync(dark, ScreenshotOptions(FullPage = true))
            printfn $"  {picture}, {dark}"

            let! sparse = textOf page "sparse-bytes"
            let! dense = textOf page "dense-bytes"
            checks.That "the page shows both sizes" (sparse.EndsWith "B" && dense.EndsWith "B") $"{sparse}, {dense}"

            do! page.Keyboard.PressAsync "Escape"
            do! settled page
            let! nothing = textOf page "label"
            checks.That "Escape clears" (nothing = "") nothing
            do! drawByKeys page
            let! line = textOf page "label"
            checks.That "a line drawn by keys is read as 1" (line = "1") line
            do! page.ClickAsync "#clear"
            do! drawByTouch page (Strokes.ofDigit 7)
            let! seven = textOf page "label"
            checks.That "a digit drawn by a finger is read" (seven = "7") seven
            checks.That "the browser has nothing to complain of" (troubles.Count = 0) (String.Join("; ", troubles))
        }
