namespace SparseFs.Torch

open System
open System.Collections.Generic
open System.Reflection
open TorchSharp

/// <summary>Modules that a model holds in its fields and has not registered: TorchSharp does not know them, so that they are
/// neither trained, saved nor found.</summary>
/// <remarks>Fields are read where an error is about to be raised, and nowhere else.</remarks>
module internal Registration =

    /// A field's name as its class has it: F# and C# keep automatic properties in fields X@ and &lt;X&gt;k__BackingField.
    let private nameOf (field: FieldInfo) : string =
        let name = field.Name

        match name.IndexOf '@', name.IndexOf '>' with
        | at, _ when at > 0 -> name.Substring(0, at)
        | _, at when at > 1 && name[0] = '<' -> name.Substring(1, at - 1)
        | _ -> name

    /// What people call a class, without the number of its type arguments.
    let typeName (m: torch.nn.Module) : string = (m.GetType().Name.Split '`')[0]

    /// Whether a module is wanted, or holds one that is, at whatever depth.
    let private holds (isWanted: torch.nn.Module -> bool) (m: torch.nn.Module) : bool =
        let seen = HashSet<torch.nn.Module>(HashIdentity.Reference)

        let rec search (m: torch.nn.Module) : bool =
            seen.Add m
            && (isWanted m
                || (ModuleTree.fieldsWithModules m
                    |> List.exists (fun (struct (_, found)) -> List.exists search found)))

        search m

    let private listed (items: string list) : string =
        match items with
        | [] -> ""
        | [ one ] -> one
        | _ ->
            let last = List.last items
            String.Join(", ", items |> List.take (items.Length - 1)) + $" and {last}"

    /// A module that a field of its own holds, and by which name.
    type private Forgotten =
        {
            Field: string
            Module: torch.nn.Module
            /// Whether the field holds the module itself, and not a list or the like with it.
            IsDirect: bool
            /// The module that is registered in its place, or null.
            Registered: torch.nn.Module | null
        }

    let private forgottenBy (isWanted: torch.nn.Module -> bool) (holder: torch.nn.Module) : Forgotten list =
        let children = Dictionary<string, torch.nn.Module>()

        for struct (name, child) in holder.named_children () do
            children[name] <- child

        let known = HashSet<torch.nn.Module>(children.Values, HashIdentity.Reference)

        let registeredAs (name: string) : torch.nn.Module | null =
            match children.TryGetValue name with
            | true, child -> child
            | _ -> null

        [ for struct (field, found) in ModuleTree.fieldsWithModules holder do
              for m in found do
                  if not (known.Contains m) && holds isWanted m then
                      { Field = nameOf field
                        Module = m
                        IsDirect = typeof<torch.nn.Module>.IsAssignableFrom field.FieldType
                        Registered = registeredAs field.Name } ]

    /// Fields that hold modules themselves, by the modules' types.
    let private ofFields (holder: string) (found: Forgotten list) : string list =
        match found with
        | [] -> []
        | _ ->
            let kinds =
                [ for kind, fields in found |> List.groupBy (fun f -> typeName f.Module) do
                      let names = String.Join(", ", fields |> List.map _.Field)
                      $"{kind} ({names})" ]

            let fields =
                if found.Length = 1 then
                    "a field of type"
                else
                    "fields of type"

            let none =
                if found.Length = 1 then
                    "does not register it"
                else
                    "registers none"

            [ $"{holder} has {fields} {listed kinds} but {none}: call RegisterComponents() at the end of its constructor" ]

    /// Fields whose modules are not those that were registered under their names.
    let private ofChanged (holder: string) (found: Forgotten list) : string list =
        [ for f in found do
              match f.Registered with
              | null -> ()
              | earlier ->
                  $"the field {f.Field} of {holder} was given a {typeName f.Module} after RegisterComponents(), which knows "
                  + $"the {typeName earlier} that it held before: give fields their layers before it, or let "
                  + "Sparsify.model (C#: model.Sparsify()) replace them, which changes both" ]

    /// Lists and the like, which RegisterComponents passes over.
    let private ofLists (holder: string) (found: Forgotten list) : string list =
        [ for field, inside in found |> List.groupBy _.Field do
              let kinds = inside |> List.map (fun f -> typeName f.Module) |> List.distinct

              $"{holder} holds {listed kinds} within its field {field}, where RegisterComponents() does not look: hold them in "
              + "a torch.nn.ModuleList, or register each with register_module" ]

    /// <summary>What a model has forgotten to register of the modules that are wanted, and what helps.</summary>
    /// <param name="isWanted">Whether a module is looked for.</param>
    /// <param name="model">Any module.</param>
    /// <returns>A sentence without its full stop; empty where nothing was forgotten.</returns>
    let advice (isWanted: torch.nn.Module -> bool) (model: torch.nn.Module) : string =
        let ofHolder (struct (name: string, holder: torch.nn.Module)) =
            let shown =
                if name = "" then
                    typeName holder
                else
                    $"{typeName holder} (at '{name}')"

            let direct, within = forgottenBy isWanted holder |> List.partition _.IsDirect
            let changed, fresh = direct |> List.partition (fun f -> not (isNull f.Registered))

            match ofFields shown fresh @ ofChanged shown changed @ ofLists shown within with
            | [] -> None
            | all -> Some(String.Join("; ", all))

        ModuleTree.all model |> Seq.tryPick ofHolder |> Option.defaultValue ""

    /// <summary>The advice, or another where nothing was forgotten.</summary>
    let adviceOr (otherwise: string) (isWanted: torch.nn.Module -> bool) (model: torch.nn.Module) : string =
        match advice isWanted model with
        | "" -> otherwise
        | advice -> advice
