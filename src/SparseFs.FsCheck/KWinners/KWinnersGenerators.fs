namespace SparseFs.Testing

open global.FsCheck
open global.FsCheck.FSharp

/// <summary>Scores among which winners are chosen.</summary>
[<RequireQualifiedAccess>]
module KWinnersGenerators =

    /// Few different numbers, so that ties are common; zeros of both signs, subnormal and infinite ones among them.
    let private score: Gen<float> =
        Gen.frequency
            [ 6, Gen.choose (-6, 6) |> Gen.map (fun n -> float n / 4.0)
              1,
              Gen.elements
                  [ -0.0
                    0.0
                    float System.Single.Epsilon
                    -(float System.Single.Epsilon)
                    infinity
                    -infinity ] ]

    /// <summary>k and 1 to 70 scores, each of them a float32; many are equal, and k is 1 or all of them more often than
    /// not by chance.</summary>
    /// <example><code>
    /// Prop.forAll KWinnersGenerators.selections (fun (k, scores) -> (KWinners.winners k scores).Length = k)
    /// |> Check.QuickThrowOnFailure
    /// </code></example>
    [<CompiledName "Selections">]
    let selections: Arbitrary<int * float[]> =
        gen {
            let! n = Gen.frequency [ 1, Gen.choose (1, 3); 4, Gen.choose (1, 70) ]
            let! k = Gen.frequency [ 4, Gen.choose (1, n); 1, Gen.constant 1; 1, Gen.constant n ]
            let! scores = Gen.arrayOfLength n score
            return k, scores
        }
        |> Arb.fromGen
