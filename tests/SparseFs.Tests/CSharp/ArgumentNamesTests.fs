/// Every function of the facade is called with wrong arguments: whatever it refuses goes by the name of a parameter of its own.
module SparseFs.Tests.ArgumentNamesTests

open System
open System.Collections.Generic
open System.IO
open System.Reflection
open Expecto
open SparseFs
open SparseFs.CSharp
open SparseFs.Tests.PublicSurface
open TorchSharp

/// The functions, generic ones for float32.
let private functions =
    [ for t in facadeTypes do
          if not t.IsEnum then
              for m in publicMembers t do
                  match m with
                  | :? MethodInfo as f when f.IsStatic ->
                      let f =
                          if f.IsGenericMethodDefinition then
                              f.MakeGenericMethod(f.GetGenericArguments() |> Array.map (fun _ -> typeof<float32>))
                          else
                              f

                      if f.GetParameters().Length > 0 then
                          f
                  | _ -> () ]

/// A path where nothing can be written: its folder is not there.
let private nowhere =
    Path.Combine(Path.GetTempPath(), "sparsefs-no-such-folder", "file")

let private pattern = Connectivity.full 2 2
let private seed = Seed.ofInt 1

/// One for all calls.
let private given (value: 'a) : Type * (unit -> obj | null) = typeof<'a>, (fun () -> box value)

/// One for each call.
let private made (make: unit -> 'a) : Type * (unit -> obj | null) = typeof<'a>, (fun () -> box (make ()))

let private model () =
    torch.nn.Sequential(new SparseLinear(pattern)) :> torch.nn.Module

/// A value of each type that a caller might give.
let private plain: IDictionary<Type, unit -> obj | null> =
    dict
        [ given 2
          given 2L
          given 0.5
          given 0.5f
          given false
          given nowhere
          given seed
          given pattern
          given [| 0; 1 |]
          given [| 0.5; 0.5 |]
          given [| 0.5f; 0.5f; 0.5f; 0.5f |]
          given (Array2D.zeroCreate<bool> 2 2)
          given (Array2D.zeroCreate<float32> 2 2)
          given (Array2D.zeroCreate<float> 2 2)
          given (Func<int, int, int, Seed, Connectivity>(fun rows cols nnz seed -> Topology.uniform rows cols nnz seed))
          given (Func<string, float>(fun _ -> 0.5))
          given (Func<string, bool>(fun _ -> true))
          given Policy.staticSparse
          given (Schedule.constant 0.3 10L 100L)
          given (Remap.identity 4)
          given (DutyCycle.Alpha 0.1)
          given (Rewire.state pattern (Array.zeroCreate 4) 1L seed)
          given KWinnersOptions.defaults
          given
              { Connectivity = pattern
                Values = Array.zeroCreate<float> 4 }
          given torch.CPU
          given ([| Array2D.zeroCreate<float32> 2 2 |] :> IReadOnlyList<float32[,]>)
          given ([| [| 2; 2 |] |] :> IReadOnlyList<int[]>)
          given ([| 0 |] :> IReadOnlyList<int>)
          given ([| Rewire.state pattern (Array.zeroCreate 4) 1L seed |] :> IReadOnlyList<LayerState>)
          made (fun () -> new MemoryStream() :> Stream)
          made (fun () -> torch.ones (2L, 2L))
          made model
          made (fun () -> torch.nn.Linear(2L, 2L))
          given (ConvSize.Of 2)
          made (fun () -> torch.nn.Conv2d(2L, 2L, 1L) :> Modules.Convolution)
          made (fun () -> new SparseConv2d(2, 2, 1, sparsity = 0.0) :> SparseConv)
          made (fun () -> new SparseLinear(pattern)) ]

/// What a caller might give by mistake, beside null.
let private wrong: IDictionary<Type, (obj | null) list> =
    dict
        [ typeof<int>, [ box -1; box 0; box 1000 ]
          typeof<int64>, [ box -1L; box 0L; box 1000L ]
          typeof<float>, [ box -1.0; box 1.0; box 90.0; box nan; box infinity ]
          typeof<string>, [ box ""; box (nowhere + "(") ]
          typeof<int[]>, [ box Array.empty<int>; box [| 3; -1; 3 |] ]
          typeof<float[]>, [ box [| nan |]; box [| -1.0; 7.0 |] ]
          typeof<Connectivity>, [ box (Connectivity.full 3 2) ] ]

let private underlying (t: Type) : Type =
    match Nullable.GetUnderlyingType t with
    | null -> t
    | inner -> inner

let private known (p: ParameterInfo) =
    p.IsOut
    || p.HasDefaultValue
    || plain.ContainsKey(underlying p.ParameterType)
    || (underlying p.ParameterType).IsEnum

/// What a careful caller gives: the default where there is one.
let private careful (p: ParameterInfo) : obj | null =
    let t = underlying p.ParameterType

    if p.IsOut then
        null
    elif p.HasDefaultValue then
        p.DefaultValue
    elif t.IsEnum then
        present "a case" (Enum.GetValues(t).GetValue 0)
    else
        plain[t]()

let private mistakes (p: ParameterInfo) : (obj | null) list =
    let t = underlying p.ParameterType

    [ if not p.IsOut then
          if not t.IsValueType then
              null

          if t.IsEnum then
              Enum.ToObject(t, 99)

          match wrong.TryGetValue t with
          | true, values -> yield! values
          | _ -> () ]

/// The exception of a call, or none.
let private outcome (f: MethodInfo) (arguments: (obj | null)[]) : exn option =
    use _ = torch.NewDisposeScope()

    try
        f.Invoke(null, arguments) |> ignore
        None
    with :? TargetInvocationException as e ->
        Option.ofObj e.InnerException

let private called (f: MethodInfo) : string =
    let names = f.GetParameters() |> Array.map parameterName |> String.concat ", "
    $"{typeName (declaring f)}.{f.Name}({names})"

/// Functions that take what nobody makes here: optimizers, averages, files that are there.
let private leftOut (f: MethodInfo) =
    not (f.GetParameters() |> Array.forall known)

[<Tests>]
let tests =
    testSequenced
    <| testList
        "Facade argument names"
        [ testCase "what a function refuses goes by the name of one of its parameters" (fun () ->
              // Its thread is gone, without a word, and the program waits for it for ever.
              Wine.skips "the second exception that leaves a method which reflection has called ends its thread"
              let mutable refusals = 0

              let strange =
                  [ for f in functions do
                        if not (leftOut f) then
                            let parameters = f.GetParameters()
                            let names = parameters |> Array.map parameterName

                            for at in 0 .. parameters.Length - 1 do
                                for mistake in mistakes parameters[at] do
                                    let arguments = Array.map careful parameters
                                    arguments[at] <- mistake

                                    match outcome f arguments with
                                    | Some(:? ArgumentException as e) ->
                                        refusals <- refusals + 1

                                        if not (Array.contains e.ParamName names) then
                                            $"{called f}, {names[at]} = {mistake}: {e.ParamName}: {e.Message}"
                                    | Some(:? NullReferenceException) ->
                                        $"{called f}, {names[at]} = {mistake}: NullReferenceException"
                                    | Some _
                                    | None -> () ]

              Expect.isGreaterThan refusals 200 "not vacuous"
              Expect.equal (List.distinct strange) [] "names that are none of the function's parameters")

          testCase "most functions are called" (fun () ->
              let missed = functions |> List.filter leftOut

              Expect.isLessThan
                  (5 * missed.Length)
                  functions.Length
                  $"""functions whose arguments nobody makes here: {missed |> List.map called |> String.concat "; "}""") ]
