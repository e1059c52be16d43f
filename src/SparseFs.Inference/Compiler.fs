namespace SparseFs.Inference

open System
open System.Collections.Generic
open SparseFs
open SparseFs.Kernels

/// A product's weights, for people.
[<NoComparison>]
type internal CompiledLayer =
    {
        Layer: string
        Outputs: int
        Inputs: int
        Nnz: int
        /// Of the weight and its pattern in the file.
        StoredBytes: int64
    }

/// <summary>A network whose sizes agree, as steps over buffers.</summary>
[<NoComparison; NoEquality>]
type internal CompiledNetwork =
    {
        Input: NetworkPort
        Output: NetworkPort
        Steps: Step[]
        /// Numbers of a sample in each buffer; the first one takes the inputs.
        Buffers: int64[]
        /// The buffer of the outputs.
        Result: int
        Layers: CompiledLayer[]
    }

/// <summary>From a description and its tensors to steps: sizes are checked, batch norms become weights where they follow a product, what works
/// number by number works in place, and buffers are used again.</summary>
[<Sealed>]
type internal Compiler(file: ModelFile, network: NetworkDescription, kernels: CpuKernels) =

    /// Shapes of a sample and buffers of values by name.
    let values = Dictionary<string, struct (int[] * int)>()
    /// How often a value is still asked for.
    let uses = Dictionary<string, int>()
    let steps, layers = List<Step>(), List<CompiledLayer>()
    let sizes, free = List<int64>(), Stack<int>()
    // Patterns by the tensors that they come from, or by their sizes where they are full: a small file that asks for one a thousand times
    // takes no more memory than the file.
    let plans = Dictionary<string, SpmmPlan>()
    // Products by the names of their values.
    let products = Dictionary<string, ProductStep>()

    let refuse (node: NetworkNode) (reason: string) : 'a =
        file.Refuse(
            CheckpointProblem.Mismatch,
            NetworkDescription.Key,
            invariant $"'{node.Name}', {node.Operator}: {reason}"
        )

    let use' (name: string) =
        uses[name] <-
            match uses.TryGetValue name with
            | true, count -> count + 1
            | _ -> 1

    let sizeOf (shape: int[]) =
        shape |> Array.fold (fun size n -> size * int64 n) 1L

    let acquire (size: int64) : int =
        match free.TryPop() with
        | true, buffer ->
            sizes[buffer] <- max sizes[buffer] size
            buffer
        | _ ->
            sizes.Add size
            sizes.Count - 1

    /// A value is taken once more, and its buffer is free afterwards where that was the last time.
    let takes (name: string) : struct (int[] * int * bool) =
        let struct (shape, buffer) = values[name]
        uses[name] <- uses[name] - 1
        struct (shape, buffer, uses[name] = 0)

    /// The buffer of a value that is changed in place: a copy, if the value is asked for later.
    let inPlace (node: NetworkNode) : struct (int[] * int) =
        let struct (shape, buffer, isLast) = takes node.Inputs[0]

        if isLast then
            struct (shape, buffer)
        else
            let size = sizeOf shape
            let own = acquire size

            steps.Add
                { new Step() with
                    member _.Run(w, samples) =
                        let count = int size * samples
                        Array.Copy(w.Buffer buffer, w.Buffer own, count) }

            struct (shape, own)

    /// A whole number of a node within 1 to 2^30.
    let size (node: NetworkNode) (name: string) : int =
        let number = node.TryNumber(name).Value

        if number <> Math.Floor number || number < 1.0 || number > float (1 <<< 30) then
            refuse node (invariant $"expected a size as '{name}', got {number}")

        int number

    let tensor (node: NetworkNode) (role: string) (shape: int64[]) : float32[] =
        match node.TryTensor role with
        | ValueSome name -> file.Floats(name, shape)
        | ValueNone -> [||]

    /// The plan of a pattern that several operations may have.
    let known (key: string) (pattern: unit -> Connectivity) : SpmmPlan =
        match plans.TryGetValue key with
        | true, plan -> plan
        | _ ->
            let plan = SpmmPlan(pattern ())
            plans.Add(key, plan)
            plan

    let planOf (node: NetworkNode) (rows: int) (cols: int) : SpmmPlan =
        let named (role: string) = node.TryTensor(role).Value
        let pointers, columns = named "row_ptr", named "col_idx"

        known (invariant $"{rows} {cols} {pointers.Length} {pointers}{columns}") (fun () ->
            let rowPtr = file.Ints(pointers, rows + 1)
            let colIdx = file.Ints(columns, file.Length columns)

            match Connectivity.tryCreate rows cols rowPtr colIdx with
            | Ok pattern -> pattern
            | Error e -> file.Refuse(CheckpointProblem.Pattern, columns, e.ToString()))

    let product (node: NetworkNode) (isSparse: bool) =
        let inputs, outputs = size node "in_features", size node "out_features"
        let struct (shape, buffer, isLast) = takes node.Inputs[0]

        if shape.Length = 0 || shape[shape.Length - 1] <> inputs then
            refuse node (invariant $"expected {inputs} numbers in the last dimension, got [{String.Join(',', shape)}]")

        let plan, weight =
            if isSparse then
                let plan = planOf node outputs inputs
                plan, tensor node "weight" [| int64 plan.Connectivity.Nnz |]
            elif int64 outputs * int64 inputs > int64 Int32.MaxValue then
                refuse node "expected at most 2^31 − 1 weights"
            else
                // The file has the weights: so many indices are no more memory than the file accounts for.
                let weight = tensor node "weight" [| int64 outputs; int64 inputs |]
                known (invariant $"{outputs} {inputs}") (fun () -> Connectivity.full outputs inputs), weight

        let pattern = plan.Connectivity
        let bias = tensor node "bias" [| int64 outputs |]
        let shape = Array.append shape[.. shape.Length - 2] [| outputs |]
        let rows = int (sizeOf shape / int64 outputs)

        if sizeOf shape > (1L <<< 30) then
            refuse node "expected at most 2^30 numbers of a sample"

        let into = acquire (sizeOf shape)

        if isLast then
            free.Push buffer

        let step = ProductStep(kernels, plan, buffer, into, rows, weight, bias)
        steps.Add step
        products[node.Name] <- step

        let stored (role: string) =
            match node.TryTensor role with
            | ValueSome name -> file.BytesOf name
            | ValueNone -> 0L

        layers.Add
            { Layer = node.Name
              Outputs = outputs
              Inputs = inputs
              Nnz = pattern.Nnz
              StoredBytes = stored "weight" + stored "row_ptr" + stored "col_idx" }

        values[node.Name] <- struct (shape, into)

    let batchNorm (node: NetworkNode) =
        let features = size node "features"
        let source = node.Inputs[0]
        let of' role = tensor node role [| int64 features |]
        let mean, variance = of' "running_mean", of' "running_var"
        let weight, bias = of' "weight", of' "bias"
        let epsilon = node.TryNumber("epsilon").Value

        if
            not (epsilon >= 0.0)
            || variance |> Array.exists (fun v -> not (float v + epsilon > 0.0))
        then
            refuse node "expected a variance and an epsilon whose sum is above 0"

        let factors =
            Array.init features (fun i ->
                float32 (
                    (if weight.Length = 0 then 1.0 else float weight[i])
                    / sqrt (float variance[i] + epsilon)
                ))

        let shifts =
            Array.init features (fun i -> (if bias.Length = 0 then 0.0f else bias[i]) - mean[i] * factors[i])

        // Of all, not of those that are still to come: a product that another operation has taken stays as it is.
        let takers = network.Nodes |> Array.filter (fun n -> Array.contains source n.Inputs)

        let isAlone = takers.Length = 1 && network.Outputs[0].Value <> source
        let struct (shape, buffer) = inPlace node

        if shape <> [| features |] then
            refuse node (invariant $"expected {features} numbers of a sample, got [{String.Join(',', shape)}]")

        match products.TryGetValue source with
        | true, step when isAlone -> step.Fold(factors, shifts)
        | _ -> steps.Add(RowStep(buffer, 1, features, "affine", 0.0, factors, shifts))

        values[node.Name] <- struct (shape, buffer)

    let byRows (node: NetworkNode) =
        let struct (shape, buffer) = inPlace node

        if shape.Length = 0 then
            refuse node "expected a dimension of features, got single numbers"

        let features = shape[shape.Length - 1]
        let of' role = tensor node role [| int64 features |]

        let epsilon =
            if node.Operator = "layer_norm" then
                let expected = size node "features"

                if expected <> features then
                    refuse node (invariant $"expected {expected} numbers in the last dimension, got {features}")

                node.TryNumber("epsilon").Value
            else
                0.0

        if not (epsilon >= 0.0) then
            refuse node (invariant $"expected an epsilon of 0 or more, got {epsilon}")

        let rows = int (sizeOf shape / int64 features)
        steps.Add(RowStep(buffer, rows, features, node.Operator, epsilon, of' "weight", of' "bias"))
        values[node.Name] <- struct (shape, buffer)

    let add (node: NetworkNode) =
        match node.Operator with
        | "linear" -> product node false
        | "sparse_linear" -> product node true
        | "batch_norm" -> batchNorm node
        | "layer_norm"
        | "softmax"
        | "log_softmax" -> byRows node
        | "flatten" ->
            let struct (shape, buffer) = inPlace node
            values[node.Name] <- struct ([| int (sizeOf shape) |], buffer)
        | operator' ->
            let struct (shape, buffer) = inPlace node
            let number = node.TryNumber "slope" |> ValueOption.defaultValue 0.0
            steps.Add(ElementStep(buffer, int (sizeOf shape), operator', number))
            values[node.Name] <- struct (shape, buffer)

    /// <exception cref="T:SparseFs.CheckpointException">Sizes or tensors do not fit, or a pattern is none.</exception>
    member _.Run() : CompiledNetwork =
        let input, output = network.Inputs[0], network.Outputs[0]

        for node in network.Nodes do
            for name in node.Inputs do
                use' name

        use' output.Value
        values[input.Name] <- struct (input.Shape, acquire input.Size)

        if not (uses.ContainsKey input.Name) then
            file.Refuse(CheckpointProblem.Mismatch, NetworkDescription.Key, $"nothing takes the input '{input.Name}'")

        for node in network.Nodes do
            if not (uses.ContainsKey node.Name) then
                refuse node "nothing takes its output"

            add node

        let struct (shape, result) = values[output.Value]

        if shape <> output.Shape then
            let expected = String.Join(',', output.Shape)

            file.Refuse(
                CheckpointProblem.Mismatch,
                NetworkDescription.Key,
                invariant $"output '{output.Name}': expected [{expected}], as it says, got [{String.Join(',', shape)}]"
            )

        { Input = input
          Output = output
          Steps = steps.ToArray()
          Buffers = sizes.ToArray()
          Result = result
          Layers = layers.ToArray() }
