namespace SparseFs

open System
open System.Collections.Generic
open TorchSharp
open TorchSharp.Modules

/// <summary>Makes torch's Sequential of named layers: what stands before the braces of <c>sequential { … }</c>.</summary>
/// <remarks>Each line is a name and a layer of any kind, without an upcast; so are the results of <c>if</c>, <c>for</c> and
/// <c>match</c>. The names are those of state_dict, of files and of reports.</remarks>
[<Sealed>]
type SequentialBuilder internal () =

    let check (layers: List<struct (string * torch.nn.Module<torch.Tensor, torch.Tensor>)>) : unit =
        let names = HashSet<string>()

        for i in 0 .. layers.Count - 1 do
            let struct (name, layer) = layers[i]

            if String.IsNullOrEmpty name || name.Contains '.' then
                raise (ArgumentException($"expected a name without dots for layer {i}, got '{name}'", nameof name))

            if isNull (box layer) then
                raise (ArgumentNullException(nameof layer, $"expected a layer under the name '{name}', got null"))

            if not (names.Add name) then
                raise (ArgumentException($"expected one layer of each name, got two named '{name}'", nameof name))

    /// <summary>A name without dots, and its layer: any module from a tensor to a tensor.</summary>
    /// <param name="named">Both.</param>
    member _.Yield<'M when 'M :> torch.nn.Module<torch.Tensor, torch.Tensor>>
        (named: string * 'M)
        : List<struct (string * torch.nn.Module<torch.Tensor, torch.Tensor>)> =
        List [ struct (fst named, snd named :> torch.nn.Module<torch.Tensor, torch.Tensor>) ]

    /// <summary>No layer: an <c>if</c> without an else.</summary>
    member _.Zero() : List<struct (string * torch.nn.Module<torch.Tensor, torch.Tensor>)> = List()

    /// <summary>Layers, and those after them.</summary>
    /// <param name="first">The layers before.</param>
    /// <param name="rest">The layers after.</param>
    member _.Combine
        (
            first: List<struct (string * torch.nn.Module<torch.Tensor, torch.Tensor>)>,
            rest: List<struct (string * torch.nn.Module<torch.Tensor, torch.Tensor>)>
        ) : List<struct (string * torch.nn.Module<torch.Tensor, torch.Tensor>)> =
        first.AddRange rest
        first

    /// <summary>Layers that are made when their turn has come.</summary>
    /// <param name="body">Makes them.</param>
    member _.Delay
        (body: unit -> List<struct (string * torch.nn.Module<torch.Tensor, torch.Tensor>)>)
        : List<struct (string * torch.nn.Module<torch.Tensor, torch.Tensor>)> =
        body ()

    /// <summary>Layers of each item of a sequence.</summary>
    /// <param name="items">The items.</param>
    /// <param name="body">Makes the layers of one of them.</param>
    member _.For
        (items: seq<'T>, body: 'T -> List<struct (string * torch.nn.Module<torch.Tensor, torch.Tensor>)>)
        : List<struct (string * torch.nn.Module<torch.Tensor, torch.Tensor>)> =
        let layers = List()

        for item in items do
            layers.AddRange(body item)

        layers

    /// <summary>The module of all layers, in their order.</summary>
    /// <param name="layers">Names and layers.</param>
    /// <exception cref="T:System.ArgumentException">A name is empty, has a dot or is there twice, or a layer is
    /// null.</exception>
    member _.Run(layers: List<struct (string * torch.nn.Module<torch.Tensor, torch.Tensor>)>) : Sequential =
        check layers
        torch.nn.Sequential(layers.ToArray())

/// <summary>Named layers one after the other.</summary>
[<AutoOpen>]
module SequentialBuilder =

    /// <summary>torch's Sequential of layers with names, which need no upcast to a common type.</summary>
    /// <exception cref="T:System.ArgumentException">A name is empty, has a dot or is there twice, or a layer is
    /// null.</exception>
    /// <remarks><c>torch.nn.Sequential (layer, …)</c> does it for layers without names.</remarks>
    /// <example><code>
    /// let network =
    ///     sequential {
    ///         "hidden", new SparseLinear(784, 300, sparsity = 0.95)
    ///         "relu", torch.nn.ReLU()
    ///         "output", new SparseLinear(300, 10)
    ///     }
    /// (network.call x).shape // = [|32L; 10L|]
    /// [ for struct (name, _) in network.named_children () -> name ] // = ["hidden"; "relu"; "output"]
    /// </code></example>
    [<CompiledName "Sequential">]
    let sequential = SequentialBuilder()
