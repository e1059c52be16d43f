namespace SparseFs.Torch

open System
open SparseFs
open SparseFs.Kernels
open TorchSharp

/// <summary>All operations on the library's kernels: float32 on the CPU.</summary>
/// <remarks>Here tensors become addresses. Tensors that are not contiguous are copied first.</remarks>
module internal CpuBackend =

    let private empty (shape: int64[]) : torch.Tensor =
        torch.empty (shape, dtype = torch.ScalarType.Float32, device = torch.CPU)

    /// A copy between a pattern and a dense matrix is as much work for threads to share as a product of so many samples.
    [<Literal>]
    let private SamplesOfCopy = 16

    /// A product of values and x [N, inputs], which becomes [N, outputs].
    let private product
        (policies: CpuPolicies)
        (multiply:
            ExecutionPolicy
                -> SpmmPlan
                -> nativeptr<float32>
                -> nativeptr<float32>
                -> nativeptr<float32>
                -> int
                -> nativeptr<float32>
                -> unit)
        (outputs: SpmmPlan -> int)
        (plan: SpmmPlan)
        (values: torch.Tensor)
        (bias: torch.Tensor | null)
        (x: torch.Tensor)
        : torch.Tensor =
        let values, bias, x =
            TensorView.contiguous values, TensorView.contiguousOrNull bias, TensorView.contiguous x

        let samples = int x.shape[0]
        let y = empty [| int64 samples; int64 (outputs plan) |]

        let ofValues, ofBias =
            TensorView.floats "values" values, TensorView.floatsOrNull "bias" bias

        let ofX, ofY = TensorView.floats "x" x, TensorView.floats "y" y

        ExecutionPolicy.call (policies.Products plan.Connectivity.Nnz samples) (fun policy ->
            multiply policy plan ofValues ofBias ofX samples ofY)

        GC.KeepAlive(struct (values, bias, x))
        y

    let private sampled
        (policies: CpuPolicies)
        (multiply:
            ExecutionPolicy -> SpmmPlan -> nativeptr<float32> -> nativeptr<float32> -> int -> nativeptr<float32> -> unit)
        (plan: SpmmPlan)
        (g: torch.Tensor)
        (x: torch.Tensor)
        : torch.Tensor =
        let g, x = TensorView.contiguous g, TensorView.contiguous x
        let samples = int x.shape[0]
        let d = empty [| int64 plan.Connectivity.Nnz |]

        let ofG, ofX, ofD =
            TensorView.floats "g" g, TensorView.floats "x" x, TensorView.floats "d" d

        ExecutionPolicy.call (policies.Products plan.Connectivity.Nnz samples) (fun policy ->
            multiply policy plan ofG ofX samples ofD)

        GC.KeepAlive(struct (g, x))
        d

    /// The gradients together, those of the values by way of their own where somebody has one.
    let private gradients
        (policies: CpuPolicies)
        (ofValues: (SpmmPlan -> torch.Tensor -> torch.Tensor -> torch.Tensor) voption)
        (plan: SpmmPlan)
        (values: torch.Tensor | null)
        (x: torch.Tensor | null)
        (g: torch.Tensor)
        (wantsBias: bool)
        : LinearGradients =
        let c = plan.Connectivity

        let values, x, g =
            TensorView.contiguousOrNull values, TensorView.contiguousOrNull x, TensorView.contiguous g

        let samples = int g.shape[0]

        let own: torch.Tensor | null =
            match ofValues, x with
            | ValueNone, _
            | _, null -> null
            | ValueSome sddmm, x -> sddmm plan g x

        let together: torch.Tensor | null =
            if isNull x || not (isNull own) then
                null
            else
                empty [| int64 c.Nnz |]

        let ofBias: torch.Tensor | null =
            if wantsBias then empty [| int64 c.Rows |] else null

        let ofInput: torch.Tensor | null =
            if isNull values then
                null
            else
                empty [| int64 samples; int64 c.Cols |]

        let numbers, upstream, inputs =
            TensorView.floatsOrNull "values" values, TensorView.floats "g" g, TensorView.floatsOrNull "x" x

        let wanted =
            { Values = TensorView.floatsOrNull "dValues" together
              Bias = TensorView.floatsOrNull "dBias" ofBias
              Input = TensorView.floatsOrNull "dX" ofInput }

        ExecutionPolicy.call (policies.Products c.Nnz samples) (fun policy ->
            CpuGradients.gradients policy plan numbers upstream inputs samples wanted)

        GC.KeepAlive(struct (values, x, g))

        { Values =
            match own with
            | null -> together
            | own -> own
          Bias = ofBias
          Input = ofInput }

    let private toDense (policies: CpuPolicies) (plan: SpmmPlan) (values: torch.Tensor) : torch.Tensor =
        let c = plan.Connectivity
        let values = TensorView.contiguous values
        let w = empty [| int64 c.Rows; int64 c.Cols |]
        let source, target = TensorView.floats "values" values, TensorView.floats "w" w

        ExecutionPolicy.call (policies.Products c.Nnz SamplesOfCopy) (fun policy ->
            CpuSlotCopies.spread policy c source target)

        GC.KeepAlive values
        w

    let private ofDense (policies: CpuPolicies) (plan: SpmmPlan) (w: torch.Tensor) : torch.Tensor =
        let c = plan.Connectivity
        let w = TensorView.contiguous w
        let d = empty [| int64 c.Nnz |]
        let source, target = TensorView.floats "w" w, TensorView.floats "d" d

        ExecutionPolicy.call (policies.Products c.Nnz SamplesOfCopy) (fun policy ->
            CpuSlotCopies.collect policy c source target)

        GC.KeepAlive w
        d

    let private growthScores
        (policies: CpuPolicies)
        (passes: Lazy<struct (torch.Tensor * torch.Tensor)>)
        (samples: int)
        (rows: int)
        (cols: int)
        : CellScores =
        let policy =
            policies.Products (int (min (int64 rows * int64 cols) (int64 Int32.MaxValue))) samples

        let byRows = PortableBackend.backend.GrowthScores passes samples rows cols

        BlockScores(
            (fun first count -> byRows.Rows(first, count)),
            policy.Threads,
            fun body ->
                use _ = torch.NewDisposeScope()
                let struct (g, x) = passes.Value
                let g, x = TensorView.contiguous g, TensorView.contiguous x
                let samples = int g.shape[0]

                CpuGrowthScores.product
                    policy
                    (TensorView.floats "g" g)
                    (TensorView.floats "x" x)
                    samples
                    rows
                    cols
                    body

                GC.KeepAlive(struct (g, x))
        )

    let private gatherSlots
        (policies: CpuPolicies)
        (slots: SlotIndices)
        (number: float)
        (values: torch.Tensor)
        : torch.Tensor =
        let remap = slots.Remap

        if remap.Before = 0 then
            PortableBackend.backend.GatherSlots slots number values // an empty tensor may have no address
        else
            let values = TensorView.contiguous values
            let y = empty [| int64 remap.After |]
            let source, target = TensorView.floats "values" values, TensorView.floats "y" y

            ExecutionPolicy.call (policies.Products remap.After 1) (fun policy ->
                CpuSlotCopies.carry policy remap.FromArray source (float32 number) target)

            GC.KeepAlive values
            y

    /// Work of a number, in multiply-adds: enough that threads share tensors of which torch would share one, too.
    [<Literal>]
    let private WorkOfDraw = 4

    let private dropout (policies: CpuPolicies) (draw: DropoutDraw) (x: torch.Tensor) : torch.Tensor =
        let x = TensorView.contiguous x
        let y = empty x.shape
        let ofX, ofY, count = TensorView.floats "x" x, TensorView.floats "y" y, x.numel ()
        let work = int (min count (int64 Int32.MaxValue))

        ExecutionPolicy.call (policies.Products work WorkOfDraw) (fun policy ->
            CpuDropout.run policy draw count ofX ofY)

        GC.KeepAlive x
        y

    /// <summary>The kernels.</summary>
    let backend (policies: CpuPolicies) : Backend =
        let spmmT machine plan values _ g samples x =
            CpuSpmm.spmmT machine plan values g samples x

        let spmmT = product policies spmmT _.Connectivity.Cols

        { Name = "kernels"
          Accepts = fun dtype device -> dtype = torch.ScalarType.Float32 && device = DeviceType.CPU
          Spmm = product policies CpuSpmm.spmm _.Connectivity.Rows
          SpmmT = fun plan values g -> spmmT plan values null g
          Sddmm = sampled policies CpuGradients.sddmm
          Gradients = gradients policies ValueNone
          Conv = CpuConvolutions.conv policies
          ConvT = CpuConvolutions.convT policies
          ConvSddmm = CpuConvolutions.sddmm policies
          ToDense = toDense policies
          OfDense = ofDense policies
          GrowthScores = growthScores policies
          GatherSlots = gatherSlots policies
          Chain = ValueSome(CpuChains.backend policies)
          Attention = ValueSome(CpuAttention.backend policies)
          Dropout = ValueSome(dropout policies)
          Recurrence = ValueSome(CpuRecurrence.recurrence policies)
          TopK = CpuWinners.topK policies
          Keep = CpuWinners.keep policies
          DutyDeficit = CpuWinners.dutyDeficit
          DutyUpdate = CpuWinners.dutyUpdate }

    /// <summary>The kernels, of which forward and the weights' gradient walk only the inputs that are not 0.</summary>
    let skippingZeros (policies: CpuPolicies) : Backend =
        let sddmm = sampled policies CpuSparseActivations.sddmm

        { backend policies with
            Name = "kernels for sparse activations"
            Chain = ValueNone
            Spmm = product policies CpuSparseActivations.spmm _.Connectivity.Rows
            Sddmm = sddmm
            Gradients = gradients policies (ValueSome sddmm) }
