using System;
using TorchSharp;

using var ones = torch.ones(3);
using var sum = ones.sum();
Console.WriteLine($"1 + 1 + 1 = {sum.item<float>()}");
