namespace SparseFs.Torch

open System
open SparseFs
open TorchSharp

/// <summary>What a recurrent module is called with, checked, with a batch, and in order of lengths.</summary>
[<NoComparison; NoEquality>]
type internal RecurrentInputs =
    {
        /// [steps, batch, input_size], or [batch, steps, input_size] where the batch is first.
        Sequences: torch.Tensor
        Steps: int
        Batch: int
        /// Samples that have a step; null where all have all.
        BatchSizes: int[] | null
        /// The place of each of the caller's samples among those that are in order; null where they are as they came.
        Order: (struct (torch.Tensor * torch.Tensor)) voption
        /// Whether the caller has one sample without a batch.
        IsSingle: bool
        /// The place of samples among the dimensions.
        BatchDimension: int64
    }

[<RequireQualifiedAccess>]
module internal RecurrentInputs =

    let private refuse (layer: obj) (name: string) (message: string) =
        raise (ArgumentException($"{message}. The layer is {layer}", name))

    /// Samples that have each step, and the order of samples by their lengths; null where they are in order.
    let private sorted (steps: int) (lengths: int64[]) : struct (int[] * (int64[] | null)) =
        let order =
            [| 0 .. lengths.Length - 1 |] |> Array.sortBy (fun sample -> -lengths[sample])

        let sizes: int[] = Array.zeroCreate steps

        for length in lengths do
            for step in 0 .. int length - 1 do
                sizes[step] <- sizes[step] + 1

        let isSorted = order |> Array.forall2 (=) [| 0 .. lengths.Length - 1 |]

        if isSorted then
            struct (sizes, null)
        else
            struct (sizes, order |> Array.map int64)

    /// <summary>Of sequences and, where each has its own, their lengths.</summary>
    /// <param name="s">What the module is.</param>
    /// <param name="layer">The module, which errors ask for its text.</param>
    /// <param name="x">[steps, batch, input_size], with the batch first where the module says so, or [steps, input_size].</param>
    /// <param name="lengths">Of each sample, or null.</param>
    let make (s: RecurrentSettings) (layer: obj) (x: torch.Tensor) (lengths: int64[] | null) : RecurrentInputs =
        ArgumentNullException.ThrowIfNull(x, nameof x)

        let form =
            if s.IsBatchFirst then
                "[batch, steps, input_size]"
            else
                "[steps, batch, input_size]"

        let shape = x.shape

        if
            (shape.Length <> 2 && shape.Length <> 3)
            || shape[shape.Length - 1] <> int64 s.InputSize
        then
            refuse
                layer
                "x"
                $"expected x of shape {form} or [steps, input_size] with input_size {s.InputSize}, got {Shape.text shape}"

        let isSingle = shape.Length = 2
        let batchDimension = if s.IsBatchFirst then 0L else 1L
        let sequences = if isSingle then x.unsqueeze batchDimension else x

        let steps, batch =
            sequences.shape[int (1L - batchDimension)], sequences.shape[int batchDimension]

        if steps < 1L then
            refuse layer "x" $"expected 1 step or more, got x of shape {Shape.text shape}"

        if steps > int64 Int32.MaxValue || steps * batch > int64 Int32.MaxValue then
            refuse layer "x" $"expected at most {Int32.MaxValue} steps of samples, got x of shape {Shape.text shape}"

        let whole =
            { Sequences = sequences
              Steps = int steps
              Batch = int batch
              BatchSizes = null
              Order = ValueNone
              IsSingle = isSingle
              BatchDimension = batchDimension }

        match lengths with
        | null -> whole
        | lengths ->
            if isSingle then
                refuse layer (nameof lengths) "expected no lengths with one sample without a batch"

            if int64 lengths.Length <> batch then
                refuse layer (nameof lengths) $"expected a length for each of the {batch} samples, got {lengths.Length}"

            match lengths |> Array.tryFindIndex (fun length -> length < 1L || length > steps) with
            | Some sample ->
                refuse
                    layer
                    (nameof lengths)
                    $"expected lengths from 1 to the {steps} steps of x, got {lengths[sample]} of sample {sample}"
            | None -> ()

            let struct (sizes, order) = sorted (int steps) lengths

            match order with
            | null -> { whole with BatchSizes = sizes }
            | order ->
                let back: int64[] = Array.zeroCreate order.Length
                order |> Array.iteri (fun place sample -> back[int sample] <- int64 place)
                let order = torch.tensor (order, device = x.device)

                { whole with
                    Sequences = sequences.index_select (batchDimension, order)
                    BatchSizes = sizes
                    Order = ValueSome(struct (order, torch.tensor (back, device = x.device))) }

    /// <summary>States before the first step, as the samples are; null for zeros.</summary>
    /// <param name="i">The inputs.</param>
    /// <param name="layer">The module, which errors ask for its text.</param>
    /// <param name="name">The argument.</param>
    /// <param name="states">Layers and directions.</param>
    /// <param name="features">Of a state.</param>
    /// <param name="given">[states, batch, features], or without the batch as the inputs.</param>
    let states
        (i: RecurrentInputs)
        (layer: obj)
        (name: string)
        (states: int)
        (features: int)
        (given: torch.Tensor | null)
        : torch.Tensor | null =
        match given with
        | null -> null
        | given ->
            let expected =
                if i.IsSingle then
                    [| int64 states; int64 features |]
                else
                    [| int64 states; int64 i.Batch; int64 features |]

            if given.shape <> expected then
                let what = "a state for each layer and direction"
                refuse layer name $"expected {what}, shape {Shape.text expected}, got {Shape.text given.shape}"

            if given.dtype <> i.Sequences.dtype || given.device_type <> i.Sequences.device_type then
                refuse
                    layer
                    name
                    $"expected {i.Sequences.dtype} on {i.Sequences.device} as x, got {given.dtype} on {given.device}"

            let given = if i.IsSingle then given.unsqueeze 1L else given

            match i.Order with
            | ValueSome(struct (order, _)) -> given.index_select (1L, order)
            | ValueNone -> given

    /// The samples of a result as the caller has them.
    let back (i: RecurrentInputs) (batchDimension: int64) (result: torch.Tensor) : torch.Tensor =
        let result =
            match i.Order with
            | ValueSome(struct (_, back)) -> result.index_select (batchDimension, back)
            | ValueNone -> result

        if i.IsSingle then result.squeeze batchDimension else result
