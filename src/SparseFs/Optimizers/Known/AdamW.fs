namespace SparseFs.Torch

open SparseFs
open TorchSharp.Modules

module internal KnownAdamW =

    let private options (o: AdamW.Options) : OptimizerField list =
        [ KnownFields.option "beta1" (fun () -> o.beta1) (fun x -> o.beta1 <- x)
          KnownFields.option "beta2" (fun () -> o.beta2) (fun x -> o.beta2 <- x)
          KnownFields.option "weight_decay" (fun () -> o.weight_decay) (fun x -> o.weight_decay <- x)
          KnownFields.option "eps" (fun () -> o.eps) (fun x -> o.eps <- x)
          KnownFields.switch "amsgrad" (fun () -> o.amsgrad) (fun x -> o.amsgrad <- x)
          KnownFields.switch "maximize" (fun () -> o.maximize) (fun x -> o.maximize <- x) ]

    /// Its weight decay is the weight's own affair.
    let private state (p: Parameter) (s: AdamW.State) (o: AdamW.Options) : ParameterState =
        let read () =
            struct ({ Weight = p
                      Mean = s.exp_avg
                      Square = s.exp_avg_sq
                      Largest = s.max_exp_avg_sq
                      Steps = s.step
                      Beta1 = o.beta1.Value
                      Beta2 = o.beta2.Value
                      Sign = KnownFields.signOf o.maximize
                      Decay = 0.0 },
                    ValueSome
                        { Rate = o.LearningRate.Value
                          Epsilon = o.eps.Value
                          Kept = 1.0 - o.LearningRate.Value * o.weight_decay.Value
                          Count = fun () -> s.step <- s.step + 1L })

        AdamMemory.create
            read
            [ KnownFields.steps (fun () -> s.step) (fun x -> s.step <- x) ]
            [ KnownFields.tensor "exp_avg" (fun () -> s.exp_avg) (fun x -> s.exp_avg <- x) (AdamMemory.ofMean read)
              KnownFields.tensor
                  "exp_avg_sq"
                  (fun () -> s.exp_avg_sq)
                  (fun x -> s.exp_avg_sq <- x)
                  (AdamMemory.ofSquare read)
              OptimizerTensor(
                  "max_exp_avg_sq",
                  TensorPresence.WithSwitch "amsgrad",
                  (fun () -> Unseen.Number 0.0),
                  AdamMemory.ofSquare read,
                  (fun () -> s.max_exp_avg_sq),
                  (fun x -> s.max_exp_avg_sq <- x)
              ) ]

    let known =
        KnownOptimizer.define<AdamW, AdamW.State, AdamW.Options> "AdamW" options state
