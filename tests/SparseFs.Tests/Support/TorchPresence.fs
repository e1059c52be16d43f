/// What may be null in a model, and a test counts on.
[<AutoOpen>]
module SparseFs.Tests.TorchPresence

open System
open System.Diagnostics
open System.IO
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// Another program, started.
let started (info: ProcessStartInfo) : Process =
    present $"a process of {info.FileName}" (Process.Start info)

/// What these tests' own program is run by: dotnet, or itself.
let hostOfTests () : string =
    present "the path of this process" Environment.ProcessPath

/// The folder that a file of a test lies in.
let folderOf (file: string) : string =
    present $"the folder of {file}" (Path.GetDirectoryName file)

type torch.Tensor with

    /// Its gradient, which a backward has left there.
    member t.PresentGrad: torch.Tensor = present "a gradient" t.grad

type SparseLinear with

    member layer.PresentBias: Parameter = present "a bias" layer.bias
    member layer.PresentPolicy: Policy = present "a policy" layer.Policy

type Linear with

    member layer.PresentBias: Parameter = present "a bias" layer.bias

type Exception with

    member e.PresentInner: exn = present "an inner exception" e.InnerException
