namespace SparseFs.Inference

open System
open System.Collections.Generic
open System.Text.Json
open SparseFs

/// <summary>A network as the JSON text of a file's metadata, of which nothing is believed.</summary>
module internal NetworkText =

    /// Numbers of a sample that arrays can hold with room for many samples.
    let private mostNumbers = 1L <<< 30

    let private refuse (file: string) (problem: CheckpointProblem) (reason: string) : 'a =
        CheckpointFault.because problem file NetworkDescription.Key reason

    let private portOf (file: string) (isOutput: bool) (element: JsonElement) : NetworkPort =
        let what = if isOutput then "an output" else "an input"

        let known =
            if isOutput then
                [ "name"; "value"; "dtype"; "shape"; "labels" ]
            else
                [ "name"; "dtype"; "shape"; "mean"; "deviation" ]

        let r = JsonReading(file, what, element, known)

        let dtype =
            let said = r.Text "dtype"

            match PortDtypes.all |> List.tryFind (fun dtype -> PortDtypes.text dtype = said) with
            | Some dtype when dtype = PortDtype.Float32 || not isOutput -> dtype
            | _ ->
                let known = if isOutput then "float32" else "float32, int32 or int64"

                refuse file CheckpointProblem.Dtype (invariant $"expected {known} of {what}, got '{said}'")

        let shape = r.List "shape"

        let expected =
            "'batch', the name of a dimension of tokens or none, and then sizes of 1 to 2^30, whose product is one too,"

        let textAt (index: int) : string =
            if index < shape.Length then
                match JsonReading.TryText shape[index] with
                | null -> ""
                | text -> text
            else
                ""

        if textAt 0 <> "batch" then
            r.Refuse("shape", expected)

        let tokens = textAt 1
        let mutable size = 1L

        let sizes =
            shape[(if tokens = "" then 1 else 2) ..]
            |> Array.map (fun item ->
                let mutable own = 0

                if
                    item.ValueKind <> JsonValueKind.Number
                    || not (item.TryGetInt32(&own))
                    || own < 1
                then
                    r.Refuse("shape", expected)

                size <- size * int64 own

                if size > mostNumbers then
                    r.Refuse("shape", expected)

                own)

        let number name otherwise =
            if isOutput then
                otherwise
            else
                r.TryNumber name |> ValueOption.defaultValue otherwise

        let deviation = number "deviation" 1.0

        if deviation <= 0.0 then
            r.Refuse("deviation", "a number above 0")

        let labels = if isOutput then r.Texts "labels" else [||]

        if labels.Length > 0 && int64 labels.Length <> size then
            r.Refuse("labels", invariant $"a label for each of {size} numbers, or none,")

        { Name = r.Text "name"
          Value = if isOutput then r.Text "value" else ""
          Dtype = dtype
          Shape =
            { Sizes = sizes
              HasTokens = tokens <> "" }
          TokensName = tokens
          Mean = number "mean" 0.0
          Deviation = deviation
          Labels = labels }

    let private nodeOf (file: string) (element: JsonElement) : NetworkNode =
        let r =
            JsonReading(file, "a node", element, [ "name"; "operator"; "inputs"; "numbers"; "sizes"; "tensors" ])

        let name, operator' = r.Text "name", r.Text "operator"

        let form =
            match OperatorTable.tryFind operator' with
            | Some form -> form
            | None ->
                let all = String.Join(", ", [ for f in OperatorTable.all -> f.Operator ])
                refuse file CheckpointProblem.Mismatch (invariant $"'{name}': expected one of {all}, got '{operator'}'")

        let what = invariant $"'{name}', {operator'}"

        let checkNames (kind: string) (needed: string list) (known: string list) (names: string[]) =
            for name in needed do
                if not (Array.contains name names) then
                    refuse file CheckpointProblem.Header (invariant $"expected {kind} '{name}' of {what}, got none")

            for name in names do
                if not (List.contains name known) then
                    refuse file CheckpointProblem.Header (invariant $"expected no {kind} '{name}' of {what}")

            if (Array.distinct names).Length < names.Length then
                refuse file CheckpointProblem.Header (invariant $"a {kind} of {what} is there twice")

        let numbers =
            r.Members "numbers"
            |> Array.map (fun (struct (name, value)) ->
                let mutable number = 0.0

                if
                    value.ValueKind <> JsonValueKind.Number
                    || not (value.TryGetDouble(&number))
                    || not (Double.IsFinite number)
                then
                    refuse file CheckpointProblem.Header (invariant $"expected a finite number as '{name}' of {what}")

                struct (name, number))

        let tensors =
            r.Members "tensors"
            |> Array.map (fun (struct (role, value)) ->
                match JsonReading.TryText value with
                | null ->
                    refuse file CheckpointProblem.Header (invariant $"expected a tensor's name as '{role}' of {what}")
                | tensor -> struct (role, tensor))

        let sizes =
            r.Members "sizes"
            |> Array.map (fun (struct (name, value)) ->
                let refuse () =
                    refuse
                        file
                        CheckpointProblem.Header
                        (invariant $"expected a list of 1 to 3 whole numbers from 0 to 2^30 as '{name}' of {what}")

                let numbers =
                    if value.ValueKind = JsonValueKind.Array then
                        [| for item in value.EnumerateArray() do
                               let mutable own = 0

                               if
                                   item.ValueKind <> JsonValueKind.Number
                                   || not (item.TryGetInt32(&own))
                                   || own < 0
                                   || own > (1 <<< 30)
                               then
                                   refuse ()

                               own |]
                    else
                        refuse ()

                if numbers.Length < 1 || numbers.Length > 3 then
                    refuse ()

                struct (name, numbers))

        let namesOf (all: struct (string * 'a)[]) =
            all |> Array.map (fun (struct (name, _)) -> name)

        checkNames "number" form.Numbers (form.Numbers @ form.OptionalNumbers) (namesOf numbers)
        checkNames "list of sizes" form.Sizes form.Sizes (namesOf sizes)
        checkNames "tensor" form.Tensors (form.Tensors @ form.OptionalTensors) (namesOf tensors)

        let inputs = r.Texts "inputs"

        if not (List.contains inputs.Length form.Inputs) then
            let known = String.Join(" or ", form.Inputs)
            refuse file CheckpointProblem.Header (invariant $"expected {known} inputs of {what}, got {inputs.Length}")

        { Name = name
          Operator = operator'
          Inputs = inputs
          Numbers = numbers
          Sizes = sizes
          Tensors = tensors }

    /// Names are given once, and asked for after that.
    let private checkNames (file: string) (network: NetworkDescription) =
        let known = HashSet<string>()

        let add (name: string) =
            if not (known.Add name) then
                refuse file CheckpointProblem.Header (invariant $"the name '{name}' is given twice")

        for p in network.Inputs do
            add p.Name

        for node in network.Nodes do
            for input in node.Inputs do
                if not (known.Contains input) then
                    refuse
                        file
                        CheckpointProblem.Header
                        (invariant $"'{node.Name}' takes '{input}', which is no input and no node before it")

            add node.Name

        let outputs = HashSet<string>()

        for p in network.Outputs do
            if not (outputs.Add p.Name) then
                refuse file CheckpointProblem.Header (invariant $"the name '{p.Name}' of an output is given twice")

            if not (known.Contains p.Value) then
                refuse file CheckpointProblem.Header (invariant $"output '{p.Name}' is '{p.Value}', which is no node")

    /// <summary>The network that a text describes.</summary>
    /// <param name="file">For messages.</param>
    /// <param name="text">The metadata's.</param>
    /// <exception cref="T:SparseFs.CheckpointException">It is not as version 1 has it.</exception>
    let read (file: string) (text: string) : NetworkDescription =
        let document =
            try
                JsonDocument.Parse(text, JsonDocumentOptions(MaxDepth = 8))
            with :? JsonException as e ->
                refuse file CheckpointProblem.Header (invariant $"expected JSON: {e.Message}")

        use document = document

        let r =
            JsonReading(file, "the network", document.RootElement, [ "version"; "inputs"; "outputs"; "nodes" ])

        match r.TryNumber "version" with
        | ValueSome version when version = float NetworkDescription.Version -> ()
        | ValueSome version ->
            refuse
                file
                CheckpointProblem.Mismatch
                (invariant
                    $"expected version {NetworkDescription.Version}, got {version}: a later SparseFs.Inference may read it")
        | ValueNone -> r.Refuse("version", "a number")

        let network =
            { Inputs = r.List "inputs" |> Array.map (portOf file false)
              Outputs = r.List "outputs" |> Array.map (portOf file true)
              Nodes = r.List "nodes" |> Array.map (nodeOf file) }

        if network.Inputs.Length = 0 || network.Outputs.Length = 0 then
            let got = invariant $"got {network.Inputs.Length} and {network.Outputs.Length}"
            refuse file CheckpointProblem.Mismatch (invariant $"expected inputs and outputs, {got}")

        checkNames file network
        network
