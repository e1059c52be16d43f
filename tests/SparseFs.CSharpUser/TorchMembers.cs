using SparseFs.CSharp;
using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace SparseFs.CSharpUser;

/// <summary>Members of modules, called on variables of our own types as they are called on torch.nn.Linear: with every default
/// left out.</summary>
public static class TorchMembers
{
    /// <summary>On a dense layer, as torch has it.</summary>
    /// <param name="path">A file to write and read.</param>
    /// <returns>The names of what state_dict holds.</returns>
    public static string[] OfLinear(string path)
    {
        using var layer = Linear(6, 4);
        layer.train();
        layer.eval();
        var state = layer.state_dict();
        layer.load_state_dict(state);
        layer.load_state_dict(state, strict: false);
        layer.load_state_dict(source: state, skip: ["bias"]);
        layer.save(path);
        layer.load(path);
        layer.load(path, strict: false);

        using (var reader = new BinaryReader(File.OpenRead(path)))
        {
            layer.load(reader);
        }

        _ = layer.parameters().Count() + layer.named_parameters().Count() + layer.buffers().Count() + layer.named_buffers().Count();
        _ = layer.named_buffers(recurse: true).Count() + layer.modules().Count() + layer.named_modules().Count();
        _ = layer.children().Count() + layer.named_children().Count();
        layer.zero_grad();
        layer.apply(module => module.train(false));
        using var x = ones(2, 6);
        using var y = layer.call(x);
        using var z = layer.forward(x);
        layer.cpu().to(CPU).to(DeviceType.CPU).to(x).to(ScalarType.Float64).to(CPU, ScalarType.Float32).to(CPU, true).@float();
        return [.. state.Keys];
    }

    /// <summary>On a sparse layer.</summary>
    /// <param name="path">A file to write and read.</param>
    /// <returns>The names of what state_dict holds.</returns>
    public static string[] OfSparseLinear(string path)
    {
        using var layer = sparsenn.SparseLinear(6, 4, seed: 1);
        layer.train();
        layer.eval();
        var state = layer.state_dict();
        layer.load_state_dict(state);
        layer.load_state_dict(state, strict: false);
        layer.load_state_dict(source: state, skip: ["bias"]);
        layer.save(path);
        layer.load(path);
        layer.load(path, strict: false);

        using (var reader = new BinaryReader(File.OpenRead(path)))
        {
            layer.load(reader);
        }

        _ = layer.parameters().Count() + layer.named_parameters().Count() + layer.buffers().Count() + layer.named_buffers().Count();
        _ = layer.named_buffers(recurse: true).Count() + layer.modules().Count() + layer.named_modules().Count();
        _ = layer.children().Count() + layer.named_children().Count();
        layer.zero_grad();
        layer.apply(module => module.train(false));
        using var x = ones(2, 6);
        using var y = layer.call(x);
        using var z = layer.forward(x);
        layer.cpu().to(CPU).to(DeviceType.CPU).to(x).to(ScalarType.Float64).to(CPU, ScalarType.Float32).to(CPU, true).@float();
        return [.. state.Keys];
    }

    /// <summary>On K-winners.</summary>
    /// <param name="path">A file to write and read.</param>
    /// <returns>The names of what state_dict holds.</returns>
    public static string[] OfKWinners(string path)
    {
        using var layer = sparsenn.KWinners(6);
        layer.train();
        layer.eval();
        var state = layer.state_dict();
        layer.load_state_dict(state);
        layer.load_state_dict(state, strict: false);
        layer.load_state_dict(source: state, skip: ["bias"]);
        layer.save(path);
        layer.load(path);
        layer.load(path, strict: false);

        using (var reader = new BinaryReader(File.OpenRead(path)))
        {
            layer.load(reader);
        }

        _ = layer.parameters().Count() + layer.named_parameters().Count() + layer.buffers().Count() + layer.named_buffers().Count();
        _ = layer.named_buffers(recurse: true).Count() + layer.modules().Count() + layer.named_modules().Count();
        _ = layer.children().Count() + layer.named_children().Count();
        layer.zero_grad();
        layer.apply(module => module.train(false));
        using var x = ones(2, 6);
        using var y = layer.call(x);
        using var z = layer.forward(x);
        layer.cpu().to(CPU).to(DeviceType.CPU).to(x).to(ScalarType.Float64).to(CPU, ScalarType.Float32).to(CPU, true).@float();
        return [.. state.Keys];
    }

    /// <summary>On K-winners of channels.</summary>
    /// <param name="path">A file to write and read.</param>
    /// <returns>The names of what state_dict holds.</returns>
    public static string[] OfKWinners2d(string path)
    {
        using var layer = sparsenn.KWinners2d(3);
        layer.train();
        layer.eval();
        var state = layer.state_dict();
        layer.load_state_dict(state);
        layer.load_state_dict(state, strict: false);
        layer.load_state_dict(source: state, skip: ["bias"]);
        layer.save(path);
        layer.load(path);
        layer.load(path, strict: false);

        using (var reader = new BinaryReader(File.OpenRead(path)))
        {
            layer.load(reader);
        }

        _ = layer.parameters().Count() + layer.named_parameters().Count() + layer.buffers().Count() + layer.named_buffers().Count();
        _ = layer.named_buffers(recurse: true).Count() + layer.modules().Count() + layer.named_modules().Count();
        _ = layer.children().Count() + layer.named_children().Count();
        layer.zero_grad();
        layer.apply(module => module.train(false));
        using var x = ones(2, 3, 4, 4);
        using var y = layer.call(x);
        using var z = layer.forward(x);
        layer.cpu().to(CPU).to(DeviceType.CPU).to(x).to(ScalarType.Float64).to(CPU, ScalarType.Float32).to(CPU, true).@float();
        return [.. state.Keys];
    }
}
