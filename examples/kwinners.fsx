// K-winners in F# Interactive. After one build (dotnet fsi build.fsx): dotnet fsi examples/kwinners.fsx
#r "../artifacts/bin/SparseFs/release/TorchSharp.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.Core.dll"
#r "../artifacts/bin/SparseFs/release/SparseFs.dll"

open SparseFs
open TorchSharp

torch.manual_seed 0L |> ignore

// As values: who wins, and how a boost gives a unit that rests its turn.
printfn $"%A{KWinners.winners 2 [| 0.1; 0.7; 0.4; 0.6 |]} win"

let boosted =
    Boost.scores (Boost.Exponential 1.5) 0.5 [| 0.0; 1.0; 0.4; 1.0 |] [| 0.1; 0.7; 0.4; 0.6 |]

printfn $"%A{KWinners.winners 2 boosted} win where units 1 and 3 have always won"

// As a layer, on inputs of which the last units are always larger.
let slope = torch.linspace (0.0, 3.0, 100L)

for boost in [ Boost.None; Boost.Exponential 1.5; Boost.Additive 3.0 ] do
    use layer =
        new KWinners(
            100,
            { KWinnersOptions.ofSparsity 0.9 with
                Boost = boost }
        )

    for _ in 1..200 do
        use _ = torch.NewDisposeScope()
        layer.call (torch.rand(32L, 100L).add slope) |> ignore

    let idle =
        layer.DutyCycles() |> Array.filter (fun duty -> duty < 0.001) |> Array.length

    printfn
        $"{layer}: {idle} of 100 units hardly ever win, entropy %.1f{layer.Entropy()} of %.1f{layer.MaxEntropy()} bits"
