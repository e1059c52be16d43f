/// What files hold of an optimizer is written out here, and held against what TorchSharp has.
module SparseFs.Tests.OptimizerFieldsTests

open System
open System.Reflection
open Expecto
open SparseFs
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules

type private OwnSgd(parameters: Parameter seq) =
    inherit SGD([ SGD.ParamGroup(parameters) ], 0.1)

/// An optimizer, its name in files, and the names of its options and of its state, in the files' order.
type private Row =
    { Kind: string
      Make: Parameter seq -> torch.optim.Optimizer
      Options: string list
      Numbers: string list
      Moments: string list }

let private row kind (make: Parameter seq -> #torch.optim.Optimizer) options numbers moments =
    { Kind = kind
      Make = fun parameters -> make parameters :> _
      Options = options
      Numbers = numbers
      Moments = moments }

let private rows: Row list =
    [ row
          "SGD"
          (fun p -> torch.optim.SGD(p, 0.05, momentum = 0.9))
          [ "momentum"; "dampening"; "weight_decay"; "nesterov"; "maximize" ]
          []
          [ "momentum_buffer" ]
      row
          "Adam"
          (fun p -> torch.optim.Adam(p, 0.01, amsgrad = true))
          [ "beta1"; "beta2"; "weight_decay"; "eps"; "amsgrad"; "maximize" ]
          [ "step" ]
          [ "exp_avg"; "exp_avg_sq"; "max_exp_avg_sq" ]
      row
          "AdamW"
          (fun p -> torch.optim.AdamW(p, 0.01, amsgrad = true))
          [ "beta1"; "beta2"; "weight_decay"; "eps"; "amsgrad"; "maximize" ]
          [ "step" ]
          [ "exp_avg"; "exp_avg_sq"; "max_exp_avg_sq" ]
      row
          "RMSProp"
          (fun p -> torch.optim.RMSProp(p, 0.01, momentum = 0.5, centered = true))
          [ "maximize"; "momentum"; "alpha"; "eps"; "weight_decay"; "centered" ]
          [ "step" ]
          [ "square_avg"; "momentum_buffer"; "grad_avg" ]
      row
          "Adagrad"
          (fun p -> torch.optim.Adagrad(p, 0.01))
          [ "lr_decay"; "initial_accumulator_value"; "eps"; "weight_decay" ]
          [ "step" ]
          [ "sum" ]
      row
          "Adadelta"
          torch.optim.Adadelta
          [ "rho"; "eps"; "weight_decay"; "maximize" ]
          [ "step" ]
          [ "square_avg"; "acc_delta" ]
      row
          "Adamax"
          (fun p -> torch.optim.Adamax(p, 0.01))
          [ "beta1"; "beta2"; "eps"; "weight_decay" ]
          [ "step" ]
          [ "exp_avg"; "exp_inf" ]
      row
          "NAdam"
          (fun p -> torch.optim.NAdam(p, 0.01))
          [ "beta1"; "beta2"; "eps"; "weight_decay"; "momentum_decay" ]
          [ "step"; "mu_product" ]
          [ "exp_avg"; "exp_avg_sq" ]
      row
          "RAdam"
          (fun p -> torch.optim.RAdam(p, 0.01))
          [ "beta1"; "beta2"; "eps"; "weight_decay" ]
          [ "step" ]
          [ "exp_avg"; "exp_avg_sq" ]
      row
          "ASGD"
          (fun p -> torch.optim.ASGD(p, 0.01))
          [ "maximize"; "lambd"; "alpha"; "weight_decay"; "t0" ]
          [ "step"; "eta"; "mu" ]
          [ "ax" ]
      row
          "Rprop"
          (fun p -> torch.optim.Rprop(p, 0.01))
          [ "maximize"; "etaminus"; "etaplus"; "min_step"; "max_step" ]
          [ "step" ]
          [ "prev"; "step_size" ] ]

/// Of every group's options, whatever the optimizer.
let private shared = [ "LearningRate"; "InitialLearningRate" ]

let private opened (row: Row) : OptimizerStates * obj * obj =
    let optimizer = row.Make [ new Parameter(torch.zeros 3L) ]
    let dict = (optimizer :?> OptimizerHelper).state_dict()
    OptimizerStates.Of optimizer, present "a state" (box dict.State[0]), present "options" (box dict.Options[0])

let private stateOf (states: OptimizerStates) : ParameterState =
    let struct (_, _, state) = Array.exactlyOne states.Entries
    state

let private numbersOf (states: OptimizerStates) (state: obj) (options: obj) : (OptimizerField * obj) list =
    [ for field in (stateOf states).Numbers -> field, state
      for field in Array.exactlyOne states.Options -> field, options ]

/// TorchSharp's field or property of a name: today all names in files are TorchSharp's.
let private theirs (owner: obj) (name: string) : (unit -> (obj | null)) * ((obj | null) -> unit) * Type =
    match owner.GetType().GetField name with
    | null ->
        let property =
            present $"a field or a property {name}" (owner.GetType().GetProperty name)

        (fun () -> property.GetValue owner), (fun value -> property.SetValue(owner, value)), property.PropertyType
    | field -> (fun () -> field.GetValue owner), (fun value -> field.SetValue(owner, value)), field.FieldType

let private publicFields (owner: obj) : (string * bool) list =
    [ for field in owner.GetType().GetFields(BindingFlags.Public ||| BindingFlags.Instance) ->
          field.Name, field.FieldType = typeof<torch.Tensor> ]

/// A value that no optimizer starts with, and its text.
let private other (t: Type) : obj * string * OptimizerNumber =
    match Option.ofObj (Nullable.GetUnderlyingType t) |> Option.defaultValue t with
    | t when t = typeof<int64> -> (12345L :> obj), "12345", OptimizerNumber.Count 12345L
    | t when t = typeof<bool> -> (true :> obj), "True", OptimizerNumber.Switch true
    | t when t = typeof<float> -> (0.4375 :> obj), "0.4375", OptimizerNumber.Number 0.4375
    | t -> failtest $"expected a number or a switch, got {t}"

[<Tests>]
let optimizerFields =
    testList
        "Optimizer fields"
        [ for row in rows do
              testCase $"{row.Kind}: the names in files" (fun () ->
                  let states, _, _ = opened row
                  Expect.equal states.Kind row.Kind "kind"
                  Expect.equal [ for field in (stateOf states).Numbers -> field.Name ] row.Numbers "numbers"
                  Expect.equal [ for tensor in (stateOf states).Tensors -> tensor.Name ] row.Moments "moments"

                  Expect.equal
                      [ for field in Array.exactlyOne states.Options -> field.Name ]
                      (shared @ row.Options)
                      "options")

              testCase $"{row.Kind}: TorchSharp keeps nothing else" (fun () ->
                  let _, state, options = opened row

                  Expect.equal
                      (publicFields state)
                      [ for name in row.Numbers -> name, false
                        for name in row.Moments -> name, true ]
                      "state: a field that is new in TorchSharp needs a name in Optimizers/Known and here"

                  Expect.equal
                      (publicFields options)
                      [ for name in row.Options -> name, false ]
                      "options: a field that is new in TorchSharp needs a name in Optimizers/Known and here"

                  Expect.equal
                      (set [ for property in typeof<OptimizerOptions>.GetProperties() -> property.Name ])
                      (set shared)
                      "options of every optimizer")

              testCase $"{row.Kind}: a name stands for TorchSharp's number of that name, and for no other" (fun () ->
                  let states, state, options = opened row

                  for field, owner in numbersOf states state options do
                      let get, set, t = theirs owner field.Name
                      let before = get ()
                      let value, text, expected = other t
                      set value
                      Expect.equal (field.Value) expected $"{field.Name} is read"
                      set before
                      let reader = FieldReader("file", "entry", $"{field.Name}={text}")
                      let struct (staged, change) = field.Stage reader
                      reader.End()
                      Expect.equal staged expected $"{field.Name} is staged"
                      Expect.equal (get ()) before $"{field.Name} has not changed yet"
                      change ()
                      Expect.equal (get ()) value $"{field.Name} is set"

                      if not (isNull (Nullable.GetUnderlyingType t)) then
                          set null
                          Expect.equal (field.Value) OptimizerNumber.None $"{field.Name} is not set"

                          let struct (staged, change) =
                              field.Stage(FieldReader("file", "entry", $"{field.Name}=none"))

                          Expect.equal staged OptimizerNumber.None $"{field.Name} is staged as not set"
                          change ()
                          Expect.isTrue (isNull (get ())) $"{field.Name} stays not set"

                      set before)

              testCase $"{row.Kind}: a name stands for TorchSharp's moment of that name" (fun () ->
                  let states, state, _ = opened row

                  for tensor in (stateOf states).Tensors do
                      let get, _, _ = theirs state tensor.Name
                      let fresh = torch.ones 3L
                      tensor.Give fresh
                      Expect.isTrue (obj.ReferenceEquals(get (), fresh)) $"{tensor.Name} is set"
                      Expect.isTrue (obj.ReferenceEquals(tensor.Value, fresh)) $"{tensor.Name} is read")

          testCase "an optimizer of a user's class is called by its class" (fun () ->
              use optimizer = new OwnSgd([ new Parameter(torch.zeros 3L) ])
              Expect.equal (OptimizerStates.Of optimizer).Kind "OwnSgd" "kind") ]
