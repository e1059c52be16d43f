namespace SparseFs.Torch

open System
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>A number or a switch of an optimizer.</summary>
[<RequireQualifiedAccess>]
type internal OptimizerNumber =
    /// It is not set.
    | None
    | Steps of int64
    | Number of float
    | Switch of bool

/// <summary>A number or a switch of an optimizer's options, or of its state of a parameter.</summary>
type internal NumberField =
    {
        /// The name that files have for it.
        Name: string
        Value: unit -> OptimizerNumber
        /// What a file's text says that it is, and what sets it to that.
        Stage: FieldReader -> struct (OptimizerNumber * (unit -> unit))
    }

/// <summary>When an optimizer's state has a moment.</summary>
[<RequireQualifiedAccess>]
type internal MomentUse =
    | Always
    /// From the first step on that needs it.
    | Later
    /// Where the options ask for AMSGrad.
    | WithAmsgrad

/// <summary>A tensor that an optimizer keeps for a parameter, one number a weight.</summary>
type internal MomentField =
    {
        /// The name that files have for it.
        Name: string
        Use: MomentUse
        /// Null where it does not exist.
        Value: unit -> torch.Tensor
        Set: torch.Tensor -> unit
    }

/// <summary>What an optimizer keeps for a parameter.</summary>
type internal StateFields =
    { Numbers: NumberField list
      Moments: MomentField list }

/// <summary>The optimizers that are known, and their options and state, by the names that files have for them, in the order
/// of files.</summary>
/// <remarks>
/// The names are those that TorchSharp 0.107 has for its fields, and stay what they are if TorchSharp's change: the file's
/// name stands in quotes beside the field. A field that goes away does not compile any more; one that comes is found by
/// OptimizerFieldsTests.
/// </remarks>
[<RequireQualifiedAccess>]
module internal OptimizerFields =

    /// Leaves room for the next steps.
    let private steps (name: string) (get: unit -> int64) (set: int64 -> unit) : NumberField =
        { Name = name
          Value = fun () -> OptimizerNumber.Steps(get ())
          Stage =
            fun reader ->
                let value = reader.Integer(name, 0L, Int64.MaxValue / 2L)
                struct (OptimizerNumber.Steps value, (fun () -> set value)) }

    let private number (name: string) (get: unit -> float) (set: float -> unit) : NumberField =
        { Name = name
          Value = fun () -> OptimizerNumber.Number(get ())
          Stage =
            fun reader ->
                let value = reader.Float name
                struct (OptimizerNumber.Number value, (fun () -> set value)) }

    /// What is not set in the optimizer may be not set in the file.
    let private nullable
        (name: string)
        (get: unit -> Nullable<'a>)
        (set: Nullable<'a> -> unit)
        (ofValue: 'a -> OptimizerNumber)
        (read: FieldReader -> 'a)
        : NumberField =
        { Name = name
          Value =
            fun () ->
                match get () with
                | value when value.HasValue -> ofValue value.Value
                | _ -> OptimizerNumber.None
          Stage =
            fun reader ->
                if not (get ()).HasValue && reader.Text name = "none" then
                    struct (OptimizerNumber.None, (fun () -> set (Nullable())))
                else
                    let value = read reader
                    struct (ofValue value, (fun () -> set (Nullable value))) }

    let private option (name: string) (get: unit -> Nullable<float>) (set: Nullable<float> -> unit) : NumberField =
        nullable name get set OptimizerNumber.Number _.Float(name)

    let private switch (name: string) (get: unit -> Nullable<bool>) (set: Nullable<bool> -> unit) : NumberField =
        nullable name get set OptimizerNumber.Switch _.Bool(name)

    let private moment (name: string) (get: unit -> torch.Tensor) (set: torch.Tensor -> unit) : MomentField =
        { Name = name
          Use = MomentUse.Always
          Value = get
          Set = set }

    let private used (how: MomentUse) (field: MomentField) : MomentField = { field with Use = how }

    let private sgdState (s: SGD.State) : StateFields =
        { Numbers = []
          Moments =
            [ moment "momentum_buffer" (fun () -> s.momentum_buffer) (fun x -> s.momentum_buffer <- x)
              |> used MomentUse.Later ] }

    let private sgdOptions (o: SGD.Options) : NumberField list =
        [ option "momentum" (fun () -> o.momentum) (fun x -> o.momentum <- x)
          option "dampening" (fun () -> o.dampening) (fun x -> o.dampening <- x)
          option "weight_decay" (fun () -> o.weight_decay) (fun x -> o.weight_decay <- x)
          switch "nesterov" (fun () -> o.nesterov) (fun x -> o.nesterov <- x)
          switch "maximize" (fun () -> o.maximize) (fun x -> o.maximize <- x) ]

    let private adamState (s: Adam.State) : StateFields =
        { Numbers = [ steps "step" (fun () -> s.step) (fun x -> s.step <- x) ]
          Moments =
            [ moment "exp_avg" (fun () -> s.exp_avg) (fun x -> s.exp_avg <- x)
              moment "exp_avg_sq" (fun () -> s.exp_avg_sq) (fun x -> s.exp_avg_sq <- x)
              moment "max_exp_avg_sq" (fun () -> s.max_exp_avg_sq) (fun x -> s.max_exp_avg_sq <- x)
              |> used MomentUse.WithAmsgrad ] }

    let private adamOptions (o: Adam.Options) : NumberField list =
        [ option "beta1" (fun () -> o.beta1) (fun x -> o.beta1 <- x)
          option "beta2" (fun () -> o.beta2) (fun x -> o.beta2 <- x)
          option "weight_decay" (fun () -> o.weight_decay) (fun x -> o.weight_decay <- x)
          option "eps" (fun () -> o.eps) (fun x -> o.eps <- x)
          switch "amsgrad" (fun () -> o.amsgrad) (fun x -> o.amsgrad <- x)
          switch "maximize" (fun () -> o.maximize) (fun x -> o.maximize <- x) ]

    let private adamWState (s: AdamW.State) : StateFields =
        { Numbers = [ steps "step" (fun () -> s.step) (fun x -> s.step <- x) ]
          Moments =
            [ moment "exp_avg" (fun () -> s.exp_avg) (fun x -> s.exp_avg <- x)
              moment "exp_avg_sq" (fun () -> s.exp_avg_sq) (fun x -> s.exp_avg_sq <- x)
              moment "max_exp_avg_sq" (fun () -> s.max_exp_avg_sq) (fun x -> s.max_exp_avg_sq <- x)
              |> used MomentUse.WithAmsgrad ] }

    let private adamWOptions (o: AdamW.Options) : NumberField list =
        [ option "beta1" (fun () -> o.beta1) (fun x -> o.beta1 <- x)
          option "beta2" (fun () -> o.beta2) (fun x -> o.beta2 <- x)
          option "weight_decay" (fun () -> o.weight_decay) (fun x -> o.weight_decay <- x)
          option "eps" (fun () -> o.eps) (fun x -> o.eps <- x)
          switch "amsgrad" (fun () -> o.amsgrad) (fun x -> o.amsgrad <- x)
          switch "maximize" (fun () -> o.maximize) (fun x -> o.maximize <- x) ]

    let private rmsPropState (s: RMSProp.State) : StateFields =
        { Numbers = [ steps "step" (fun () -> s.step) (fun x -> s.step <- x) ]
          Moments =
            [ moment "square_avg" (fun () -> s.square_avg) (fun x -> s.square_avg <- x)
              moment "momentum_buffer" (fun () -> s.momentum_buffer) (fun x -> s.momentum_buffer <- x)
              moment "grad_avg" (fun () -> s.grad_avg) (fun x -> s.grad_avg <- x) ] }

    let private rmsPropOptions (o: RMSProp.Options) : NumberField list =
        [ switch "maximize" (fun () -> o.maximize) (fun x -> o.maximize <- x)
          option "momentum" (fun () -> o.momentum) (fun x -> o.momentum <- x)
          option "alpha" (fun () -> o.alpha) (fun x -> o.alpha <- x)
          option "eps" (fun () -> o.eps) (fun x -> o.eps <- x)
          option "weight_decay" (fun () -> o.weight_decay) (fun x -> o.weight_decay <- x)
          switch "centered" (fun () -> o.centered) (fun x -> o.centered <- x) ]

    let private adagradState (s: Adagrad.State) : StateFields =
        { Numbers = [ steps "step" (fun () -> s.step) (fun x -> s.step <- x) ]
          Moments = [ moment "sum" (fun () -> s.sum) (fun x -> s.sum <- x) ] }

    let private adagradOptions (o: Adagrad.Options) : NumberField list =
        [ option "lr_decay" (fun () -> o.lr_decay) (fun x -> o.lr_decay <- x)
          option "initial_accumulator_value" (fun () -> o.initial_accumulator_value) (fun x ->
              o.initial_accumulator_value <- x)
          option "eps" (fun () -> o.eps) (fun x -> o.eps <- x)
          option "weight_decay" (fun () -> o.weight_decay) (fun x -> o.weight_decay <- x) ]

    let private adadeltaState (s: Adadelta.State) : StateFields =
        { Numbers = [ steps "step" (fun () -> s.step) (fun x -> s.step <- x) ]
          Moments =
            [ moment "square_avg" (fun () -> s.square_avg) (fun x -> s.square_avg <- x)
              moment "acc_delta" (fun () -> s.acc_delta) (fun x -> s.acc_delta <- x) ] }

    let private adadeltaOptions (o: Adadelta.Options) : NumberField list =
        [ option "rho" (fun () -> o.rho) (fun x -> o.rho <- x)
          option "eps" (fun () -> o.eps) (fun x -> o.eps <- x)
          option "weight_decay" (fun () -> o.weight_decay) (fun x -> o.weight_decay <- x)
          switch "maximize" (fun () -> o.maximize) (fun x -> o.maximize <- x) ]

    let private adamaxState (s: Adamax.State) : StateFields =
        { Numbers = [ steps "step" (fun () -> s.step) (fun x -> s.step <- x) ]
          Moments =
            [ moment "exp_avg" (fun () -> s.exp_avg) (fun x -> s.exp_avg <- x)
              moment "exp_inf" (fun () -> s.exp_inf) (fun x -> s.exp_inf <- x) ] }

    let private adamaxOptions (o: Adamax.Options) : NumberField list =
        [ option "beta1" (fun () -> o.beta1) (fun x -> o.beta1 <- x)
          option "beta2" (fun () -> o.beta2) (fun x -> o.beta2 <- x)
          option "eps" (fun () -> o.eps) (fun x -> o.eps <- x)
          option "weight_decay" (fun () -> o.weight_decay) (fun x -> o.weight_decay <- x) ]

    let private nAdamState (s: NAdam.State) : StateFields =
        { Numbers =
            [ steps "step" (fun () -> s.step) (fun x -> s.step <- x)
              number "mu_product" (fun () -> s.mu_product) (fun x -> s.mu_product <- x) ]
          Moments =
            [ moment "exp_avg" (fun () -> s.exp_avg) (fun x -> s.exp_avg <- x)
              moment "exp_avg_sq" (fun () -> s.exp_avg_sq) (fun x -> s.exp_avg_sq <- x) ] }

    let private nAdamOptions (o: NAdam.Options) : NumberField list =
        [ option "beta1" (fun () -> o.beta1) (fun x -> o.beta1 <- x)
          option "beta2" (fun () -> o.beta2) (fun x -> o.beta2 <- x)
          option "eps" (fun () -> o.eps) (fun x -> o.eps <- x)
          option "weight_decay" (fun () -> o.weight_decay) (fun x -> o.weight_decay <- x)
          option "momentum_decay" (fun () -> o.momentum_decay) (fun x -> o.momentum_decay <- x) ]

    let private rAdamState (s: RAdam.State) : StateFields =
        { Numbers = [ steps "step" (fun () -> s.step) (fun x -> s.step <- x) ]
          Moments =
            [ moment "exp_avg" (fun () -> s.exp_avg) (fun x -> s.exp_avg <- x)
              moment "exp_avg_sq" (fun () -> s.exp_avg_sq) (fun x -> s.exp_avg_sq <- x) ] }

    let private rAdamOptions (o: RAdam.Options) : NumberField list =
        [ option "beta1" (fun () -> o.beta1) (fun x -> o.beta1 <- x)
          option "beta2" (fun () -> o.beta2) (fun x -> o.beta2 <- x)
          option "eps" (fun () -> o.eps) (fun x -> o.eps <- x)
          option "weight_decay" (fun () -> o.weight_decay) (fun x -> o.weight_decay <- x) ]

    let private asgdState (s: ASGD.State) : StateFields =
        { Numbers =
            [ steps "step" (fun () -> s.step) (fun x -> s.step <- x)
              number "eta" (fun () -> s.eta) (fun x -> s.eta <- x)
              number "mu" (fun () -> s.mu) (fun x -> s.mu <- x) ]
          Moments = [ moment "ax" (fun () -> s.ax) (fun x -> s.ax <- x) ] }

    let private asgdOptions (o: ASGD.Options) : NumberField list =
        [ switch "maximize" (fun () -> o.maximize) (fun x -> o.maximize <- x)
          option "lambd" (fun () -> o.lambd) (fun x -> o.lambd <- x)
          option "alpha" (fun () -> o.alpha) (fun x -> o.alpha <- x)
          option "weight_decay" (fun () -> o.weight_decay) (fun x -> o.weight_decay <- x)
          option "t0" (fun () -> o.t0) (fun x -> o.t0 <- x) ]

    let private rpropState (s: Rprop.State) : StateFields =
        { Numbers = [ steps "step" (fun () -> s.step) (fun x -> s.step <- x) ]
          Moments =
            [ moment "prev" (fun () -> s.prev) (fun x -> s.prev <- x)
              moment "step_size" (fun () -> s.step_size) (fun x -> s.step_size <- x) ] }

    let private rpropOptions (o: Rprop.Options) : NumberField list =
        [ switch "maximize" (fun () -> o.maximize) (fun x -> o.maximize <- x)
          option "etaminus" (fun () -> o.etaminus) (fun x -> o.etaminus <- x)
          option "etaplus" (fun () -> o.etaplus) (fun x -> o.etaplus <- x)
          option "min_step" (fun () -> o.min_step) (fun x -> o.min_step <- x)
          option "max_step" (fun () -> o.max_step) (fun x -> o.max_step <- x) ]

    /// <summary>What an optimizer keeps for a parameter.</summary>
    /// <exception cref="T:System.ArgumentException">The optimizer is none of those that are known.</exception>
    let ofState (state: TorchSharp.Modules.OptimizerState) : StateFields =
        match state with
        | :? SGD.State as s -> sgdState s
        | :? Adam.State as s -> adamState s
        | :? AdamW.State as s -> adamWState s
        | :? RMSProp.State as s -> rmsPropState s
        | :? Adagrad.State as s -> adagradState s
        | :? Adadelta.State as s -> adadeltaState s
        | :? Adamax.State as s -> adamaxState s
        | :? NAdam.State as s -> nAdamState s
        | :? RAdam.State as s -> rAdamState s
        | :? ASGD.State as s -> asgdState s
        | :? Rprop.State as s -> rpropState s
        | other -> raise (ArgumentException($"expected a known state, got {other.GetType().FullName}", "optimizer"))

    /// <summary>The options of a group.</summary>
    /// <exception cref="T:System.ArgumentException">The optimizer is none of those that are known.</exception>
    let ofOptions (options: OptimizerOptions) : NumberField list =
        let own =
            match options with
            | :? SGD.Options as o -> sgdOptions o
            | :? Adam.Options as o -> adamOptions o
            | :? AdamW.Options as o -> adamWOptions o
            | :? RMSProp.Options as o -> rmsPropOptions o
            | :? Adagrad.Options as o -> adagradOptions o
            | :? Adadelta.Options as o -> adadeltaOptions o
            | :? Adamax.Options as o -> adamaxOptions o
            | :? NAdam.Options as o -> nAdamOptions o
            | :? RAdam.Options as o -> rAdamOptions o
            | :? ASGD.Options as o -> asgdOptions o
            | :? Rprop.Options as o -> rpropOptions o
            | other -> raise (ArgumentException($"expected known options, got {other.GetType().FullName}", "optimizer"))

        [ option "LearningRate" (fun () -> options.LearningRate) (fun x -> options.LearningRate <- x)
          number "InitialLearningRate" (fun () -> options.InitialLearningRate) (fun x ->
              options.InitialLearningRate <- x) ]
        @ own

    let private kinds =
        dict
            [ typeof<SGD>, "SGD"
              typeof<Adam>, "Adam"
              typeof<AdamW>, "AdamW"
              typeof<RMSProp>, "RMSProp"
              typeof<Adagrad>, "Adagrad"
              typeof<Adadelta>, "Adadelta"
              typeof<Adamax>, "Adamax"
              typeof<NAdam>, "NAdam"
              typeof<RAdam>, "RAdam"
              typeof<ASGD>, "ASGD"
              typeof<Rprop>, "Rprop" ]

    /// <summary>What files call an optimizer; one of a class that a user has derived from a known one, by that class's
    /// name.</summary>
    let kind (optimizer: torch.optim.Optimizer) : string =
        match kinds.TryGetValue(optimizer.GetType()) with
        | true, name -> name
        | _ -> optimizer.GetType().Name
