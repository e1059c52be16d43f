/// Wine, which runs the tests for Windows on another system, and cannot do all that Windows does.
module SparseFs.Tests.Wine

open System
open System.Runtime.InteropServices
open Expecto

/// Whether this Windows is Wine's: its ntdll says so.
let isHere: Lazy<bool> =
    lazy
        (let mutable ntdll = 0n
         let mutable version = 0n

         OperatingSystem.IsWindows()
         && NativeLibrary.TryLoad("ntdll.dll", &ntdll)
         && NativeLibrary.TryGetExport(ntdll, "wine_get_version", &version))

/// Skips a test of what Wine does not do, for this reason.
let skips (reason: string) : unit =
    if isHere.Value then
        skiptest $"under Wine: {reason}"
