/// Files of arrays in tests.
module SparseFs.Tests.ArrayFiles

open System
open System.IO
open Expecto
open SparseFs

/// A folder that lives as long as the test.
let inFolder (test: string -> 'a) : 'a =
    let folder = Directory.CreateTempSubdirectory "sparsefs-arrays-"

    try
        test folder.FullName
    finally
        folder.Delete(recursive = true)

/// The file's own error, with these words in it; any other outcome fails.
let refused (words: string list) (read: unit -> 'a) =
    match
        (try
            read () |> ignore
            None
         with e ->
             Some e)
    with
    | Some(:? ArrayFileException as e) ->
        for word in words do
            Expect.stringContains e.Message word "the error says"

        Expect.isTrue (e.FileName <> "" && e.Position <> "" && e.Expected <> "" && e.Got <> "") "all parts"
    | Some other -> failtest $"expected an ArrayFileException, got {other}"
    | None -> failtest "expected an ArrayFileException, got a result"

/// Bits, so that NaN equals itself and −0 is not 0.
let bitsOf (data: Array) : byte[] =
    let data: Array =
        match data with
        | :? (Half[]) as halves -> Array.map BitConverter.HalfToInt16Bits halves
        | other -> other

    let bytes: byte[] = Array.zeroCreate (Buffer.ByteLength data)
    Buffer.BlockCopy(data, 0, bytes, 0, bytes.Length)
    bytes
