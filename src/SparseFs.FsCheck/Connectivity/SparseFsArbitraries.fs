namespace SparseFs.Testing

open global.FsCheck
open SparseFs

/// <summary>The generators by type: list this type where FsCheck takes arbitraries, and a property may ask for a
/// Connectivity or a Seed as an argument.</summary>
/// <remarks>In Expecto: <c>{ FsCheckConfig.defaultConfig with arbitrary = [ typeof&lt;SparseFsArbitraries&gt; ] }</c>; in
/// FsCheck: <c>Config.Quick.WithArbitrary [ typeof&lt;SparseFsArbitraries&gt; ]</c>.</remarks>
[<AbstractClass; Sealed>]
type SparseFsArbitraries =

    /// <summary><c>Generators.connectivity</c>.</summary>
    static member Connectivity() : Arbitrary<Connectivity> = Generators.connectivity

    /// <summary><c>Generators.seed</c>.</summary>
    static member Seed() : Arbitrary<Seed> = Generators.seed
