module Digits.Main

open Spectre.Console
open TorchSharp

[<EntryPoint>]
let main _ =
    use ones = torch.ones 3L
    use sum = ones.sum ()
    AnsiConsole.MarkupLine $"no demo yet; [bold]1 + 1 + 1 = {sum.item<float32>()}[/]"
    0
