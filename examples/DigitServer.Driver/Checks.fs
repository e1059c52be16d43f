namespace DigitServer.Driver

/// <summary>What was checked: each line is printed as it comes, and a wrong one is counted.</summary>
type Checks() =
    let mutable right = 0
    let mutable wrong = 0

    /// <summary>Notes one check.</summary>
    /// <param name="name">The law, in words.</param>
    /// <param name="holds">Whether it holds.</param>
    /// <param name="got">What came.</param>
    member _.That (name: string) (holds: bool) (got: string) : unit =
        if holds then
            right <- right + 1
            printfn $"  ok     {name}"
        else
            wrong <- wrong + 1
            printfn $"  WRONG  {name}: {got}"

    member _.Right = right
    member _.Wrong = wrong
