namespace SparseFs.Torch

#nowarn "9" // here tensors become addresses; the layers have checked every size

open System
open SparseFs.Kernels
open TorchSharp

/// <summary>Chains of products on the library's kernels: float32 on the CPU.</summary>
[<RequireQualifiedAccess>]
module internal CpuChains =

    let private empty (shape: int64[]) : torch.Tensor =
        torch.empty (shape, dtype = torch.ScalarType.Float32, device = torch.CPU)

    let private emptyOrNull (isWanted: bool) (shape: int64[]) : torch.Tensor | null =
        if isWanted then empty shape else null

    /// What a call may use: the work of all products together.
    let private policyOf (policies: CpuPolicies) (call: ChainCall) (n: int) : ExecutionPolicy =
        let slots = call.Plans |> Array.sumBy (fun plan -> int64 plan.Connectivity.Nnz)
        policies.Products (int (min slots (int64 Int32.MaxValue))) n

    let private chainOf (call: ChainCall) (t: ChainTensors) : Chain =
        { Norm =
            call.Norm
            |> ValueOption.map (fun epsilon ->
                { Epsilon = float32 epsilon
                  Scale = TensorView.floatsOrNull "weight" t.Scale
                  Shift = TensorView.floatsOrNull "bias" t.Shift })
          Products =
            Array.map2
                (fun plan (numbers: ChainNumbers) ->
                    { Plan = plan
                      Values = TensorView.floats "values" numbers.Values
                      Bias = TensorView.floatsOrNull "bias" numbers.Bias })
                call.Plans
                t.Products
          Activations = call.Activations }

    let private contiguous (t: ChainTensors) : ChainTensors =
        { Input = TensorView.contiguous t.Input
          Residual = TensorView.contiguousOrNull t.Residual
          Scale = TensorView.contiguousOrNull t.Scale
          Shift = TensorView.contiguousOrNull t.Shift
          Products =
            t.Products
            |> Array.map (fun numbers ->
                { Values = TensorView.contiguous numbers.Values
                  Bias = TensorView.contiguousOrNull numbers.Bias }) }

    let private forward
        (policies: CpuPolicies)
        (call: ChainCall)
        (t: ChainTensors)
        (wantsTape: bool)
        : struct (torch.Tensor * (torch.Tensor | null)) =
        let t = contiguous t
        let n = int t.Input.shape[0]
        let policy = policyOf policies call n
        let chain = chainOf call t
        let tiling = ChainTiling.ofBatch policy.Width chain n
        let y = empty [| int64 n; int64 chain.Outputs |]
        let tape = emptyOrNull wantsTape [| max 1L (ChainTiling.tapeFloats tiling chain) |]
        let x, ofY = TensorView.floats "x" t.Input, TensorView.floats "y" y

        let residual =
            if call.AddsInput then
                x
            else
                TensorView.floatsOrNull "residual" t.Residual

        let ofTape = TensorView.floatsOrNull "tape" tape
        ExecutionPolicy.call policy (fun granted -> ChainForward.run granted tiling chain x residual ofY ofTape)
        GC.KeepAlive t
        struct (y, tape)

    let private backward
        (policies: CpuPolicies)
        (call: ChainCall)
        (t: ChainTensors)
        (tape: torch.Tensor)
        (dy: torch.Tensor)
        (wants: ChainWants)
        : ChainResults =
        let t, dy = contiguous t, TensorView.contiguous dy
        let n = int t.Input.shape[0]
        let policy = policyOf policies call n
        let chain = chainOf call t
        let tiling = ChainTiling.ofBatch policy.Width chain n
        let ofInputs = [| int64 chain.Inputs |]

        let results =
            { Input = emptyOrNull wants.Input t.Input.shape
              Scale = emptyOrNull wants.Scale ofInputs
              Shift = emptyOrNull wants.Shift ofInputs
              Products =
                Array.map2
                    (fun (plan: SpmmPlan) (wants: ChainProductWants) ->
                        let c = plan.Connectivity

                        { Values = emptyOrNull wants.Values [| int64 c.Nnz |]
                          Bias = emptyOrNull wants.Bias [| int64 c.Rows |]
                          Upstream = emptyOrNull wants.Pass [| int64 n; int64 c.Rows |]
                          Taken = emptyOrNull wants.Pass [| int64 n; int64 c.Cols |] })
                    call.Plans
                    wants.Products }

        let wanted: ChainGradients =
            { Input = TensorView.floatsOrNull "dx" results.Input
              IsResidual = call.AddsInput
              Scale = TensorView.floatsOrNull "dWeight" results.Scale
              Shift = TensorView.floatsOrNull "dBias" results.Shift
              Products =
                results.Products
                |> Array.map (fun p ->
                    { Values = TensorView.floatsOrNull "dValues" p.Values
                      Bias = TensorView.floatsOrNull "dBias" p.Bias
                      Upstream = TensorView.floatsOrNull "upstream" p.Upstream
                      Inputs = TensorView.floatsOrNull "inputs" p.Taken }) }

        let x, ofTape, ofDy =
            TensorView.floats "x" t.Input, TensorView.floats "tape" tape, TensorView.floats "dy" dy

        ExecutionPolicy.call policy (fun granted -> ChainBackward.run granted tiling chain x ofTape ofDy wanted)
        GC.KeepAlive(struct (t, tape, dy))
        results

    let private suits (policies: CpuPolicies) (call: ChainCall) (n: int) : bool =
        let policy = policyOf policies call n

        let widest =
            call.Plans
            |> Array.fold (fun most plan -> max most (max plan.Connectivity.Rows plan.Connectivity.Cols)) 0

        n > 0 && (BatchTiling.ofBatch policy.Width n widest).Tiles >= policy.Threads

    /// <summary>On so many threads as the work keeps busy.</summary>
    let backend (policies: CpuPolicies) : ChainBackend =
        { Suits = suits policies
          Forward = forward policies
          Backward = backward policies }
