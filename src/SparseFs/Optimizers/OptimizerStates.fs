namespace SparseFs.Torch

open System
open System.Collections.Generic
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// What a user's optimizer keeps for a parameter: grown slots are never young, for nothing is known of its steps.
[<Sealed>]
type internal UsersState(numbers: OptimizerField list, tensors: OptimizerTensor list) =
    inherit ParameterState(numbers, tensors)

/// <summary>An optimizer and what it keeps, checked as far as it is a user's own.</summary>
[<Sealed>]
type internal OptimizerStates(optimizer: torch.optim.Optimizer, stateful: IStatefulOptimizer) =
    static let ofNumbers = set [ "group"; "grad" ]
    static let ofOptions = set [ "LearningRate"; "InitialLearningRate" ]

    let refuse (what: string) : 'a =
        raise (InvalidOperationException $"{optimizer.GetType().Name}: {what}")

    let checkNames (reserved: Set<string>) (names: string list) : unit =
        match names |> List.countBy id |> List.tryFind (fun (_, count) -> count > 1) with
        | Some(name, _) -> refuse $"expected fields of different names, got '{name}' twice"
        | None -> ()

        match names |> List.tryFind reserved.Contains with
        | Some name -> refuse $"expected fields of other names than '{name}', which files have for something else"
        | None -> ()

    let listed (what: string) (items: IReadOnlyList<'a>) : 'a list =
        if isNull (box items) || items |> Seq.exists (fun item -> isNull (box item)) then
            refuse $"expected a list of {what}, got null"

        List.ofSeq items

    let ofUser (state: IParameterState) : ParameterState =
        if isNull (box state) then
            refuse "expected StateOf to return a state, got null"

        let numbers = listed "Numbers" state.Numbers
        let tensors = listed "Tensors" state.Tensors
        checkNames ofNumbers [ for field in numbers -> field.Name ]
        checkNames Set.empty [ for tensor in tensors -> tensor.Name ]
        UsersState(numbers, tensors)

    /// Another optimizer that an own one wraps may be one of TorchSharp's; its steps are the own one's affair all the same.
    let stateOf (p: Parameter) : ParameterState =
        match stateful with
        | :? TorchOptimizer as torchs -> torchs.StateOf p
        | own -> own.StateOf p |> ofUser

    let groups () : ParamGroup[] =
        if isNull optimizer.ParamGroups then
            refuse "expected ParamGroups, got null"

        [| for group in optimizer.ParamGroups do
               match group with
               | :? ParamGroup as group -> group
               | _ -> refuse $"expected ParamGroups of the type ParamGroup, got one of {group.GetType().Name}" |]

    let optionsOf (index: int) (options: OptimizerOptions | null) : OptimizerField list =
        let own = stateful.OptionsOf index |> listed "options"
        checkNames ofOptions [ for field in own -> field.Name ]

        [ match options with
          | null -> ()
          | options ->
              KnownFields.option "LearningRate" (fun () -> options.LearningRate) (fun x -> options.LearningRate <- x)

              KnownFields.number "InitialLearningRate" (fun () -> options.InitialLearningRate) (fun x ->
                  options.InitialLearningRate <- x)

          yield! own ]

    /// <summary>An optimizer that implements the interface, or one of TorchSharp's.</summary>
    /// <exception cref="T:System.ArgumentException">It is neither; the message names it.</exception>
    static member Of(optimizer: torch.optim.Optimizer) : OptimizerStates =
        match box optimizer with
        | null -> nullArg (nameof optimizer)
        | :? IStatefulOptimizer as own -> OptimizerStates(optimizer, own)
        | _ ->
            let known = KnownOptimizers.find optimizer
            OptimizerStates(optimizer, TorchOptimizer(optimizer :?> OptimizerHelper, known))

    member _.Optimizer: torch.optim.Optimizer = optimizer
    member _.Stateful: IStatefulOptimizer = stateful

    /// Whether how it steps is known, so that the slots of a weight can have ages: it is one of TorchSharp's, or of a class
    /// derived from one.
    member _.KnowsAges: bool = stateful :? TorchOptimizer

    /// Whether its step is TorchSharp's own, and no class's that is derived from it.
    member val IsTorchs: bool =
        match stateful with
        | :? TorchOptimizer as torchs -> torchs.IsExact
        | _ -> false

    /// Its name in files.
    member _.Kind: string =
        match stateful.Kind with
        | kind when String.IsNullOrEmpty kind -> refuse "expected a Kind, its name in files, got none"
        | kind when kind |> Seq.exists Char.IsWhiteSpace -> refuse $"expected a Kind without spaces, got '{kind}'"
        | kind -> kind

    /// Whether a parameter is one of the optimizer's.
    member _.Holds(p: Parameter) : bool =
        optimizer.parameters () |> Seq.exists (fun other -> other.Handle = p.Handle)

    /// <summary>What it keeps for one of its parameters; read from the optimizer each time.</summary>
    /// <exception cref="T:System.InvalidOperationException">It lists a parameter that it has no state of, for it was made
    /// before the model was changed, or does not hold this one.</exception>
    member _.StateOf(p: Parameter) : ParameterState = stateOf p

    /// Its groups, each with its parameters.
    member _.Groups: struct (ParamGroup * Parameter[])[] =
        [| for group in groups () -> struct (group, Array.ofSeq group.Parameters) |]

    /// Each group's options, learning rates first, in the order of files.
    member _.Options: OptimizerField list[] =
        groups () |> Array.mapi (fun index group -> optionsOf index group.Options)

    /// Each parameter, its group and what is kept for it.
    member s.Entries: struct (Parameter * int * ParameterState)[] =
        [| for index, (struct (_, parameters)) in Seq.indexed s.Groups do
               for p in parameters -> struct (p, index, stateOf p) |]

    /// What is kept from now on for a parameter that is to take another's place.
    member _.Begin(p: Parameter) : ParameterState = ofUser (stateful.StateOf p)

    /// Lets go of what is kept for a parameter.
    member _.Forget(p: Parameter) : unit = stateful.Forget p
