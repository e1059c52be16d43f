namespace SparseFs

open System
open SparseFs.Torch

/// How a K-winners layer is made; both kinds of layer read their arguments into it.
[<NoComparison; NoEquality>]
type internal KWinnersSettings =
    {
        /// The part of the units that do not win; none where k is given.
        Sparsity: float voption
        K: int voption
        Rule: DutyCycle
        Boost: Boost
        BoostDecay: float
        InferenceFactor: float
        StraightThrough: bool
        CheckInput: bool
    }

    static member Of
        (
            sparsity: float option,
            k: int option,
            alpha: float option,
            period: int option,
            boost: Boost option,
            boostDecay: float option,
            inferenceFactor: float option,
            straightThrough: bool option,
            checkInput: bool option
        ) : KWinnersSettings =
        if sparsity.IsSome && k.IsSome then
            raise (ArgumentException("expected a sparsity or k, got both", "k"))

        if alpha.IsSome && period.IsSome then
            raise (ArgumentException("expected alpha or a period, got both", "period"))

        sparsity |> Option.iter (fun sparsity -> Sparsity.density sparsity |> ignore)
        let boostDecay = defaultArg boostDecay 1.0
        let inferenceFactor = defaultArg inferenceFactor 1.0
        Boost.checkDecay "boostDecay" boostDecay
        KWinners.checkFactor "inferenceFactor" inferenceFactor

        { Sparsity =
            match k, sparsity with
            | Some _, _ -> ValueNone
            | None, Some sparsity -> ValueSome sparsity
            | None, None -> ValueSome 0.65
          K = Option.toValueOption k
          Rule =
            DutyCycle.check (
                match period with
                | Some period -> DutyCycle.Period period
                | None -> DutyCycle.Alpha(defaultArg alpha 0.1)
            )
          Boost = Boost.check (defaultArg boost (Boost.Exponential 1.5))
          BoostDecay = boostDecay
          InferenceFactor = inferenceFactor
          StraightThrough = defaultArg straightThrough false
          CheckInput = defaultArg checkInput false }

    /// The winners among n units.
    member s.KOf(n: int) : int =
        match s.K, s.Sparsity with
        | ValueSome k, _ ->
            KWinners.checkK n k
            k
        | _, ValueSome sparsity -> KWinners.count n sparsity
        | _ -> invalidOp "settings hold k or a sparsity"
