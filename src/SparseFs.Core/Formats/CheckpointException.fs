namespace SparseFs

open System
open System.IO
open System.Runtime.InteropServices

/// <summary>What is wrong with a file, or with writing one.</summary>
type CheckpointProblem =
    /// <summary>There is no such file, or no such folder.</summary>
    | NotFound = 0
    /// <summary>The file may not be read or written, or is a folder.</summary>
    | Access = 1
    /// <summary>The disk or the memory fails, or is full.</summary>
    | Storage = 2
    /// <summary>The header is longer than the file or than 100 MB, no UTF-8, no JSON, or not that of the format.</summary>
    | Header = 3
    /// <summary>The tensors' bytes overlap, leave gaps, run backwards, or do not fill the file.</summary>
    | Layout = 4
    /// <summary>A dtype that is not known.</summary>
    | Dtype = 5
    /// <summary>A shape that is negative, too large, or not that of the bytes.</summary>
    | Shape = 6
    /// <summary>What should be a layer's pattern is none.</summary>
    | Pattern = 7
    /// <summary>A number or a text that stands for no state.</summary>
    | Value = 8
    /// <summary>The file is sound, but not for this model, optimizer or rewirer.</summary>
    | Mismatch = 9

module private CheckpointMessage =

    let compose (file: string) (tensor: string) (reason: string) =
        if tensor = "" then
            (invariant $"{file}: {reason}")
        else
            (invariant $"{file}: '{tensor}': {reason}")

/// <summary>A checkpoint could not be written, or was refused; whatever it was to be loaded into is as it was.</summary>
[<Sealed>]
type CheckpointException internal (problem: CheckpointProblem, file: string, tensor: string, reason: string, inner: exn)
    =
    inherit Exception(CheckpointMessage.compose file tensor reason, inner)

    /// <summary>What is wrong.</summary>
    member _.Problem: CheckpointProblem = problem

    /// <summary>The file, as it was named by the caller.</summary>
    member _.File: string = file

    /// <summary>The tensor, or the entry of the metadata, that is wrong; empty where it is none in particular.</summary>
    member _.Tensor: string = tensor

    /// <summary>What was expected and what came.</summary>
    member _.Reason: string = reason

/// <summary>Raising it.</summary>
module internal Refuse =

    let because (problem: CheckpointProblem) (file: string) (tensor: string) (reason: string) : 'a =
        raise (CheckpointException(problem, file, tensor, reason, null))

    /// The exception that stands for a failure of files or memory, or nothing.
    let private ofFailure (file: string) (e: exn) : exn =
        let typed problem =
            CheckpointException(problem, file, "", e.Message, e) :> exn

        match e with
        | :? FileNotFoundException
        | :? DirectoryNotFoundException -> typed CheckpointProblem.NotFound
        | :? UnauthorizedAccessException -> typed CheckpointProblem.Access
        | :? EndOfStreamException ->
            CheckpointException(CheckpointProblem.Layout, file, "", "the file ends before its tensors do", e) :> exn
        | :? IOException
        | :? OutOfMemoryException
        // A native library that is out of memory.
        | :? ExternalException -> typed CheckpointProblem.Storage
        | _ -> null

    /// Work on a file, its failures under the one type.
    let onFailure (file: string) (work: unit -> 'a) : 'a =
        try
            work ()
        with e when not (isNull (ofFailure file e)) ->
            raise (ofFailure file e)
