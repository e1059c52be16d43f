namespace SparseFs.Torch

open System
open System.Collections
open System.Collections.Generic
open System.Reflection
open System.Runtime.CompilerServices
open Microsoft.FSharp.Reflection
open TorchSharp

/// <summary>One place that holds a module: a field, or an element of a list, an array or a dictionary in a field.</summary>
type internal ModulePlace =
    {
        /// Says where, for people: the holder's name and the field's.
        Where: string
        /// What the place can hold.
        Type: Type
        /// Puts another module there.
        Put: torch.nn.Module -> unit
    }

/// <summary>A module that may be replaced, and everywhere it is held.</summary>
type internal HeldModule =
    {
        /// The dotted name that it is found by first; empty for the model itself.
        Name: string
        Module: torch.nn.Module
        Places: ModulePlace list
        /// Where it is registered as a child. TorchSharp's own containers keep no other list than their places.
        Registered: ModulePlace list
    }

/// <summary>Finds where a model keeps its modules, and puts others there.</summary>
/// <remarks>TorchSharp knows a child in up to two ways: a field of its parent (or a list in a field, for Sequential,
/// ModuleList and ModuleDict), which forward uses, and an entry in the parent's <c>_internal_submodules</c>, from which
/// parameters, state_dict and named_modules come. Both have to change together.</remarks>
module internal ModuleTree =

    let private instance =
        BindingFlags.Instance
        ||| BindingFlags.Public
        ||| BindingFlags.NonPublic
        ||| BindingFlags.DeclaredOnly

    let private registry =
        typeof<torch.nn.Module>.GetField("_internal_submodules", BindingFlags.Instance ||| BindingFlags.NonPublic)

    /// The fields that a module's own classes declare, below torch.nn.Module.
    let private fields (m: torch.nn.Module) : FieldInfo list =
        let rec up (t: Type | null) =
            match t with
            | null -> []
            | t when t = typeof<torch.nn.Module> -> []
            | t -> List.ofArray (t.GetFields instance) @ up t.BaseType

        up (m.GetType())

    let private elementType (list: Type) : Type =
        match list.GetElementType() with
        | null -> // no array
            list.GetInterfaces()
            |> Array.tryFind (fun i -> i.IsGenericType && i.GetGenericTypeDefinition() = typedefof<IList<_>>)
            |> Option.map (fun i -> i.GetGenericArguments()[0])
            |> Option.defaultValue typeof<obj>
        | element -> element

    let private valueType (dictionary: Type) : Type =
        dictionary.GetInterfaces()
        |> Array.tryFind (fun i -> i.IsGenericType && i.GetGenericTypeDefinition() = typedefof<IDictionary<_, _>>)
        |> Option.map (fun i -> i.GetGenericArguments()[1])
        |> Option.defaultValue typeof<obj>

    /// (name, module) pairs, as ModuleDict lists them.
    let private isNamed (element: Type) =
        element.IsGenericType
        && element.GetGenericTypeDefinition() = typedefof<struct (_ * _)>

    /// An array of several dimensions is a list whose items cannot be asked for.
    let private isVector (list: IList) =
        match list with
        | :? Array as items -> items.Rank = 1
        | _ -> true

    let private mayHold (element: Type) =
        isNamed element || not element.IsValueType

    /// Collections whose items are there already: reading them runs nobody's code.
    let private isCollection (value: obj) =
        value :? ICollection
        || value.GetType().GetInterfaces()
           |> Array.exists (fun i ->
               i.IsGenericType
               && i.GetGenericTypeDefinition() = typedefof<IReadOnlyCollection<_>>)

    let private isA (definition: Type) (t: Type) =
        t.IsGenericType && t.GetGenericTypeDefinition() = definition

    /// Modules within pairs, records, unions and collections, which are read here and never written to. Depth is bounded:
    /// a user's values may hold each other.
    let rec private within (depth: int) (value: obj | null) : torch.nn.Module list =
        match value with
        | null -> []
        | value -> withinValue depth value

    and private withinValue (depth: int) (value: obj) : torch.nn.Module list =
        let any = BindingFlags.Public ||| BindingFlags.NonPublic

        let inAll (values: seq<obj | null>) =
            values |> Seq.collect (within (depth - 1)) |> List.ofSeq

        match value with
        | :? torch.nn.Module as m -> [ m ]
        | _ when depth = 0 || value :? string || value.GetType().IsPrimitive -> []
        | :? Array as items when (elementType (items.GetType())).IsPrimitive -> []
        | :? ITuple as items -> inAll (Seq.init items.Length (fun i -> items[i]))
        | _ when isA typedefof<KeyValuePair<_, _>> (value.GetType()) ->
            match value.GetType().GetProperty "Value" with
            | null -> []
            | ofPair -> within (depth - 1) (ofPair.GetValue value)
        | :? IEnumerable as items when isCollection value -> inAll (Seq.cast<obj | null> items)
        | _ when FSharpType.IsRecord(value.GetType(), any) -> inAll (FSharpValue.GetRecordFields(value, any))
        | _ when FSharpType.IsUnion(value.GetType(), any) ->
            inAll (snd (FSharpValue.GetUnionFields(value, value.GetType(), any)))
        | _ -> []

    /// Every place in a module's own fields that holds some module: that module and the place.
    let private placesIn (holderName: string) (holder: torch.nn.Module) : (torch.nn.Module * ModulePlace) list =
        let prefix = if holderName = "" then "the model" else $"'{holderName}'"

        [ for field in fields holder do
              let place (where: string) (t: Type) (put: torch.nn.Module -> unit) =
                  { Where = $"{prefix}, field '{field.Name}'{where}"
                    Type = t
                    Put = put }

              /// Nothing else can be put there.
              let locked (m: torch.nn.Module) =
                  m, place "" (m.GetType()) (fun _ -> invalidOp $"{field.Name} is never written to")

              match field.GetValue holder with
              | null -> ()
              | :? torch.nn.Module as m -> m, place "" field.FieldType (fun other -> field.SetValue(holder, other))
              | :? IDictionary as d when not d.IsReadOnly && not (valueType (d.GetType())).IsValueType ->
                  for key in List.ofSeq (Seq.cast<obj> d.Keys) do
                      match d[key] with
                      | :? torch.nn.Module as m ->
                          m, place $"[{key}]" (valueType (d.GetType())) (fun other -> d[key] <- other)
                      | other -> yield! within 4 other |> List.map locked
              | :? IList as list when isVector list && not list.IsReadOnly && mayHold (elementType (list.GetType())) ->
                  let element = elementType (list.GetType())

                  for i in 0 .. list.Count - 1 do
                      match list[i] with
                      | :? torch.nn.Module as m -> m, place $"[{i}]" element (fun other -> list[i] <- other)
                      | :? ITuple as pair when isNamed element && pair.Length = 2 ->
                          match pair[1] with
                          | :? torch.nn.Module as m ->
                              m,
                              place $"[{i}]" (element.GetGenericArguments()[1]) (fun other ->
                                  list[i] <- Activator.CreateInstance(element, pair[0], other))
                          | other -> yield! within 4 other |> List.map locked
                      | other -> yield! within 4 other |> List.map locked
              | other -> yield! within 4 other |> List.map locked ]

    let private registeredIn (holderName: string) (holder: torch.nn.Module) : (torch.nn.Module * ModulePlace) list =
        let children =
            match registry with
            | null -> null
            | registry -> registry.GetValue holder

        match children with
        | :? TorchSharp.Utils.OrderedDict<string, torch.nn.Module> as children ->
            [ for key in List.ofSeq children.Keys do
                  children[key],
                  { Where = $"'{holderName}', child '{key}'"
                    Type = typeof<torch.nn.Module>
                    Put = fun other -> children[key] <- other } ]
        | _ -> []

    /// <summary>Fields of a module that hold modules, in whatever they hold them; read, and never written to.</summary>
    let fieldsWithModules (holder: torch.nn.Module) : struct (FieldInfo * torch.nn.Module list) list =
        [ for field in fields holder do
              match within 4 (field.GetValue holder) with
              | [] -> ()
              | found -> struct (field, found) ]

    /// <summary>Every distinct module of a model, the model first, with the dotted names.</summary>
    let all (model: torch.nn.Module) : struct (string * torch.nn.Module)[] =
        Seq.append (Seq.singleton (struct ("", model))) (model.named_modules ())
        |> Seq.distinctBy (fun (struct (_, m)) -> m)
        |> Array.ofSeq

    /// <summary>The modules of a kind that a model holds, in its order, and where.</summary>
    let find (isWanted: torch.nn.Module -> bool) (model: torch.nn.Module) : HeldModule list =
        let modules = all model

        let held (placesOf: string -> torch.nn.Module -> (torch.nn.Module * ModulePlace) list) =
            let found = Dictionary<torch.nn.Module, ModulePlace list>(HashIdentity.Reference)

            for struct (name, holder) in modules do
                for m, place in placesOf name holder do
                    if isWanted m then
                        let earlier =
                            match found.TryGetValue m with
                            | true, places -> places
                            | _ -> []

                        found[m] <- earlier @ [ place ]

            fun m ->
                match found.TryGetValue m with
                | true, places -> places
                | _ -> []

        let places, registered = held placesIn, held registeredIn

        [ for struct (name, m) in modules do
              if isWanted m then
                  { Name = name
                    Module = m
                    Places = places m
                    Registered = registered m } ]

    /// <summary>Why a module cannot be replaced by one of another type; empty where it can.</summary>
    let whyNot (replacement: Type) (held: HeldModule) : string =
        if held.Name = "" then
            "it is the model itself, which nothing holds"
        else
            match held.Places |> List.tryFind (fun p -> not (p.Type.IsAssignableFrom replacement)) with
            | Some place -> $"{place.Where} can hold {place.Type.Name} only"
            | None when held.Places.IsEmpty -> "no field, list or dictionary of its parents holds it"
            | None -> ""

    /// <summary>Puts all replacements in place; if that fails, everything is put back.</summary>
    let replace (replacements: (HeldModule * torch.nn.Module) list) : unit =
        let undo = Stack<unit -> unit>()

        try
            for held, other in replacements do
                for place in held.Places @ held.Registered do
                    undo.Push(fun () -> place.Put held.Module)
                    place.Put other
        with _ ->
            for back in undo do
                back ()

            reraise ()
