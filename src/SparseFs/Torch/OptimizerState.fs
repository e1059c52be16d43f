namespace SparseFs.Torch

open System
open System.Collections.Generic
open SparseFs
open SparseFs.Kernels
open TorchSharp
open TorchSharp.Modules

/// What an optimizer remembers of a weight that it has never seen.
[<RequireQualifiedAccess>]
type internal Unseen =
    | Number of float
    /// The weight itself: an average of weights starts with the first.
    | Weight

/// <summary>The tensors that an optimizer keeps for a parameter, one number a slot.</summary>
/// <remarks>TorchSharp's optimizers keep them in public fields, found by the parameter's place among all.</remarks>
module internal OptimizerState =

    let private place (optimizer: OptimizerHelper) (p: Parameter) : int =
        let isIt (other: Parameter) =
            not (isNull other) && other.Handle = p.Handle

        match optimizer.parameters () |> Seq.tryFindIndex isIt with
        | Some place -> place
        | None ->
            let message =
                "expected a weight of the optimizer, got one that it does not hold: the layer was moved or disposed of since"

            raise (InvalidOperationException message)

    let private groupOf (optimizer: OptimizerHelper) (place: int) : OptimizerOptions =
        let dict = optimizer.state_dict ()
        let group = dict.StateIndexRef.FindIndex(fun places -> places.Contains place)
        dict.Options[group]

    /// <summary>The optimizer, if it is one whose state is known.</summary>
    /// <exception cref="T:System.ArgumentException">It is not; the message names it.</exception>
    let known (optimizer: torch.optim.Optimizer) : OptimizerHelper =
        match optimizer with
        | :? SGD
        | :? Adam
        | :? AdamW
        | :? RMSProp
        | :? Adagrad
        | :? Adadelta
        | :? Adamax
        | :? NAdam
        | :? RAdam
        | :? ASGD
        | :? Rprop -> optimizer :?> OptimizerHelper
        | null -> nullArg "optimizer"
        | other ->
            let message =
                "expected SGD, Adam, AdamW, RMSProp, Adagrad, Adadelta, Adamax, NAdam, RAdam, ASGD or Rprop, "
                + $"got {other.GetType().Name}, whose state is not known"

            raise (ArgumentException(message, "optimizer"))

    /// Whether a parameter is one of the optimizer's.
    let holds (optimizer: OptimizerHelper) (p: Parameter) : bool =
        optimizer.parameters () |> Seq.exists (fun other -> other.Handle = p.Handle)

    /// The tensors, with what each holds for an unseen weight; those that do not exist yet are left out.
    let moments (optimizer: OptimizerHelper) (p: Parameter) : struct (torch.Tensor * Unseen) list =
        let place = place optimizer p

        let zeros (tensors: torch.Tensor list) =
            [ for t in tensors -> struct (t, Unseen.Number 0.0) ]

        match optimizer.state_dict().State[place] with
        | :? SGD.State as s -> zeros [ s.momentum_buffer ]
        | :? Adam.State as s -> zeros [ s.exp_avg; s.exp_avg_sq; s.max_exp_avg_sq ]
        | :? AdamW.State as s -> zeros [ s.exp_avg; s.exp_avg_sq; s.max_exp_avg_sq ]
        | :? RMSProp.State as s -> zeros [ s.square_avg; s.momentum_buffer; s.grad_avg ]
        | :? Adagrad.State as s ->
            let options = groupOf optimizer place :?> Adagrad.Options
            [ struct (s.sum, Unseen.Number(options.initial_accumulator_value.GetValueOrDefault 0.0)) ]
        | :? Adadelta.State as s -> zeros [ s.square_avg; s.acc_delta ]
        | :? Adamax.State as s -> zeros [ s.exp_avg; s.exp_inf ]
        | :? NAdam.State as s -> zeros [ s.exp_avg; s.exp_avg_sq ]
        | :? RAdam.State as s -> zeros [ s.exp_avg; s.exp_avg_sq ]
        | :? ASGD.State as s -> [ struct (s.ax, Unseen.Weight) ]
        | :? Rprop.State as s ->
            // A step of 0 would never grow: it starts with the learning rate.
            let rate = (groupOf optimizer place).LearningRate.GetValueOrDefault 0.0
            zeros [ s.prev ] @ [ struct (s.step_size, Unseen.Number rate) ]
        | other ->
            raise (ArgumentException($"expected a known state, got {other.GetType().FullName}", nameof optimizer))
        |> List.filter (fun (struct (t, _)) -> not (isNull t))

/// <summary>A remap as index tensors, on one device, to be applied to many tensors.</summary>
/// <remarks>Every new slot takes from the old numbers, followed by what grown slots get.</remarks>
[<Sealed>]
type internal RemapTensors(remap: Remap, after: Connectivity, device: torch.Device) =
    let indexed (ofGrown: int -> int -> int64) =
        let from = remap.FromArray
        let index: int64[] = Array.zeroCreate from.Length
        let mutable grown = 0

        for slot in 0 .. from.Length - 1 do
            if from[slot] >= 0 then
                index[slot] <- int64 from[slot]
            else
                index[slot] <- int64 remap.Before + ofGrown slot grown
                grown <- grown + 1

        torch.tensor(index).``to`` device

    let take (values: torch.Tensor) (extra: torch.Tensor) (index: torch.Tensor) =
        torch.cat([| values; extra |], 0L).index_select(0L, index)

    let constant = lazy (indexed (fun _ _ -> 0L))
    let numbered = lazy (indexed (fun _ number -> int64 number))
    let rowOf = lazy (Connectivity.rowIndices after)
    let byRow = lazy (indexed (fun slot _ -> int64 rowOf.Value[slot]))

    let carried (values: torch.Tensor) (number: float32) =
        Team.attach ()

        let y =
            torch.empty ([| int64 remap.After |], dtype = torch.ScalarType.Float32, device = torch.CPU)

        Dispatch.carry
            (Dispatch.machineFor (torch.get_num_threads ()) remap.After 1)
            remap.FromArray
            (TensorView.floats "values" values)
            number
            (TensorView.floats "y" y)

        GC.KeepAlive values
        y

    /// Grown slots get one number.
    member _.Constant(values: torch.Tensor, number: float) =
        if
            values.dtype = torch.ScalarType.Float32
            && values.device_type = DeviceType.CPU
            && values.is_contiguous ()
            && remap.Before > 0
        then
            carried values (float32 number)
        else
            let extra =
                torch.full ([| 1L |], number.ToScalar(), dtype = values.dtype, device = values.device)

            take values extra constant.Value

    /// Each grown slot gets its own number.
    member _.Numbers(values: torch.Tensor, grown: float32[]) =
        let extra = torch.tensor(grown).``to``(values.dtype, values.device)
        take values extra numbered.Value

    /// Grown slots get the mean over the row's slots that stay, or a number where none stays.
    member _.RowMeans(values: torch.Tensor, otherwise: float) =
        let kept =
            [| for slot in 0 .. remap.After - 1 do
                   if remap.FromArray[slot] >= 0 then
                       slot |]

        let tensorOf (numbers: int[]) =
            torch.tensor(Array.map int64 numbers).``to`` device

        let rows = tensorOf (kept |> Array.map (fun slot -> rowOf.Value[slot]))

        let ofKept =
            values.index_select (0L, tensorOf (kept |> Array.map (fun slot -> remap.FromArray[slot])))

        let zeros () =
            torch.zeros ([| int64 after.Rows |], dtype = values.dtype, device = values.device)

        let sums = zeros().index_add(0L, rows, ofKept, 1.0f.ToScalar())
        let counts = zeros().index_add(0L, rows, torch.ones_like ofKept, 1.0f.ToScalar())
        let means = sums / counts.clamp_min (1.0f.ToScalar())
        let fill = torch.full_like (means, otherwise.ToScalar())
        take values (torch.where (counts.gt (0.0f.ToScalar()), means, fill)) byRow.Value

/// <summary>Carrying a layer's weight, its gradient and its moments over to another pattern, in place.</summary>
module internal RemapState =

    /// <summary>What the weight is to become, and each tensor beside it; nothing is changed yet. Call in a
    /// DisposeScope.</summary>
    let prepare
        (optimizer: OptimizerHelper)
        (moments: Moments)
        (p: Parameter)
        (rewired: Rewired)
        : struct (torch.Tensor * struct (torch.Tensor * torch.Tensor)[]) =
        let tensors = RemapTensors(rewired.Remap, rewired.Connectivity, p.device)
        let grown = rewired.GrownWeights

        let grownWeights (values: torch.Tensor) =
            if Array.forall (fun w -> w = 0.0f) grown then
                tensors.Constant(values, 0.0)
            else
                tensors.Numbers(values, grown)

        let others =
            [| match p.grad with
               | null -> ()
               | grad -> struct (grad, tensors.Constant(grad, 0.0))

               for struct (moment, unseen) in OptimizerState.moments optimizer p do
                   let changed =
                       match unseen, moments with
                       | Unseen.Weight, _ -> grownWeights moment
                       | Unseen.Number number, Moments.RowMean -> tensors.RowMeans(moment, number)
                       | Unseen.Number number, _ -> tensors.Constant(moment, number)

                   struct (moment, changed) |]

        struct (grownWeights p, others)

    /// <summary>Makes the changes beside the weight's. A tensor keeps its identity, also where its length changes.</summary>
    let commit (changes: struct (torch.Tensor * torch.Tensor)[]) =
        use _ = torch.no_grad ()

        for struct (target, source) in changes do
            if target.numel () = source.numel () then
                target.copy_ source |> ignore
            else
                target.set_ source |> ignore
