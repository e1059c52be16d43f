/// What an assembly shows to its users, by reflection.
module SparseFs.Tests.PublicSurface

open System
open System.ComponentModel
open System.Reflection
open System.Runtime.CompilerServices
open Microsoft.FSharp.Reflection
open SparseFs
open SparseFs.CSharp

/// Without torch.
let core = typeof<Connectivity>.Assembly
let layers = typeof<SparseLinear>.Assembly
let facade = typeof<Initialization>.Assembly

/// The part of the facade that needs no torch.
let coreFacade = typeof<Topologies>.Assembly
let onnx = typeof<OnnxOptions>.Assembly

let rec typeName (t: Type) : string =
    if t.IsByRef then
        typeName (t.GetElementType()) + "&"
    elif t.IsArray then
        let commas = String(',', t.GetArrayRank() - 1)
        $"{typeName (t.GetElementType())}[{commas}]"
    elif t.IsGenericType then
        let arguments = t.GetGenericArguments() |> Array.map typeName |> String.concat ", "
        let definition = t.GetGenericTypeDefinition().FullName
        let name = definition.Substring(0, definition.IndexOf '`').Replace('+', '.')
        $"{name}<{arguments}>"
    elif t.IsGenericParameter then
        t.Name
    else
        t.FullName.Replace('+', '.')

/// C# and F# write members that no one may call by name, such as those behind an extension block or a union.
let isWritten (m: MemberInfo) =
    not (m.Name.Contains '<' || m.IsDefined typeof<CompilerGeneratedAttribute>)

/// A case of a union is told with the union.
let isCase (t: Type) =
    t.IsNested && FSharpType.IsUnion t.DeclaringType

let publicTypes (assembly: Assembly) =
    let rec isWrittenInside (t: Type) =
        isNull t || (isWritten t && isWrittenInside t.DeclaringType)

    assembly.GetExportedTypes()
    |> Array.filter (fun t -> isWrittenInside t && not (isCase t))
    |> List.ofArray

/// What C# is meant to use, and what F# is. SparseFs.Onnx has its face for C# in its own assembly.
let facadeTypes, coreTypes =
    let ofOnnxForCSharp, ofOnnx =
        publicTypes onnx
        |> List.partition (fun t -> t.Namespace = typeof<Initialization>.Namespace)

    publicTypes coreFacade @ publicTypes facade @ ofOnnxForCSharp, publicTypes core @ publicTypes layers @ ofOnnx

let casesOf (t: Type) =
    if FSharpType.IsUnion t then
        List.ofArray (FSharpType.GetUnionCases t)
    else
        []

let isVisible (m: MethodBase) =
    m.IsPublic || m.IsFamily || m.IsFamilyOrAssembly

/// The members that a type adds: an override adds nothing to what its base shows.
let publicMembers (t: Type) : MemberInfo list =
    let everything =
        BindingFlags.Public
        ||| BindingFlags.NonPublic
        ||| BindingFlags.Instance
        ||| BindingFlags.Static
        ||| BindingFlags.DeclaredOnly

    [ for m in t.GetMembers everything do
          let isShown =
              match m with
              | :? MethodInfo as f ->
                  isVisible f
                  && f.GetBaseDefinition() = f
                  && (not f.IsSpecialName || f.Name.StartsWith "op_")
              | :? ConstructorInfo as c -> isVisible c && not (typeof<Delegate>.IsAssignableFrom t)
              | :? PropertyInfo as p -> p.GetAccessors true |> Array.exists isVisible
              | :? FieldInfo as f -> (f.IsPublic || f.IsFamily) && not f.IsSpecialName
              | :? EventInfo -> true
              | _ -> false

          if isShown && isWritten m then
              m ]

let parametersOf (m: MemberInfo) : ParameterInfo list =
    match m with
    | :? MethodBase as f -> List.ofArray (f.GetParameters())
    | :? PropertyInfo as p -> List.ofArray (p.GetIndexParameters())
    | _ -> []

let resultOf (m: MemberInfo) : Type =
    match m with
    | :? MethodInfo as f -> f.ReturnType
    | :? PropertyInfo as p -> p.PropertyType
    | :? FieldInfo as f -> f.FieldType
    | :? EventInfo as e -> e.EventHandlerType
    | _ -> typeof<Void>

/// Every type in a signature, down to the arguments of generic ones.
let signatureOf (m: MemberInfo) : Type list =
    let rec parts (t: Type) =
        if t.HasElementType then
            parts (t.GetElementType())
        else
            t :: (t.GetGenericArguments() |> List.ofArray |> List.collect parts)

    resultOf m :: [ for p in parametersOf m -> p.ParameterType ]
    |> List.collect parts

let isFSharp (t: Type) =
    not (isNull t.Namespace) && t.Namespace.StartsWith "Microsoft.FSharp"
