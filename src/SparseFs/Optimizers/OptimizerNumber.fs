namespace SparseFs.Torch

open System
open SparseFs

/// <summary>What a field of an optimizer is.</summary>
[<RequireQualifiedAccess>]
type internal OptimizerNumber =
    /// It is not set.
    | None
    | Count of int64
    | Number of float
    | Switch of bool

/// Names of an optimizer's fields and tensors in files.
module internal OptimizerNames =

    /// <exception cref="T:System.ArgumentException">The name has characters that a file's texts need for themselves.</exception>
    let check (name: string) : unit =
        ArgumentNullException.ThrowIfNull(name, nameof name)

        if
            name = ""
            || name
               |> Seq.exists (fun c -> not (Char.IsAsciiLetterOrDigit c) && c <> '_' && c <> '-')
        then
            raise (ArgumentException($"expected letters, digits, '_' and '-', got '{name}'", nameof name))

    /// A field never becomes what one of another kind is.
    let refuse (name: string) (got: OptimizerNumber) : 'a =
        raise (InvalidOperationException $"expected '{name}' to keep its kind, got {got}")
