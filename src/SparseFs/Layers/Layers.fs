namespace SparseFs

open System
open System.Text.RegularExpressions
open TorchSharp

/// <summary>One condition on a layer.</summary>
[<RequireQualifiedAccess; NoComparison; NoEquality>]
type internal LayerCondition =
    /// The name matches one of the patterns.
    | Named of patterns: string[]
    /// The name matches none of the patterns.
    | Except of patterns: string[]
    | Where of predicate: Func<string, torch.nn.Module, bool>

/// <summary>Choice of a model's layers, by their dotted names or by a predicate.</summary>
/// <remarks>What <c>Rewirer</c> and <c>Sparsify.only</c> take: layers that are not chosen stay as they are. A name is that of
/// <c>named_modules</c>; of a layer that is held twice it is the first. In a pattern <c>*</c> stands for any characters, dots
/// too, and <c>?</c> for one; the whole name has to match, upper and lower case apart. A pattern that matches no layer is
/// refused where the choice meets the model. A choice is a part of the program, as a rule of one's own is: checkpoints hold
/// the names of the layers that were chosen, not the choice.</remarks>
[<Sealed>]
type Layers private (conditions: LayerCondition list) =

    static let checkPatterns (patterns: string[]) : string[] =
        if isNull (box patterns) then
            nullArg (nameof patterns)

        if patterns.Length = 0 || Array.exists (isNull << box) patterns then
            raise (ArgumentException("expected one name or more, none of them null", nameof patterns))

        Array.copy patterns

    static let matches (pattern: string) (name: string) : bool =
        let expression = Regex.Escape(pattern).Replace(@"\*", ".*").Replace(@"\?", ".")
        Regex.IsMatch(name, $@"\A(?:{expression})\z", RegexOptions.CultureInvariant ||| RegexOptions.Singleline)

    static let isAny (patterns: string[]) (name: string) : bool =
        patterns |> Array.exists (fun pattern -> matches pattern name)

    static let quoted (names: seq<string>) : string =
        names |> Seq.map (fun name -> $"'{name}'") |> String.concat ", "

    /// <summary>All layers of a model, which is the choice where none is given.</summary>
    static member All: Layers = Layers []

    /// <summary>Layers of these names.</summary>
    /// <param name="patterns">Names, or patterns with <c>*</c> and <c>?</c>; a layer is chosen if one of them matches.</param>
    /// <exception cref="T:System.ArgumentException">There is none, or one is null.</exception>
    /// <example><code>
    /// let policy = Policy.rigL (Schedule.cosine 0.3 100L 75_000L)
    /// use rewirer = new Rewirer(model, optimizer, policy, layers = Layers.Named "0") // or Layers.Named("encoder.*", "head")
    /// rewirer.Policies.Count // = 1
    /// </code></example>
    static member Named([<ParamArray>] patterns: string[]) : Layers =
        Layers [ LayerCondition.Named(checkPatterns patterns) ]

    /// <summary>Layers for which a predicate holds.</summary>
    /// <param name="predicate">From a layer's dotted name and the layer: a sparse layer for a Rewirer, a Linear, Conv1d,
    /// Conv2d or Conv3d for Sparsify.</param>
    /// <exception cref="T:System.ArgumentNullException">The predicate is null.</exception>
    /// <example><code>
    /// let large = Layers.Where(fun name layer -> layer.parameters () |> Seq.exists (fun p -> p.numel () >= 100_000L))
    /// (Sparsify.model (Sparsify.each 0.9 |> Sparsify.only large) dense).Replaced // = 1
    /// </code></example>
    static member Where(predicate: Func<string, torch.nn.Module, bool>) : Layers =
        ArgumentNullException.ThrowIfNull(predicate, nameof predicate)
        Layers [ LayerCondition.Where predicate ]

    /// <summary>These layers without those of some names.</summary>
    /// <param name="patterns">As those of <c>Named</c>.</param>
    /// <exception cref="T:System.ArgumentException">There is none, or one is null.</exception>
    /// <example><code>
    /// let rule = Sparsify.each 0.9 |> Sparsify.only (Layers.All.Except "2")
    /// (Sparsify.model rule dense).Replaced // = 1
    /// </code></example>
    member _.Except([<ParamArray>] patterns: string[]) : Layers =
        Layers(conditions @ [ LayerCondition.Except(checkPatterns patterns) ])

    /// <summary>Layers that both choices have.</summary>
    /// <param name="other">The other choice.</param>
    /// <exception cref="T:System.ArgumentNullException">The other choice is null.</exception>
    /// <example><code>
    /// string (Layers.Named("encoder.*").And(Layers.All.Except "*.head")) // = "layers named 'encoder.*', except '*.head'"
    /// </code></example>
    member _.And(other: Layers) : Layers =
        ArgumentNullException.ThrowIfNull(other, nameof other)
        Layers(conditions @ other.Conditions)

    member private _.Conditions: LayerCondition list = conditions

    /// <summary>Which of a model's layers are chosen.</summary>
    /// <param name="kind">What errors call them: "sparse layers".</param>
    /// <param name="found">All layers of the kind that the model has, with their names.</param>
    /// <exception cref="T:System.ArgumentException">A pattern matches none of them, or none is chosen though there are
    /// some.</exception>
    member internal this.Choose(kind: string, found: struct (string * torch.nn.Module)[]) : bool[] =
        let names = found |> Array.map (fun (struct (name, _)) -> name)

        let refuse (expected: string) (got: string) =
            let there =
                if names.Length = 0 then
                    $"the model has no {kind}"
                else
                    $"the model's {kind} are {quoted names}"

            raise (ArgumentException($"expected {expected}, got {got}: {there}", "layers"))

        let strangers (patterns: string[]) =
            patterns
            |> Array.filter (fun pattern -> not (names |> Array.exists (matches pattern)))

        for condition in conditions do
            match condition with
            | LayerCondition.Named patterns
            | LayerCondition.Except patterns ->
                match strangers patterns with
                | [||] -> ()
                | unknown -> refuse $"names of {kind}, or patterns that match one" (quoted unknown)
            | LayerCondition.Where _ -> ()

        let isChosen (name: string) (layer: torch.nn.Module) =
            conditions
            |> List.forall (fun condition ->
                match condition with
                | LayerCondition.Named patterns -> isAny patterns name
                | LayerCondition.Except patterns -> not (isAny patterns name)
                | LayerCondition.Where predicate -> predicate.Invoke(name, layer))

        let chosen = found |> Array.map (fun (struct (name, layer)) -> isChosen name layer)

        if not conditions.IsEmpty && not (Array.contains true chosen) then
            refuse $"a choice of one or more of the {kind}" $"none by {this}"

        chosen

    override _.ToString() : string =
        let text (condition: LayerCondition) =
            match condition with
            | LayerCondition.Named patterns -> $"named {quoted patterns}"
            | LayerCondition.Except patterns -> $"except {quoted patterns}"
            | LayerCondition.Where _ -> "where a predicate holds"

        match conditions with
        | [] -> "all layers"
        | _ -> "layers " + (conditions |> List.map text |> String.concat ", ")
