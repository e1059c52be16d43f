namespace SparseFs.Inference

open System
open System.Collections.Generic
open SparseFs
open SparseFs.Kernels

/// <summary>A network under compilation: values, buffers, steps, and what operators ask of their nodes.</summary>
/// <remarks>Buffers are used again once nobody asks for what they hold; what works number by number works in place.</remarks>
[<Sealed>]
type internal Lowering(file: ModelFile, network: NetworkDescription, kernels: CpuKernels) =

    let values = Dictionary<string, Value>()
    /// How often a value is still asked for.
    let uses = Dictionary<string, int>()
    let steps, layers = List<Step>(), List<CompiledLayer>()
    let buffers, states = List<RoomSize>(), List<RoomSize>()
    // Of samples, and of tokens.
    let free = [| Stack<int>(); Stack<int>() |]
    // Patterns by the tensors that they come from, or by their sizes where they are full: a small file that asks for one a thousand times
    // takes no more memory than the file.
    let plans = Dictionary<string, SpmmPlan>()
    // Values of which few numbers are not 0.
    let sparse = HashSet<string>()
    // Products by the names of their values.
    let products = Dictionary<string, Product>()
    let mutable mostTokens = 0
    let mutable whyNoSession = ""

    let refuse (node: NetworkNode) (reason: string) : 'a =
        file.Refuse(
            CheckpointProblem.Mismatch,
            NetworkDescription.Key,
            invariant $"'{node.Name}', {node.Operator}: {reason}"
        )

    let known (key: string) (pattern: unit -> Connectivity) : SpmmPlan =
        match plans.TryGetValue key with
        | true, plan -> plan
        | _ ->
            let plan = SpmmPlan(pattern ())
            plans.Add(key, plan)
            plan

    do
        let use' (name: string) =
            uses[name] <-
                match uses.TryGetValue name with
                | true, count -> count + 1
                | _ -> 1

        for node in network.Nodes do
            Array.iter use' node.Inputs

        for output in network.Outputs do
            use' output.Value

    member _.Network: NetworkDescription = network
    member _.File: ModelFile = file
    member _.Threads: int = kernels.Threads
    member _.Values: Dictionary<string, Value> = values
    member _.Products: Dictionary<string, Product> = products
    member _.IsSparse(value: string) : bool = sparse.Contains value
    member _.SetSparse(node: NetworkNode) : unit = sparse.Add node.Name |> ignore
    member _.IsAsked(name: string) : bool = uses.ContainsKey name
    member _.Refuse(node: NetworkNode, reason: string) : 'a = refuse node reason
    member _.Add(step: Step) : unit = steps.Add step

    /// The network can see no more tokens than that.
    member _.Limit(tokens: int) : unit =
        mostTokens <- if mostTokens = 0 then tokens else min mostTokens tokens

    /// The network cannot go on from token to token.
    member _.NoSession(node: NetworkNode, reason: string) : unit =
        if whyNoSession = "" then
            whyNoSession <- invariant $"'{node.Name}', {node.Operator}, {reason}"

    member _.Acquire(numbers: int64, hasTokens: bool) : int =
        match free[(if hasTokens then 1 else 0)].TryPop() with
        | true, buffer ->
            buffers[buffer] <-
                { buffers[buffer] with
                    Numbers = max buffers[buffer].Numbers numbers }

            buffer
        | _ ->
            buffers.Add
                { Numbers = numbers
                  HasTokens = hasTokens }

            buffers.Count - 1

    member _.Release(buffer: int) : unit =
        free[(if buffers[buffer].HasTokens then 1 else 0)].Push buffer

    /// Numbers that go from one token to the next; those of each token in sessions alone.
    member _.State(numbers: int64, hasTokens: bool) : int =
        states.Add
            { Numbers = numbers
              HasTokens = hasTokens }

        states.Count - 1

    /// An input of a node, for the last time or not: a buffer that nobody asks for later may be used again.
    member _.Take(node: NetworkNode, index: int) : struct (Value * bool) =
        let name = node.Inputs[index]
        let value = values[name]

        if value.IsTokens && node.Operator <> "embedding" then
            refuse
                node
                (invariant $"expected numbers of float32, got the tokens of '{name}', which only an embedding takes")

        uses[name] <- uses[name] - 1
        struct (value, uses[name] = 0)

    /// An input whose buffer is free once this node is done.
    member l.Input(node: NetworkNode, index: int) : struct (Value * (unit -> unit)) =
        let struct (value, isLast) = l.Take(node, index)

        struct (value,
                fun () ->
                    if isLast then
                        l.Release value.Buffer)

    /// An input that is changed in place: a copy, if it is asked for later.
    member l.InPlace(node: NetworkNode, index: int) : Value =
        let struct (value, isLast) = l.Take(node, index)

        if isLast then
            value
        else
            let own = l.Acquire(value.Shape.Numbers, value.Shape.HasTokens)
            steps.Add(CopyStep(value.Buffer, own, value.Numbers))
            { value with Buffer = own }

    /// What a node gives.
    member l.Give(node: NetworkNode, shape: ValueShape, buffer: int) : unit =
        values[node.Name] <-
            { Shape = shape
              Buffer = buffer
              IsTokens = false }

    /// A buffer for what a node gives.
    member l.Room(node: NetworkNode, shape: ValueShape) : int =
        if shape.Numbers > (1L <<< 30) then
            refuse node "expected at most 2^30 numbers of a sample"

        let buffer = l.Acquire(shape.Numbers, shape.HasTokens)
        l.Give(node, shape, buffer)
        buffer

    /// A whole number of a node between bounds.
    member _.Whole(node: NetworkNode, name: string, least: int, most: int) : int =
        let number = node.TryNumber name |> ValueOption.defaultValue 0.0

        if number <> Math.Floor number || number < float least || number > float most then
            refuse node (invariant $"expected a whole number from {least} to {most} as '{name}', got {number}")

        int number

    member l.Size(node: NetworkNode, name: string) : int = l.Whole(node, name, 1, 1 <<< 30)

    /// 0 or 1.
    member l.Flag(node: NetworkNode, name: string) : bool = l.Whole(node, name, 0, 1) = 1

    /// 0 or more.
    member _.Epsilon(node: NetworkNode) : float =
        let epsilon = node.TryNumber "epsilon" |> ValueOption.defaultValue 0.0

        if not (epsilon >= 0.0) then
            refuse node (invariant $"expected an epsilon of 0 or more, got {epsilon}")

        epsilon

    /// The numbers of a tensor, or none where the node has none.
    member _.Tensor(node: NetworkNode, role: string, shape: int64[]) : float32[] =
        match node.TryTensor role with
        | ValueSome name -> file.Floats(name, shape)
        | ValueNone -> [||]

    /// The plan of a pattern in a compact form, of so many slots.
    member private _.Compact(node: NetworkNode, suffix: string, rows: int, cols: int, nnz: int) : SpmmPlan =
        let role (name: string) = node.TryTensor(name + suffix)

        let form, columns =
            match role "counts", role "deltas", role "offsets", role "bitmap" with
            | ValueSome _, ValueSome columns, ValueNone, ValueNone -> PatternForm.Deltas, columns
            | ValueSome _, ValueNone, ValueSome columns, ValueNone -> PatternForm.Offsets, columns
            | ValueNone, ValueNone, ValueNone, ValueSome columns -> PatternForm.Bitmap, columns
            | _ -> refuse node "expected one of counts and deltas, counts and offsets, or a bitmap"

        let counts = role "counts" |> ValueOption.defaultValue ""

        let group = node.TryNumber("group" + suffix) |> ValueOption.defaultValue 1.0

        if group <> Math.Floor group || group < 1.0 || group > 16.0 then
            refuse node (invariant $"expected a whole number from 1 to 16 as 'group{suffix}', got {group}")

        known (invariant $"{rows} {cols} {nnz} {group} {int form} {columns.Length} {columns}{counts}") (fun () ->
            let encoded =
                { Form = form
                  Group = int group
                  Counts = if counts = "" then [||] else file.Raw counts
                  Columns = file.Raw columns }

            match CompactPattern.decode rows cols nnz encoded with
            | Ok pattern -> pattern
            | Error e ->
                file.Refuse(CheckpointProblem.Pattern, (if e.Role = "counts" then counts else columns), e.Message))

    /// <summary>A matrix of a node, at a pattern or full.</summary>
    /// <param name="node">Whose.</param>
    /// <param name="suffix">Of its tensors' roles: weight, row_ptr and col_idx.</param>
    /// <param name="shape">Of the weight where it is full: its product is rows · cols.</param>
    /// <param name="rows">Outputs.</param>
    /// <param name="cols">Inputs.</param>
    /// <param name="bias">The role of the bias.</param>
    member l.Product(node: NetworkNode, suffix: string, shape: int64[], rows: int, cols: int, bias: string) : Product =
        let role (name: string) = node.TryTensor(name + suffix)

        let weight =
            match role "weight" with
            | ValueSome name -> name
            | ValueNone -> refuse node (invariant $"expected tensor 'weight{suffix}', got none")

        let streams =
            [ "counts"; "deltas"; "offsets"; "bitmap" ]
            |> List.filter (fun name -> (role name).IsSome)

        let plan, isFull =
            match role "row_ptr", role "col_idx", streams with
            | ValueSome pointers, ValueSome columns, [] ->
                known (invariant $"{rows} {cols} {pointers.Length} {pointers}{columns}") (fun () ->
                    let rowPtr = file.Ints(pointers, rows + 1)
                    let colIdx = file.Ints(columns, file.Length columns)

                    match Connectivity.tryCreate rows cols rowPtr colIdx with
                    | Ok pattern -> pattern
                    | Error e -> file.Refuse(CheckpointProblem.Pattern, columns, e.ToString())),
                false
            | ValueNone, ValueNone, [] when not (node.Operator.StartsWith("sparse_", StringComparison.Ordinal)) ->
                if int64 rows * int64 cols > int64 Int32.MaxValue then
                    refuse node "expected at most 2^31 − 1 weights"

                // Checked before memory is taken: the file has the weights, and so many indices are no more than it accounts for.
                file.Check(weight, shape)
                known (invariant $"{rows} {cols}") (fun () -> Connectivity.full rows cols), true
            | ValueNone, ValueNone, _ :: _ -> l.Compact(node, suffix, rows, cols, file.Length weight), false
            | _ ->
                refuse
                    node
                    (invariant
                        $"expected one pattern of the weight{suffix}: row_ptr and col_idx, counts and deltas, counts and offsets, or a bitmap")

        let shape = if isFull then shape else [| int64 plan.Connectivity.Nnz |]
        let values = file.Numbers(weight, shape, role "scale", rows)

        let stored (role: string) =
            match node.TryTensor(role + suffix) with
            | ValueSome name -> file.BytesOf name
            | ValueNone -> 0L

        layers.Add
            { Layer = node.Name + suffix
              Outputs = rows
              Inputs = cols
              Nnz = plan.Connectivity.Nnz
              StoredBytes =
                [ "weight"
                  "scale"
                  "row_ptr"
                  "col_idx"
                  "counts"
                  "deltas"
                  "offsets"
                  "bitmap" ]
                |> List.sumBy stored }

        Product(kernels, plan, values, l.Tensor(node, bias, [| int64 rows |]))

    /// What has been compiled, with the buffers of inputs and outputs.
    member _.Result(sources: int[]) : CompiledNetwork =
        { Inputs = network.Inputs
          Outputs = network.Outputs
          Steps = steps.ToArray()
          Room =
            { Buffers = buffers.ToArray()
              States = states.ToArray() }
          Sources = sources
          Results = network.Outputs |> Array.map (fun p -> values[p.Value].Buffer)
          Layers = layers.ToArray()
          MostTokens = mostTokens
          WhyNoSession = whyNoSession }
