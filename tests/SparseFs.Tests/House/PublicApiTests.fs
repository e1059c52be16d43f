module SparseFs.Tests.PublicApiTests

open System
open System.Collections.Generic
open System.IO
open System.Reflection
open System.Runtime.CompilerServices
open System.Xml.Linq
open Expecto
open Microsoft.FSharp.Reflection
open SparseFs
open SparseFs.Tests.PublicSurface

// ---------------------------------------------------------------------------------------------------------
// Documentation
// ---------------------------------------------------------------------------------------------------------

let private attribute (name: string) (m: XElement) : string =
    (present $"an attribute {name}" (m.Attribute(XName.Get name))).Value

/// How often each name of an assembly's XML file has a summary, its own or one that it inherits.
let summaries (assembly: Assembly) : IDictionary<string, int> =
    let file = present "a file" (Path.ChangeExtension(assembly.Location, ".xml"))

    let members =
        dict [ for m in XDocument.Load(file).Descendants(XName.Get "member") -> attribute "name" m, m ]

    let rec hasSummary (m: XElement) =
        match m.Element(XName.Get "inheritdoc") with
        | null ->
            match m.Element(XName.Get "summary") with
            | null -> false
            | summary -> not (String.IsNullOrWhiteSpace summary.Value)
        | inherited ->
            match members.TryGetValue(attribute "cref" inherited) with
            | true, source -> hasSummary source
            | _ -> false

    members
    |> Seq.filter (fun m -> hasSummary m.Value)
    |> Seq.countBy (fun m -> (m.Key.Split('(')[0]).Split("``")[0]) // a generic method's name ends in its arity
    |> dict

/// The name that a type goes by in the XML file: of a generic one, with the number of its arguments.
let docTypeName (t: Type) =
    if t.IsGenericTypeDefinition then
        (fullNameOf t).Replace('+', '.')
    else
        typeName t

/// The name that a member goes by in the XML file, without its parameters.
let docName (m: MemberInfo) =
    let t = docTypeName (declaring m)

    match m with
    | :? ConstructorInfo -> $"M:{t}.#ctor"
    | :? MethodInfo -> $"M:{t}.{m.Name}"
    | :? PropertyInfo -> $"P:{t}.{m.Name}"
    | :? EventInfo -> $"E:{t}.{m.Name}"
    | _ -> $"F:{t}.{m.Name}"

let undocumented (assembly: Assembly) =
    let summaries = summaries assembly

    // The constructor of a record is told by its fields, and how to call a delegate by the delegate.
    let isTold (m: MemberInfo) =
        (m :? ConstructorInfo && FSharpType.IsRecord(declaring m))
        || typeof<Delegate>.IsAssignableFrom(declaring m)

    let needed =
        [ for t in publicTypes assembly do
              $"T:{docTypeName t}"

              for case in casesOf t do
                  $"T:{typeName t}.{case.Name}"

              for m in publicMembers t do
                  if not (isTold m) then
                      docName m ]

    [ for name, count in List.countBy id needed do
          match summaries.TryGetValue name with
          | true, documented when documented >= count -> ()
          | _ -> name ]

[<Tests>]
let documentation =
    testList
        "Documentation"
        [ for assembly, atLeast in
              [ core, 20
                layers, 20
                coreFacade, 20
                facade, 20
                onnx, 9
                inference, 9
                deploy, 9 ] do
              let name = assembly.GetName().Name

              testCase $"every public name of {name} has a summary" (fun () ->
                  Expect.isGreaterThan (summaries assembly).Count atLeast "not vacuous"
                  Expect.equal (undocumented assembly) [] "no summary") ]

// ---------------------------------------------------------------------------------------------------------
// Public surface
// ---------------------------------------------------------------------------------------------------------

/// The compiler keeps a second declaration of each member of an extension block, in a nested type.
let isInExtensionBlock (f: MethodInfo) =
    (declaring f).GetNestedTypes()
    |> Array.exists (fun t -> not (isWritten t || isNull (t.GetMethod f.Name)))

let describe (m: MemberInfo) =
    let nullability = NullabilityInfoContext()

    let parameters =
        parametersOf m
        |> List.map (fun p ->
            let name = nullableName _.WriteState (nullability.Create p)

            let value =
                if not p.HasDefaultValue then ""
                elif isNull p.DefaultValue then " = null"
                else $" = {p.DefaultValue}"

            $"{p.Name}: {name}{value}")
        |> String.concat ", "

    let prefix =
        match m with
        | :? MethodInfo as f when isInExtensionBlock f -> "static extension "
        | _ when m.IsDefined typeof<ExtensionAttribute> -> "extension "
        | :? MethodInfo as f when f.IsStatic -> "static "
        | _ -> ""

    match m with
    | :? ConstructorInfo -> $"new({parameters})"
    | :? PropertyInfo as p ->
        let accessors =
            p.GetAccessors() |> Array.map _.Name.Substring(0, 3) |> String.concat ", "

        $"{p.Name}: {nullableName _.ReadState (nullability.Create p)} with {accessors}"
    | :? FieldInfo as f when f.IsLiteral -> $"{f.Name} = {f.GetRawConstantValue()}"
    | :? MethodInfo as f ->
        $"{prefix}{f.Name}({parameters}): {nullableName _.ReadState (nullability.Create f.ReturnParameter)}"
    | other -> $"{other.Name}: {typeName (resultOf other)}"

let surface (assembly: Assembly) =
    publicTypes assembly
    |> List.sortBy typeName
    |> List.collect (fun t ->
        let parents =
            [ let inherited =
                  match t.BaseType with
                  | null -> [||]
                  | parent -> parent.GetInterfaces()

              match t.BaseType with
              | null -> ()
              | parent when parent = typeof<obj> -> ()
              | parent -> typeName parent

              yield! t.GetInterfaces() |> Array.except inherited |> Array.map typeName |> Array.sort ]

        let heading =
            if parents.IsEmpty then
                typeName t
            else
                $"""{typeName t} : {String.concat ", " parents}"""

        let cases =
            [ for case in casesOf t do
                  let fields =
                      [ for f in case.GetFields() ->
                            $"{f.Name}: {nullableName _.ReadState (NullabilityInfoContext().Create f)}" ]
                      |> String.concat ", "

                  $"  case {case.Name}({fields})" ]

        let members = publicMembers t |> List.map (fun m -> "  " + describe m)

        heading :: cases
        @ List.sortWith (fun a b -> String.CompareOrdinal(a, b)) members)

[<Tests>]
let publicSurface =
    testList
        "Public surface"
        [ for assembly in [ core; layers; coreFacade; facade; onnx; inference; deploy ] do
              let name = assembly.GetName().Name

              testCase $"{name} shows what its baseline says" (fun () ->
                  let file = Path.Combine(__SOURCE_DIRECTORY__, $"PublicApi.{name}.txt")
                  let actual = surface assembly

                  if Environment.GetEnvironmentVariable "SPARSEFS_RENEW_BASELINES" = "1" then
                      File.WriteAllText(file, String.concat "\n" actual + "\n")

                  let expected = File.ReadAllLines file |> List.ofArray

                  let difference =
                      List.map ((+) "- ") (List.except actual expected)
                      @ List.map ((+) "+ ") (List.except expected actual)

                  if actual <> expected then
                      let lines = String.concat "\n" difference

                      failtest
                          $"the public surface has changed:\n{lines}\nIf that is meant, run the tests once with the environment variable SPARSEFS_RENEW_BASELINES=1 and commit {Path.GetFileName file}.") ]

// ---------------------------------------------------------------------------------------------------------
// Names
// ---------------------------------------------------------------------------------------------------------

/// A type's name without what the compiler adds to it: "Module" where a type has the module's name, "`1" for parameters.
let private sourceName (t: Type) =
    let name = t.Name.Split('`')[0]

    if name.EndsWith "Module" && FSharpType.IsModule t then
        name.Substring(0, name.Length - "Module".Length)
    else
        name

/// All that is written in F#, the generators and laws for users' tests too.
let fsharp =
    [ core
      layers
      onnx
      inference
      deploy
      typeof<SparseFs.Testing.SparseFsArbitraries>.Assembly ]

/// Namespaces that C# opens by itself.
let private defaultUsings =
    [ "System"
      "System.Collections.Generic"
      "System.IO"
      "System.Linq"
      "System.Net.Http"
      "System.Threading"
      "System.Threading.Tasks" ]

[<Tests>]
let names =
    testList
        "Names"
        [ testCase "no public type has the name of one that C# opens by itself" (fun () ->
              let taken =
                  [ for assembly in
                        [ typeof<obj>.Assembly
                          typeof<Uri>.Assembly
                          typeof<System.Linq.Enumerable>.Assembly
                          typeof<System.Net.Http.HttpClient>.Assembly
                          typeof<Console>.Assembly
                          typeof<System.Threading.Barrier>.Assembly ] do
                        for t in assembly.GetExportedTypes() do
                            if List.contains t.Namespace defaultUsings then
                                t.Name.Split('`')[0] ]
                  |> HashSet

              Expect.isTrue (taken.Contains "Convert" && taken.Contains "Index") "not vacuous"

              let collisions =
                  [ for assembly in [ core; layers; coreFacade; facade; onnx; inference; deploy ] do
                        for t in publicTypes assembly do
                            if not t.IsNested && taken.Contains t.Name then
                                typeName t ]

              Expect.equal collisions [] "names of System's")

          testCase "no type of the facade has the name of one below it" (fun () ->
              let below =
                  [ for assembly in [ core; layers ] do
                        for t in publicTypes assembly -> t.Name ]
                  |> HashSet

              let collisions =
                  [ for t in facadeTypes do
                        if not t.IsNested && below.Contains t.Name then
                            t.Name ]

              Expect.equal collisions [] "C# opens SparseFs and SparseFs.CSharp side by side")

          testCase
              "functions and values of F# modules have .NET's names: [<CompiledName>] where F# has its own"
              (fun () ->
                  let names =
                      [ for assembly in fsharp do
                            for t in publicTypes assembly do
                                if FSharpType.IsModule t then
                                    for m in publicMembers t -> $"{typeName t}.{m.Name}" ]

                  Expect.isGreaterThan names.Length 150 "not vacuous"

                  let others =
                      names
                      |> List.filter (fun name -> not (Char.IsUpper name[name.LastIndexOf '.' + 1]))

                  Expect.equal others [] "names in camel case")

          testCase "each public type has a file of its own name" (fun () ->
              let files =
                  ArchitectureTests.sourceFiles.Value
                  |> List.map Path.GetFileNameWithoutExtension
                  |> set

              let missing =
                  [ for assembly in [ core; layers; coreFacade; facade; onnx; inference; deploy ] do
                        for t in publicTypes assembly do
                            let isBesideItsModule = t = typeof<ConnectivityDiff> // it holds two of what the .fsi hides

                            if not (t.IsNested || isBesideItsModule || files.Contains(sourceName t)) then
                                typeName t ]

              Expect.equal missing [] "types without a file") ]
