module SparseFs.Tool.Main

open System
open System.Threading

[<EntryPoint>]
let main arguments =
    Program.run' Console.Out Console.Error CancellationToken.None arguments
