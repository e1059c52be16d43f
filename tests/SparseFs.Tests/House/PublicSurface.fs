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
let inference = typeof<SparseFs.Inference.SparseModel>.Assembly
let deploy = typeof<DeployOptions>.Assembly

let private elementOf (t: Type) : Type =
    present $"the element of {t}" (t.GetElementType())

let fullNameOf (t: Type) : string = present "a full name" t.FullName

let private definitionName (t: Type) : string =
    let definition = fullNameOf (t.GetGenericTypeDefinition())
    definition.Substring(0, definition.IndexOf '`').Replace('+', '.')

let rec typeName (t: Type) : string =
    if t.IsByRef then
        typeName (elementOf t) + "&"
    elif t.IsArray then
        let commas = String(',', t.GetArrayRank() - 1)
        $"{typeName (elementOf t)}[{commas}]"
    elif t.IsGenericType then
        let arguments = t.GetGenericArguments() |> Array.map typeName |> String.concat ", "
        $"{definitionName t}<{arguments}>"
    elif t.IsGenericParameter then
        t.Name
    else
        (fullNameOf t).Replace('+', '.')

/// <summary>The name of a type as it stands in a signature: with a ? behind each part that may be null.</summary>
/// <param name="stateOf">What is taken (WriteState) or given (ReadState).</param>
/// <param name="info">What the compiler wrote about the type and its parts.</param>
let rec nullableName (stateOf: NullabilityInfo -> NullabilityState) (info: NullabilityInfo) : string =
    let t = info.Type

    let name =
        match info.ElementType with
        | NonNull element when t.IsArray ->
            let commas = String(',', t.GetArrayRank() - 1)
            $"{nullableName stateOf element}[{commas}]"
        | _ when info.GenericTypeArguments.Length > 0 && Nullable.GetUnderlyingType t = null ->
            let arguments =
                info.GenericTypeArguments
                |> Array.map (nullableName stateOf)
                |> String.concat ", "

            $"{definitionName t}<{arguments}>"
        | _ -> typeName t

    if
        stateOf info = NullabilityState.Nullable
        && not (t.IsValueType || t.IsGenericParameter)
    then
        name + "?"
    else
        name

/// C# and F# write members that no one may call by name, such as those behind an extension block or a union.
let isWritten (m: MemberInfo) =
    not (m.Name.Contains '<' || m.IsDefined typeof<CompilerGeneratedAttribute>)

/// The type that a member belongs to.
let declaring (m: MemberInfo) : Type =
    present $"the type of {m.Name}" m.DeclaringType

let parameterName (p: ParameterInfo) : string = present "a parameter's name" p.Name

/// A case of a union is told with the union.
let isCase (t: Type) =
    t.IsNested && FSharpType.IsUnion(declaring t)

let publicTypes (assembly: Assembly) =
    let rec isWrittenInside (t: Type | null) =
        match t with
        | null -> true
        | t -> isWritten t && isWrittenInside t.DeclaringType

    assembly.GetExportedTypes()
    |> Array.filter (fun t -> isWrittenInside t && not (isCase t))
    |> List.ofArray

/// What C# is meant to use, and what F# is. SparseFs.Onnx and SparseFs.Deploy have their faces for C# in their own assemblies, and SparseFs.Inference
/// has one for both.
let facadeTypes, coreTypes =
    let forCSharp, others =
        publicTypes onnx @ publicTypes deploy
        |> List.partition (fun t -> t.Namespace = typeof<Initialization>.Namespace)

    publicTypes coreFacade @ publicTypes facade @ forCSharp, publicTypes core @ publicTypes layers @ others

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
    | :? EventInfo as e -> present "a handler" e.EventHandlerType
    | _ -> typeof<Void>

/// Every type in a signature, down to the arguments of generic ones.
let signatureOf (m: MemberInfo) : Type list =
    let rec parts (t: Type) =
        if t.HasElementType then
            parts (elementOf t)
        else
            t :: (t.GetGenericArguments() |> List.ofArray |> List.collect parts)

    resultOf m :: [ for p in parametersOf m -> p.ParameterType ]
    |> List.collect parts

let isFSharp (t: Type) =
    match t.Namespace with
    | null -> false
    | name -> name.StartsWith "Microsoft.FSharp"
