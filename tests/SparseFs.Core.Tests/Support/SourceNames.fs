module SparseFs.Tests.SourceNames

open System
open System.Reflection

/// The name that F# calls a member by, whatever other languages see. The compiler notes it beside the name of a function;
/// of a value it notes only that there is another.
let fsharpName (m: MemberInfo) : string =
    match Seq.tryHead (m.GetCustomAttributes<CompilationSourceNameAttribute>()) with
    | Some source -> source.SourceName
    | None when m.IsDefined typeof<CompiledNameAttribute> -> string (Char.ToLowerInvariant m.Name[0]) + m.Name[1..]
    | None -> m.Name
