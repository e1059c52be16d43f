module SparseFs.Tests.FacadeTests

open System
open System.Collections.Generic
open System.ComponentModel
open System.IO
open System.Reflection
open System.Runtime.CompilerServices
open System.Xml.Linq
open Expecto
open FsCheck
open FsCheck.FSharp
open Microsoft.FSharp.Reflection
open SparseFs
open SparseFs.CSharp
open TorchSharp

// ---------------------------------------------------------------------------------------------------------
// What an assembly shows
// ---------------------------------------------------------------------------------------------------------

let core = typeof<Connectivity>.Assembly
let facade = typeof<Initialization>.Assembly

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

// ---------------------------------------------------------------------------------------------------------
// No trace of F#
// ---------------------------------------------------------------------------------------------------------

let fSharpIn (members: MemberInfo list) =
    [ for m in members do
          for t in signatureOf m do
              if isFSharp t then
                  $"{typeName m.DeclaringType}.{m.Name} mentions {typeName t}" ]

[<Tests>]
let signatures =
    testList
        "Facade signatures"
        [ testCase "no public signature mentions a type of F#" (fun () ->
              let inSignatures = publicTypes facade |> List.collect publicMembers |> fSharpIn

              let inHeritage =
                  [ for t in publicTypes facade do
                        for parent in t.BaseType :: List.ofArray (t.GetInterfaces()) do
                            if not (isNull parent) && isFSharp parent then
                                $"{typeName t} is a {typeName parent}" ]

              Expect.equal (inSignatures @ inHeritage) [] "F# leaks")

          testCase "the core's types that it shows have no member of an F# type, but constructors" (fun () ->
              let shown =
                  publicTypes facade
                  |> List.collect publicMembers
                  |> List.collect signatureOf
                  |> List.filter (fun t -> t.Assembly = core)
                  |> List.distinct

              Expect.contains shown typeof<Connectivity> "not vacuous"

              let notConstructors (t: Type) =
                  publicMembers t |> List.filter (fun m -> not (m :? ConstructorInfo))

              Expect.equal (shown |> List.collect notConstructors |> fSharpIn) [] "F# leaks") ]

// ---------------------------------------------------------------------------------------------------------
// Parity with the core
// ---------------------------------------------------------------------------------------------------------

/// Type.name, with the names of the parameters where the name is overloaded.
let namesOf (nameOfType: Type -> string) (members: MemberInfo list) =
    members
    |> List.groupBy (fun m -> m.DeclaringType, m.Name)
    |> List.collect (fun ((t, name), overloads) ->
        let short = nameOfType t + (if name = ".ctor" then "" else "." + name)

        [ for m in overloads do
              let parameters = parametersOf m |> List.map _.Name |> String.concat ", "

              if overloads.Length = 1 then
                  short
              else
                  $"{short}({parameters})" ])

/// Every function of every module, and every constructor of every layer.
let coreNames =
    let isLayer (t: Type) =
        typeof<torch.nn.Module>.IsAssignableFrom t

    // F# lengthens the name of a module that stands beside a type of its name.
    let sourceName (t: Type) =
        let short = t.FullName.Replace("Module", "")

        if isNull (core.GetType short) then
            t.Name
        else
            core.GetType(short).Name

    [ for t in publicTypes core do
          if FSharpType.IsModule t then
              yield! publicMembers t |> namesOf sourceName
          elif isLayer t then
              yield!
                  publicMembers t
                  |> List.filter (fun m -> m :? ConstructorInfo)
                  |> namesOf sourceName ]

let facadeNames =
    publicTypes facade
    |> List.filter (fun t -> not t.IsEnum)
    |> List.collect (fun t ->
        publicMembers t
        |> namesOf (fun t -> typeName(t).Replace("SparseFs.CSharp.", "")))

let counterparts =
    [ "Connectivity.create", [ "Connectivities.Create" ]
      "Connectivity.tryCreate", [ "Connectivities.TryCreate" ]
      "Connectivity.ofPairs", [ "Connectivities.FromPairs" ]
      "Connectivity.tryOfPairs", [ "Connectivities.TryFromPairs" ]
      "Connectivity.ofMask", [ "Connectivities.FromMask" ]
      "Connectivity.ofMagnitude", [ "Connectivities.FromMagnitude" ]
      "Connectivity.empty", [ "Connectivities.Empty" ]
      "Connectivity.full", [ "Connectivities.Full" ]
      "Connectivity.rowIndices", [ "ConnectivityReading.RowIndices" ]
      "Connectivity.toMask", [ "ConnectivityReading.ToMask" ]
      "Connectivity.tryFindSlot", [ "ConnectivityReading.TryFindSlot" ]
      "Connectivity.fanIn", [ "ConnectivityReading.FanIn" ]
      "Connectivity.fanOut", [ "ConnectivityReading.FanOut" ]
      "Connectivity.transpose", [ "ConnectivityAlgebra.Transpose" ]
      "Connectivity.union", [ "ConnectivityAlgebra.Union" ]
      "Connectivity.intersect", [ "ConnectivityAlgebra.Intersect" ]
      "Connectivity.difference", [ "ConnectivityAlgebra.Difference" ]
      "Connectivity.diff", [ "ConnectivityAlgebra.Diff" ]
      "Connectivity.isSubset", [ "ConnectivityAlgebra.IsSubsetOf" ]
      "Seed.ofInt", [ "Seeds.FromInt" ]
      "Seed.ofInt64", [ "Seeds.FromInt64" ]
      "Seed.bitsAt", [ "Seeds.BitsAt" ]
      "Seed.child", [ "Seeds.Child" ]
      "Seed.split", [ "Seeds.Split" ]
      "Sparsity.nnz", [ "Sparsities.ToNnz" ]
      "Sparsity.ofNnz", [ "Sparsities.FromNnz" ]
      "Sparsity.allocateUniform", [ "Sparsities.AllocateUniform" ]
      "Topology.uniform", [ "Topologies.Uniform" ]
      "SparseOps.linear", [ "sparsenn.functional.linear" ]
      "SparseOps.spmm", [ "sparsenn.functional.spmm" ]
      "SparseOps.spmmT", [ "sparsenn.functional.spmmT" ]
      "SparseOps.sddmm", [ "sparsenn.functional.sddmm" ]
      "SparseOps.toDense", [ "sparsenn.functional.toDense" ]
      "SparseLinear(connectivity, hasBias, init, device, dtype)",
      [ "sparsenn.SparseLinear(connectivity, hasBias, init, device, dtype)"
        "sparsenn.SparseLinear(inFeatures, outFeatures, hasBias, sparsity, connectivity, seed, init, device, dtype)" ]
      "SparseLinear(inFeatures, outFeatures, sparsity, seed, hasBias, init, device, dtype)",
      [ "sparsenn.SparseLinear(inFeatures, outFeatures, seed, hasBias, sparsity, init, device, dtype)" ] ]

/// Functions of the core that C# goes without, each with the reason.
let onlyCore: (string * string) list = []

/// Members that the core has no function for, each with the reason.
let onlyFacade =
    [ "Connectivities.FromIndices", "the tensor that users of SparseLinear have in hand; F# pipes arrays to ofPairs" ]

let expectSame (expected: string list) (actual: string list) =
    let unknown = List.except expected actual
    let gone = List.except actual expected
    Expect.equal unknown [] "in the assembly, but not in the map above: give it a counterpart"
    Expect.equal gone [] "in the map above, but not in the assembly"
    Expect.equal actual.Length expected.Length "each once"

[<Tests>]
let parity =
    testList
        "Facade parity"
        [ testCase "every function and every layer of the core has its counterpart, and none is gone" (fun () ->
              let expected = List.map fst counterparts @ List.map fst onlyCore
              expectSame expected coreNames)

          testCase "every member of the facade is the counterpart of something" (fun () ->
              let expected = List.collect snd counterparts @ List.map fst onlyFacade
              expectSame expected facadeNames)

          testCase "Initialization has the cases of Init" (fun () ->
              let cases = FSharpType.GetUnionCases typeof<Init> |> Array.map _.Name
              Expect.equal (Enum.GetNames<Initialization>()) cases "cases") ]

// ---------------------------------------------------------------------------------------------------------
// The same answers as the core
// ---------------------------------------------------------------------------------------------------------

let law (name: string) (arb: Arbitrary<'a>) (body: 'a -> unit) =
    testPropertyWithConfig
        { FsCheckConfig.defaultConfig with
            maxTest = 50 }
        name
        (Prop.forAll arb body)

let maskGen (rows: int) (cols: int) =
    Gen.elements [ false; true ]
    |> Gen.arrayOfLength (rows * cols)
    |> Gen.map (fun cells -> Array2D.init rows cols (fun r c -> cells[r * cols + c]))

/// Two patterns of one shape, which may be empty.
let twoPatterns =
    gen {
        let! rows = Gen.choose (0, 6)
        let! cols = Gen.choose (0, 9)
        let! a = maskGen rows cols
        let! b = maskGen rows cols
        return Connectivity.ofMask a, Connectivity.ofMask b
    }
    |> Arb.fromGen

let pattern = twoPatterns |> Arb.toGen |> Gen.map fst |> Arb.fromGen

/// The CSR or COO buffers of a pattern, of which one entry may be wrong.
let buffers (ofPattern: Connectivity -> int[] * int[]) =
    gen {
        let! c = Arb.toGen pattern
        let first, second = ofPattern c
        let! target = Gen.elements [ [||]; first; second ]
        let! place = Gen.choose (0, max 0 (target.Length - 1))
        let! wrong = Gen.choose (-1, 10)

        if target.Length > 0 then
            target[place] <- wrong

        return c.Rows, c.Cols, first, second
    }
    |> Arb.fromGen

let csr = buffers (fun c -> c.RowPtr.ToArray(), c.ColIdx.ToArray())
let coo = buffers (fun c -> Connectivity.rowIndices c, c.ColIdx.ToArray())

let bitsOf (seed: int) (index: int) =
    Seed.ofInt seed |> Seed.bitsAt (int64 index)

/// A small count and any number.
let countAndNumber =
    Gen.zip (Gen.choose (0, 10)) (Gen.choose (0, 1000)) |> Arb.fromGen

let patternAnd (other: Arbitrary<'a>) =
    Gen.zip (Arb.toGen pattern) (Arb.toGen other) |> Arb.fromGen

let shapesAndTenths =
    let shape = Gen.zip (Gen.choose (0, 20)) (Gen.choose (0, 20))

    Gen.zip3 (Gen.arrayOf shape) (Gen.choose (0, 9)) (Gen.choose (0, 1000))
    |> Arb.fromGen

let layerArguments =
    gen {
        let! hasBias = Gen.elements [ false; true ]
        let! tenths = Gen.choose (0, 9)
        let! number = Gen.choose (0, 1000)
        let! init = Gen.elements (Enum.GetValues<Initialization>())
        let! dtype = Gen.elements [ torch.ScalarType.Float32; torch.ScalarType.Float64 ]
        return hasBias, tenths, number, init, dtype
    }
    |> Arb.fromGen

/// What became of a call: its result, or the exception that it threw.
let outcome (call: unit -> 'a) =
    try
        Ok(call ())
    with :? ArgumentException as e ->
        Error(e.GetType(), e.ParamName, e.Message)

/// .NET's Try pattern as a result; of the two values exactly the one that is said is there.
let ofTry (ok: bool, c: Connectivity, e: ConnectivityError) =
    Expect.equal (isNull (box c), isNull (box e)) (not ok, ok) "one of the two"
    if ok then Ok c else Error e

let floats (t: torch.Tensor) =
    t.shape, t.flatten().data<float32>().ToArray()

let tensorOf (seed: int) (shape: int list) =
    let numbers =
        Array.init (List.fold (*) 1 shape) (fun i -> float32 (bitsOf seed i >>> 40))

    torch.tensor(numbers).reshape [| for size in shape -> int64 size |]

[<Tests>]
let building =
    testList
        "Facade building"
        [ law "CSR buffers are taken and refused as by the core" csr (fun (rows, cols, rowPtr, colIdx) ->
              Expect.equal
                  (ofTry (Connectivities.TryCreate(rows, cols, rowPtr, colIdx)))
                  (Connectivity.tryCreate rows cols rowPtr colIdx)
                  "TryCreate"

              Expect.equal
                  (outcome (fun () -> Connectivities.Create(rows, cols, rowPtr, colIdx)))
                  (outcome (fun () -> Connectivity.create rows cols rowPtr colIdx))
                  "Create")

          law "pairs are taken and refused as by the core" coo (fun (rows, cols, rowIdx, colIdx) ->
              Expect.equal
                  (ofTry (Connectivities.TryFromPairs(rows, cols, rowIdx, colIdx)))
                  (Connectivity.tryOfPairs rows cols rowIdx colIdx)
                  "TryFromPairs"

              Expect.equal
                  (outcome (fun () -> Connectivities.FromPairs(rows, cols, rowIdx, colIdx)))
                  (outcome (fun () -> Connectivity.ofPairs rows cols rowIdx colIdx))
                  "FromPairs")

          law "a (2, nnz) tensor is taken as its pairs are, and refused where they are" coo (fun spec ->
              let rows, cols, rowIdx, colIdx = spec
              let pairs = array2D [ rowIdx; colIdx ]

              for dtype in [ torch.ScalarType.Int64; torch.ScalarType.Int32 ] do
                  use indices = torch.tensor(pairs).to_type dtype
                  // Laid out column by column: the same tensor, not contiguous.
                  use turned = indices.t().contiguous().t()

                  for tensor in [ indices; turned ] do
                      match Connectivity.tryOfPairs rows cols rowIdx colIdx with
                      | Ok c -> Expect.equal (Connectivities.FromIndices(rows, cols, tensor)) c "pattern"
                      | Error _ ->
                          let refused = outcome (fun () -> Connectivities.FromIndices(rows, cols, tensor))
                          Expect.isError refused "refused")

          law "masks, empty and full patterns are the core's" pattern (fun c ->
              Expect.equal (Connectivities.FromMask(Connectivity.toMask c)) c "FromMask"
              Expect.equal (Connectivities.Empty(c.Rows, c.Cols)) (Connectivity.empty c.Rows c.Cols) "Empty"
              Expect.equal (Connectivities.Full(c.Rows, c.Cols)) (Connectivity.full c.Rows c.Cols) "Full")

          law "the largest magnitudes are the core's" (patternAnd countAndNumber) (fun (c, (part, seed)) ->
              let weight =
                  Array2D.init c.Rows c.Cols (fun r k -> float32 (bitsOf seed (r * c.Cols + k) % 7UL) - 3.0f)

              let nnz = part * weight.Length / 10

              Expect.equal
                  (Connectivities.FromMagnitude(nnz, weight))
                  (Connectivity.ofMagnitude nnz weight)
                  "FromMagnitude")

          testCase "the buffers that the laws draw are some right, some wrong" (fun () ->
              for arb, build in [ csr, Connectivity.tryCreate; coo, Connectivity.tryOfPairs ] do
                  let isRight (rows, cols, first, second) = (build rows cols first second).IsOk
                  let right, wrong = arb |> Arb.toGen |> Gen.sample 200 |> Array.partition isRight
                  Expect.isGreaterThan (min right.Length wrong.Length) 20 "not vacuous") ]

[<Tests>]
let readingAndAlgebra =
    testList
        "Facade reading and algebra"
        [ law "a pattern reads as in the core" pattern (fun c ->
              Expect.equal (c.FanIn()) (Connectivity.fanIn c) "FanIn"
              Expect.equal (c.FanOut()) (Connectivity.fanOut c) "FanOut"
              Expect.equal (c.RowIndices()) (Connectivity.rowIndices c) "RowIndices"
              Expect.equal (c.ToMask()) (Connectivity.toMask c) "ToMask"
              let transposed = c.Transpose()
              let struct (t, from) = transposed
              Expect.equal (t, from) (Connectivity.transpose c) "Transpose"

              for row in 0 .. c.Rows - 1 do
                  for col in 0 .. c.Cols - 1 do
                      let found, slot = c.TryFindSlot(row, col)
                      let expected = Connectivity.tryFindSlot row col c
                      Expect.equal (found, slot) (expected.IsSome, Option.defaultValue 0 expected) "TryFindSlot")

          law "two patterns combine as in the core" twoPatterns (fun (a, b) ->
              Expect.equal (a.Union b) (Connectivity.union a b) "Union"
              Expect.equal (a.Intersect b) (Connectivity.intersect a b) "Intersect"
              Expect.equal (a.Difference b) (Connectivity.difference a b) "Difference"
              Expect.equal (a.Diff b) (Connectivity.diff a b) "Diff"
              Expect.equal (a.IsSubsetOf b) (Connectivity.isSubset a b) "IsSubsetOf"
              Expect.isTrue ((a.Intersect b).IsSubsetOf a) "IsSubsetOf") ]

[<Tests>]
let pureValues =
    testList
        "Facade seeds, sparsities and topologies"
        [ testProperty "seeds are the core's" (fun (number: int) (wide: int64) (index: uint16) ->
              let seed = Seeds.FromInt number
              let index = int index
              Expect.equal seed (Seed.ofInt number) "FromInt"
              Expect.equal (Seeds.FromInt64 wide) (Seed.ofInt64 wide) "FromInt64"
              Expect.equal (seed.Child index) (Seed.child index seed) "Child"
              Expect.equal (seed.BitsAt(int64 index)) (Seed.bitsAt (int64 index) seed) "BitsAt"
              let children = seed.Split()
              let struct (first, second) = children
              Expect.equal (first, second) (Seed.split seed) "Split")

          law "counts and random patterns are the core's" shapesAndTenths (fun (shapes, tenths, number) ->
              let sparsity = float tenths / 10.0
              let structs = [| for rows, cols in shapes -> struct (rows, cols) |]

              Expect.equal
                  (Sparsities.AllocateUniform(sparsity, structs))
                  (Sparsity.allocateUniform sparsity shapes)
                  "AllocateUniform"

              for rows, cols in shapes do
                  let nnz = Sparsity.nnz rows cols sparsity
                  Expect.equal (Sparsities.ToNnz(rows, cols, sparsity)) nnz "ToNnz"
                  Expect.equal (Sparsities.FromNnz(rows, cols, nnz)) (Sparsity.ofNnz rows cols nnz) "FromNnz"
                  let seed = Seed.ofInt number

                  Expect.equal
                      (Topologies.Uniform(rows, cols, nnz, seed))
                      (Topology.uniform rows cols nnz seed)
                      "Uniform") ]

[<Tests>]
let functions =
    testList
        "Facade functions"
        [ law "each function answers as the core's" (patternAnd countAndNumber) (fun (c, (n, seed)) ->
              use _ = torch.NewDisposeScope()
              let values = tensorOf seed [ c.Nnz ]
              let bias = tensorOf (seed + 1) [ c.Rows ]
              let x = tensorOf (seed + 2) [ n; c.Cols ]
              let g = tensorOf (seed + 3) [ n; c.Rows ]

              let same (name: string) (actual: torch.Tensor) (expected: torch.Tensor) =
                  Expect.equal (floats actual) (floats expected) name

              same "linear" (sparsenn.functional.linear (c, values, x, bias)) (SparseOps.linear c values bias x)
              same "no bias" (sparsenn.functional.linear (c, values, x)) (SparseOps.linear c values null x)
              same "spmm" (sparsenn.functional.spmm (c, values, x)) (SparseOps.spmm c values x)
              same "spmmT" (sparsenn.functional.spmmT (c, values, g)) (SparseOps.spmmT c values g)
              same "sddmm" (sparsenn.functional.sddmm (c, g, x)) (SparseOps.sddmm c g x)
              same "toDense" (sparsenn.functional.toDense (c, values)) (SparseOps.toDense c values)) ]

/// What C# calls null.
let absent: Connectivity = Unchecked.defaultof<Connectivity>

/// What a layer is: its pattern, its weights and bias, where and of what they are.
let layerOf (make: unit -> SparseLinear) =
    use _ = torch.NewDisposeScope()
    torch.manual_seed 5L |> ignore
    use layer = make ()

    let inFloat32 (t: torch.Tensor) =
        floats (t.detach().to_type torch.ScalarType.Float32)

    let bias = layer.bias |> Option.ofObj |> Option.map inFloat32
    layer.Connectivity, inFloat32 layer.weight, bias, layer.weight.dtype, string layer.weight.device

let initOf (init: Initialization) =
    match init with
    | Initialization.FanIn -> Init.FanIn
    | Initialization.DenseFanIn -> Init.DenseFanIn
    | Initialization.KaimingUniform -> Init.KaimingUniform
    | Initialization.KaimingNormal -> Init.KaimingNormal
    | _ -> Init.Zeros

// Every layer draws from torch's one generator.
[<Tests>]
let layers =
    testSequenced
    <| testList
        "Facade layers"
        [ testCase "the defaults are the core's" (fun () ->
              let expected = layerOf (fun () -> new SparseLinear(20, 30))
              Expect.equal (layerOf (fun () -> sparsenn.SparseLinear(20L, 30L))) expected "sizes"
              Expect.equal (layerOf (fun () -> sparsenn.SparseLinear(20L, 30L, Seeds.FromInt 0))) expected "a seed"

              let c = Topology.uniform 30 20 60 (Seed.ofInt 0)
              Expect.equal (layerOf (fun () -> sparsenn.SparseLinear c)) expected "a pattern"
              Expect.equal (layerOf (fun () -> sparsenn.SparseLinear(20L, 30L, connectivity = c))) expected "all")

          law "every argument reaches the core" layerArguments (fun (hasBias, tenths, number, init, dtype) ->
              let sparsity = float tenths / 10.0
              let seed = Seed.ofInt number
              let nullable = Nullable dtype

              let expected =
                  layerOf (fun () -> new SparseLinear(7, 9, sparsity, seed, hasBias, initOf init, torch.CPU, dtype))

              let c, _, _, _, _ = expected

              let same (name: string) (make: unit -> SparseLinear) =
                  Expect.equal (layerOf make) expected name

              same "a pattern" (fun () -> sparsenn.SparseLinear(c, hasBias, init, torch.CPU, nullable))

              same "a seed" (fun () ->
                  sparsenn.SparseLinear(7L, 9L, seed, hasBias, sparsity, init, torch.CPU, nullable))

              same "a pattern and its sizes" (fun () ->
                  sparsenn.SparseLinear(7L, 9L, hasBias, sparsity, c, -1L, init, torch.CPU, nullable))

              same "a number" (fun () ->
                  sparsenn.SparseLinear(7L, 9L, hasBias, sparsity, absent, int64 number, init, torch.CPU, nullable)))

          testCase "a device reaches the core" (fun () ->
              use layer = sparsenn.SparseLinear(3L, 4L, device = torch.META)
              Expect.equal layer.weight.device_type DeviceType.META "device") ]

// ---------------------------------------------------------------------------------------------------------
// Bad input
// ---------------------------------------------------------------------------------------------------------

let refuses<'e when 'e :> ArgumentException> (name: string) (argument: string) (message: string) (call: unit -> obj) =
    testCase $"{name} is refused" (fun () ->
        match outcome call with
        | Ok _ -> failtest "nothing was thrown"
        | Error(kind, paramName, text) ->
            Expect.equal kind typeof<'e> "the type"
            Expect.equal paramName argument "the argument"
            Expect.stringContains text message "what was expected and what came")

let indices (pairs: int64[,]) = torch.tensor pairs
let square = Connectivity.full 2 2

[<Tests>]
let badInput =
    testList
        "Facade bad input"
        [ refuses<ArgumentException> "a repeated column" "colIdx" "got (0, 1) twice" (fun () ->
              Connectivities.Create(1, 3, [| 0; 2 |], [| 1; 1 |]))
          refuses<ArgumentException> "a repeated pair" "colIdx" "got (0, 1) twice" (fun () ->
              Connectivities.FromPairs(1, 3, [| 0; 0 |], [| 1; 1 |]))
          refuses<ArgumentNullException> "no buffer" "rowPtr" "" (fun () -> Connectivities.Create(1, 3, null, [||]))
          refuses<ArgumentNullException> "no mask" "mask" "" (fun () -> Connectivities.FromMask null)
          refuses<ArgumentOutOfRangeException> "a negative size" "rows" "got -1" (fun () -> Connectivities.Empty(-1, 3))

          refuses<ArgumentNullException> "no indices" "indices" "" (fun () -> Connectivities.FromIndices(2, 2, null))
          refuses<ArgumentException> "indices of one dimension" "indices" "expected shape [2, nnz], got [4]" (fun () ->
              Connectivities.FromIndices(2, 2, torch.zeros (4L, torch.ScalarType.Int64)))
          refuses<ArgumentException> "turned indices" "indices" "expected shape [2, nnz], got [5, 2]" (fun () ->
              Connectivities.FromIndices(2, 2, torch.zeros (5L, 2L, torch.ScalarType.Int64)))
          refuses<ArgumentException> "float indices" "indices" "expected Int64 or Int32, got Float32" (fun () ->
              Connectivities.FromIndices(2, 2, torch.zeros (2L, 1L)))
          refuses<ArgumentException> "a repeated index pair" "indices" "got (1, 0) twice" (fun () ->
              Connectivities.FromIndices(2, 2, indices (array2D [ [ 1L; 1L ]; [ 0L; 0L ] ])))
          refuses<ArgumentException> "a column out of range" "indices" "expected 0..1, got column 2 in row 1" (fun () ->
              Connectivities.FromIndices(2, 2, indices (array2D [ [ 1L ]; [ 2L ] ])))
          refuses<ArgumentException> "an index beyond 32 bits" "indices" "got 4294967296" (fun () ->
              Connectivities.FromIndices(2, 2, indices (array2D [ [ 0L ]; [ 1L <<< 32 ] ])))
          refuses<ArgumentException> "a negative size for indices" "cols" "got [2, -2]" (fun () ->
              Connectivities.FromIndices(2, -2, indices (array2D [ [ 0L ]; [ 1L ] ])))

          refuses<ArgumentNullException> "reading nothing" "connectivity" "" (fun () -> absent.FanIn())
          refuses<ArgumentNullException> "finding in nothing" "connectivity" "" (fun () -> absent.TryFindSlot(0, 0))
          refuses<ArgumentNullException> "combining with nothing" "b" "" (fun () -> square.Union absent)
          refuses<ArgumentOutOfRangeException> "a cell outside" "col" "expected 0..1, got 2" (fun () ->
              square.TryFindSlot(0, 2))
          refuses<ArgumentException> "another shape" "b" "expected shape [2, 2], got [2, 3]" (fun () ->
              square.Union(Connectivity.full 2 3))
          refuses<ArgumentNullException> "no shapes" "shapes" "" (fun () -> Sparsities.AllocateUniform(0.5, null))
          refuses<ArgumentOutOfRangeException> "a sparsity of 1" "sparsity" "in [0, 1), got 1" (fun () ->
              Sparsities.ToNnz(3, 3, 1.0))
          refuses<ArgumentOutOfRangeException> "too many slots" "nnz" "expected 0..9 slots" (fun () ->
              Topologies.Uniform(3, 3, 10, Seed.ofInt 0))

          refuses<ArgumentOutOfRangeException> "a negative input size" "inFeatures" "got -1" (fun () ->
              sparsenn.SparseLinear(-1L, 3L))
          refuses<ArgumentOutOfRangeException> "a huge output size" "outFeatures" "got 2147483648" (fun () ->
              sparsenn.SparseLinear(3L, 1L <<< 31))
          refuses<ArgumentOutOfRangeException> "a layer's sparsity" "sparsity" "in [0, 1), got -0.1" (fun () ->
              sparsenn.SparseLinear(3L, 3L, sparsity = -0.1))
          refuses<ArgumentException>
              "a pattern of another shape"
              "connectivity"
              "expected shape [outFeatures, inFeatures] = [3, 2], got [2, 2]"
              (fun () -> sparsenn.SparseLinear(2L, 3L, connectivity = square))
          refuses<ArgumentNullException> "no pattern" "connectivity" "" (fun () -> sparsenn.SparseLinear absent)
          refuses<ArgumentException> "an integer dtype" "dtype" "got Int32" (fun () ->
              sparsenn.SparseLinear(2L, 3L, dtype = torch.ScalarType.Int32))
          refuses<InvalidEnumArgumentException> "no such initialization" "init" "7" (fun () ->
              sparsenn.SparseLinear(2L, 3L, init = enum<Initialization> 7))
          refuses<ArgumentException> "values of another length" "values" "expected shape [4], got [3]" (fun () ->
              sparsenn.functional.spmm (square, torch.ones 3L, torch.ones (1L, 2L)))
          refuses<ArgumentException> "samples of another width" "x" "expected shape [*, 2], got [1, 3]" (fun () ->
              sparsenn.functional.linear (square, torch.ones 4L, torch.ones (1L, 3L)))
          refuses<ArgumentNullException> "no samples" "x" "" (fun () ->
              sparsenn.functional.spmm (square, torch.ones 4L, null)) ]

// ---------------------------------------------------------------------------------------------------------
// Documentation
// ---------------------------------------------------------------------------------------------------------

/// How often each name of an assembly's XML file has a summary, its own or one that it inherits.
let summaries (assembly: Assembly) : IDictionary<string, int> =
    let file = Path.ChangeExtension(assembly.Location, ".xml")

    let members =
        dict [ for m in XDocument.Load(file).Descendants(XName.Get "member") -> m.Attribute(XName.Get "name").Value, m ]

    let rec hasSummary (m: XElement) =
        match m.Element(XName.Get "inheritdoc") with
        | null ->
            let summary = m.Element(XName.Get "summary")
            not (isNull summary || String.IsNullOrWhiteSpace summary.Value)
        | inherited ->
            match members.TryGetValue(inherited.Attribute(XName.Get "cref").Value) with
            | true, source -> hasSummary source
            | _ -> false

    members
    |> Seq.filter (fun m -> hasSummary m.Value)
    |> Seq.countBy (fun m -> m.Key.Split('(')[0])
    |> dict

/// The name that a member goes by in the XML file, without its parameters.
let docName (m: MemberInfo) =
    let t = typeName m.DeclaringType

    match m with
    | :? ConstructorInfo -> $"M:{t}.#ctor"
    | :? MethodInfo -> $"M:{t}.{m.Name}"
    | :? PropertyInfo -> $"P:{t}.{m.Name}"
    | :? EventInfo -> $"E:{t}.{m.Name}"
    | _ -> $"F:{t}.{m.Name}"

let undocumented (assembly: Assembly) =
    let summaries = summaries assembly

    // The constructor of a record is told by its fields.
    let isTold (m: MemberInfo) =
        m :? ConstructorInfo && FSharpType.IsRecord m.DeclaringType

    let needed =
        [ for t in publicTypes assembly do
              $"T:{typeName t}"

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
        [ for assembly in [ core; facade ] do
              let name = assembly.GetName().Name

              testCase $"every public name of {name} has a summary" (fun () ->
                  Expect.isGreaterThan (summaries assembly).Count 20 "not vacuous"
                  Expect.equal (undocumented assembly) [] "no summary") ]

// ---------------------------------------------------------------------------------------------------------
// Public surface
// ---------------------------------------------------------------------------------------------------------

/// The compiler keeps a second declaration of each member of an extension block, in a nested type.
let isInExtensionBlock (f: MethodInfo) =
    f.DeclaringType.GetNestedTypes()
    |> Array.exists (fun t -> not (isWritten t || isNull (t.GetMethod f.Name)))

let describe (m: MemberInfo) =
    let nullability = NullabilityInfoContext()

    let parameters =
        parametersOf m
        |> List.map (fun p ->
            let isNullable =
                not p.ParameterType.IsValueType
                && nullability.Create(p).WriteState = NullabilityState.Nullable

            let mark = if isNullable then "?" else ""

            let value =
                if not p.HasDefaultValue then ""
                elif isNull p.DefaultValue then " = null"
                else $" = {p.DefaultValue}"

            $"{p.Name}: {typeName p.ParameterType}{mark}{value}")
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

        $"{p.Name}: {typeName p.PropertyType} with {accessors}"
    | :? FieldInfo as f when f.IsLiteral -> $"{f.Name} = {f.GetRawConstantValue()}"
    | :? MethodInfo as f -> $"{prefix}{f.Name}({parameters}): {typeName f.ReturnType}"
    | other -> $"{other.Name}: {typeName (resultOf other)}"

let surface (assembly: Assembly) =
    publicTypes assembly
    |> List.sortBy typeName
    |> List.collect (fun t ->
        let parents =
            [ if not (isNull t.BaseType || t.BaseType = typeof<obj>) then
                  typeName t.BaseType

              let inherited =
                  if isNull t.BaseType then
                      [||]
                  else
                      t.BaseType.GetInterfaces()

              yield! t.GetInterfaces() |> Array.except inherited |> Array.map typeName |> Array.sort ]

        let heading =
            if parents.IsEmpty then
                typeName t
            else
                $"""{typeName t} : {String.concat ", " parents}"""

        let cases =
            [ for case in casesOf t do
                  let fields =
                      [ for f in case.GetFields() -> $"{f.Name}: {typeName f.PropertyType}" ]
                      |> String.concat ", "

                  $"  case {case.Name}({fields})" ]

        let members = publicMembers t |> List.map (fun m -> "  " + describe m)

        heading :: cases
        @ List.sortWith (fun a b -> String.CompareOrdinal(a, b)) members)

[<Tests>]
let publicSurface =
    testList
        "Public surface"
        [ for assembly in [ core; facade ] do
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
