namespace SparseFs.Torch

open System
open System.Collections.Generic
open SparseFs
open TorchSharp

/// <summary>The shapes that modules take or give, seen in one pass over an input.</summary>
module internal SeenShapes =

    type private Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

    /// What body gives in evaluation mode; each module's training flag, and torch's generator, are as they were afterwards.
    let inEvaluation (modules: torch.nn.Module list) (body: unit -> 'a) : 'a =
        let training = modules |> List.map (fun m -> m, m.training)
        use generator = torch.random.get_rng_state ()

        try
            for m in modules do
                m.eval ()

            body ()
        finally
            torch.random.set_rng_state generator
            // train() goes down to the children, which come later in the list and so have the last word.
            for m, wasTraining in training do
                m.train wasTraining

    /// Runs the model once; notes of each module what is picked of its input and its output.
    let private seen
        (pick: int64[] -> int64[] -> int64[])
        (model: Layer)
        (modules: torch.nn.Module list)
        (input: torch.Tensor)
        : Dictionary<torch.nn.Module, int64[]> =
        let shapes = Dictionary<torch.nn.Module, int64[]>(HashIdentity.Reference)

        let hooks =
            [ for m in modules do
                  match m with
                  | :? Layer as layer ->
                      // A hook's null says that the output stays.
                      layer.register_forward_hook (
                          Func<torch.nn.Module<torch.Tensor, torch.Tensor>, torch.Tensor, torch.Tensor, torch.Tensor>
                              (fun m given output ->
                                  shapes.TryAdd(m, pick given.shape output.shape) |> ignore
                                  Unchecked.defaultof<torch.Tensor>)
                      )
                  | _ -> () ]

        /// Layers that others compute as a part of more.
        let parts =
            [ for m in modules do
                  match m with
                  | :? SparseLayer as layer -> layer
                  | _ -> () ]

        for layer in parts do
            layer.ShapesSeen <- Action<_, _>(fun given output -> shapes.TryAdd(layer, pick given output) |> ignore)

        try
            inEvaluation modules (fun () ->
                use _ = torch.NewDisposeScope()
                use _ = torch.no_grad ()
                model.call input |> ignore)
        finally
            for hook in hooks do
                hook.remove ()

            for layer in parts do
                layer.ShapesSeen <- null

        shapes

    /// <summary>Runs the model once, in evaluation mode and without gradients.</summary>
    /// <returns>By module, the shape of its first output. Modules that take or give anything but one tensor, or whose
    /// <c>forward</c> is called instead of <c>call</c>, are not seen.</returns>
    let ofOutputs (model: Layer) (modules: torch.nn.Module list) (input: torch.Tensor) =
        seen (fun _ output -> output) model modules input

    /// The same of each module's first input.
    let ofInputs (model: Layer) (modules: torch.nn.Module list) (input: torch.Tensor) =
        seen (fun given _ -> given) model modules input
