namespace SparseFs

open System
open System.IO
open System.Runtime.InteropServices

module private CheckpointMessage =

    let compose (file: string) (tensor: string) (reason: string) =
        if tensor = "" then
            (invariant $"{file}: {reason}")
        else
            (invariant $"{file}: '{tensor}': {reason}")

/// <summary>A checkpoint could not be written, or was refused; whatever it was to be loaded into is as it was.</summary>
[<Sealed>]
type CheckpointException
    internal (problem: CheckpointProblem, file: string, tensor: string, reason: string, inner: exn | null) =
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
module internal CheckpointFault =

    let because (problem: CheckpointProblem) (file: string) (tensor: string) (reason: string) : 'a =
        raise (CheckpointException(problem, file, tensor, reason, null))

    /// The exception that stands for a failure of files or memory, or nothing.
    let private ofFailure (file: string) (e: exn) : exn voption =
        let typed problem =
            ValueSome(CheckpointException(problem, file, "", e.Message, e) :> exn)

        match e with
        | :? FileNotFoundException
        | :? DirectoryNotFoundException -> typed CheckpointProblem.NotFound
        | :? UnauthorizedAccessException -> typed CheckpointProblem.Access
        | :? EndOfStreamException ->
            ValueSome(CheckpointException(CheckpointProblem.Layout, file, "", "the file ends before its tensors do", e))
        | :? IOException as inUse when SystemFiles.isInUse inUse -> typed CheckpointProblem.Access
        | :? IOException
        | :? OutOfMemoryException
        // A native library that is out of memory.
        | :? ExternalException -> typed CheckpointProblem.Storage
        | _ -> ValueNone

    /// Work on a file, its failures under the one type.
    let onFailure (file: string) (work: unit -> 'a) : 'a =
        try
            work ()
        with e when (ofFailure file e).IsSome ->
            raise (ofFailure file e).Value
