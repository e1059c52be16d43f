namespace SparseFs.Torch

open SparseFs
open TorchSharp.Modules

module internal KnownRAdam =

    let private options (o: RAdam.Options) : OptimizerField list =
        [ KnownFields.option "beta1" (fun () -> o.beta1) (fun x -> o.beta1 <- x)
          KnownFields.option "beta2" (fun () -> o.beta2) (fun x -> o.beta2 <- x)
          KnownFields.option "eps" (fun () -> o.eps) (fun x -> o.eps <- x)
          KnownFields.option "weight_decay" (fun () -> o.weight_decay) (fun x -> o.weight_decay <- x) ]

    /// Its means are Adam's; its rectification stays the run's.
    let private state (p: Parameter) (s: RAdam.State) (o: RAdam.Options) : ParameterState =
        let read () =
            struct ({ Weight = p
                      Mean = s.exp_avg
                      Square = s.exp_avg_sq
                      Largest = null
                      Steps = s.step
                      Beta1 = o.beta1.Value
                      Beta2 = o.beta2.Value
                      Sign = 1.0
                      Decay = o.weight_decay.Value },
                    ValueNone)

        AdamMemory.create
            read
            [ KnownFields.steps (fun () -> s.step) (fun x -> s.step <- x) ]
            [ KnownFields.tensor "exp_avg" (fun () -> s.exp_avg) (fun x -> s.exp_avg <- x) (AdamMemory.ofMean read)
              KnownFields.tensor
                  "exp_avg_sq"
                  (fun () -> s.exp_avg_sq)
                  (fun x -> s.exp_avg_sq <- x)
                  (AdamMemory.ofSquare read) ]

    let known =
        KnownOptimizer.define<RAdam, RAdam.State, RAdam.Options> "RAdam" options state
