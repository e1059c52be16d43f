namespace SparseFs

open System

/// <summary>A part of a policy as files hold it.</summary>
type internal PolicyPart =
    {
        /// The part's name in files.
        Name: string
        /// What files hold of it.
        Text: string
        /// What files hold of a rule of the user's own that has no name: this part's text without the name. None where the
        /// part is a rule of the library's.
        Unnamed: string voption
        /// What a file without this part was written with; nothing where every file has it.
        Absent: string voption
    }

    /// Whether files hold the part: one that is newer than the first files is left out where it is what they had.
    member p.IsWritten: bool = p.Absent <> ValueSome p.Text

/// <summary>What a file's text says about a part of the policy that is given.</summary>
[<RequireQualifiedAccess>]
type internal PartMatch =
    /// It is the file's.
    | Same
    /// Both are functions of the user's, of which the file holds no name: they may be the same, and may not.
    | Unknown
    /// Both are functions of the user's, and the file's has a name that this one does not have.
    | OtherName
    /// It is another part.
    | Other

/// <summary>A policy as texts, to tell whether a run goes on with the one that it began with.</summary>
/// <remarks>
/// These texts are in files, and files are read by later versions: a name of F# may change, its text here may not. A case of
/// a union without a text does not compile; PolicyTextTests holds the texts against a table.
/// </remarks>
[<RequireQualifiedAccess>]
module internal PolicyText =

    let private fields (values: (string * string) list) : string =
        String.Join("; ", [ for name, value in values -> (invariant $"{name} = {value}") ])

    let private case (name: string) (values: (string * string) list) : string = (invariant $"{name}({fields values})")

    /// Policy.check lets none of these through.
    let private unknown (what: string) (value: 'a) : string =
        raise (ArgumentException((invariant $"expected {what} that files have a text for, got {value}"), "policy"))

    let private ofDecay (decay: Decay) : string =
        match decay with
        | Decay.Constant -> "Constant"
        | Decay.Cosine -> "Cosine"
        | Decay.Linear -> "Linear"
        | Decay.InversePower power -> case "InversePower" [ "power", MetadataFields.ofFloat power ]

    let private ofSchedule (schedule: Schedule) : string =
        let values =
            [ "Fraction", MetadataFields.ofFloat schedule.Fraction
              "Decay", ofDecay schedule.Decay
              "Start", MetadataFields.ofInteger schedule.Start
              "End", MetadataFields.ofInteger schedule.End
              "Every", MetadataFields.ofInteger schedule.Every ]

        (invariant $"{{ {fields values} }}")

    let private ofNeeds (needs: GrowthInputs) : string =
        match needs with
        | GrowthInputs.Nothing -> "Nothing"
        | GrowthInputs.Gradient -> "Gradient"
        | GrowthInputs.Momentum -> "Momentum"
        | _ when needs = (GrowthInputs.Gradient ||| GrowthInputs.Momentum) -> "Gradient, Momentum"
        | _ -> MetadataFields.ofInteger (int64 needs) // bits that mean nothing are no error, and files hold them as the number

    let private ofPlacement (placement: Placement) : string =
        match placement with
        | Placement.Centred -> "Centred"
        | Placement.Stretched -> "Stretched"
        | _ -> unknown "a placement" placement

    let private ofRegrow (regrow: Regrow) : string =
        match regrow with
        | Regrow.Never -> "Never"
        | Regrow.Reinitialize -> "Fresh"
        | Regrow.Restore -> "Kept"
        | _ -> unknown "a rule of regrowing" regrow

    let private ofBudget (budget: Budget) : string =
        match budget with
        | Budget.Layer -> "Layer"
        | Budget.Row -> "Row"
        | Budget.RowWithAblation salient -> case "RowAblated" [ "salient", MetadataFields.ofFloat salient ]
        | Budget.RedistributedByMagnitude -> "AcrossByMagnitude"
        | Budget.RedistributedByMomentum -> "AcrossByMomentum"
        | Budget.GradualPruning(initial, final) ->
            case
                "Falling"
                [ "initial", MetadataFields.ofFloat initial
                  "final", MetadataFields.ofFloat final ]

    let private ofGrownWeight (weight: GrownWeight) : string =
        match weight with
        | GrownWeight.Zero -> "Zero"
        | GrownWeight.Uniform bound -> case "Uniform" [ "bound", MetadataFields.ofFloat bound ]
        | GrownWeight.Normal deviation -> case "Normal" [ "deviation", MetadataFields.ofFloat deviation ]

    let private ofMoments (moments: Moments) : string =
        match moments with
        | Moments.Zero -> "Zero"
        | Moments.RowMean -> "RowMean"
        | Moments.Fresh -> "Fresh"
        | Moments.Seeded -> "Seeded"
        | _ -> unknown "a treatment of moments" moments

    /// A part that is the library's.
    let private known (name: string) (text: string) : PolicyPart =
        { Name = name
          Text = text
          Unnamed = ValueNone
          Absent = ValueNone }

    /// A function, of which no text can hold more than what it is called.
    let private own (part: string) (values: (string * string) list) (name: string voption) : PolicyPart =
        let unnamed = case "Score" values

        { Name = part
          Text =
            match name with
            | ValueSome name -> case "Score" (values @ [ "name", name ])
            | ValueNone -> unnamed
          Unnamed = ValueSome unnamed
          Absent = ValueNone }

    let private ofDrop (drop: Drop) : PolicyPart =
        let part = "Drop"

        match drop with
        | Drop.Magnitude -> known part "Magnitude"
        | Drop.NearestZero -> known part "NearestZero"
        | Drop.Random -> known part "Random"
        | Drop.Score _ -> own part [ "Item", "custom" ] ValueNone
        | Drop.NamedScore(name, _) -> own part [ "Item", "custom" ] (ValueSome name)

    let private ofGrow (grow: Grow) : PolicyPart =
        let part = "Grow"

        let score (needs: GrowthInputs) =
            own part [ "needs", ofNeeds needs; "score", "custom" ]

        match grow with
        | Grow.Gradient -> known part "Gradient"
        | Grow.Momentum -> known part "Momentum"
        | Grow.Random -> known part "Random"
        | Grow.DistanceDecay(placement, lambda) ->
            known part (case "Nearby" [ "placement", ofPlacement placement; "lambda", MetadataFields.ofFloat lambda ])
        | Grow.Score(needs, _) -> score needs ValueNone
        | Grow.NamedScore(name, needs, _) -> score needs (ValueSome name)

    let private ofMomentum (window: MomentumWindow) : string =
        let values =
            [ "Beta", MetadataFields.ofFloat window.Beta
              "Steps", MetadataFields.ofInteger (int64 window.Steps) ]

        (invariant $"{{ {fields values} }}")

    let private ofNorm (norm: RowGroupNorm) : string =
        match norm with
        | RowGroupNorm.L1 -> "L1"
        | RowGroupNorm.L2 -> "L2"
        | _ -> unknown "a norm of groups" norm

    /// <summary>All parts, in the order of files.</summary>
    let parts (policy: Policy) : PolicyPart list =
        [ known "Schedule" (ofSchedule policy.Schedule)
          ofDrop policy.Drop
          ofGrow policy.Grow
          known "Regrow" (ofRegrow policy.Regrow)
          known "Budget" (ofBudget policy.Budget)
          known "GrownWeight" (ofGrownWeight policy.GrownWeight)
          known "Moments" (ofMoments policy.Moments)
          known "StepsAtUpdates" (MetadataFields.ofBool (not policy.SkipGradientsAtUpdates))
          { known "Momentum" (ofMomentum policy.Momentum) with
              Absent = ValueSome "{ Beta = 0.9; Steps = 32 }" }
          { known "RowGroup" (MetadataFields.ofInteger (int64 policy.RowGroup)) with
              Absent = ValueSome "1" }
          { known "WholeKernels" (MetadataFields.ofBool policy.WholeKernels) with
              Absent = ValueSome(MetadataFields.ofBool false) }
          { known "GroupNorm" (ofNorm policy.GroupNorm) with
              Absent = ValueSome "L2" } ]

    /// <summary>Holds a part against what a file has for it.</summary>
    let compare (part: PolicyPart) (stored: string) : PartMatch =
        match part.Unnamed with
        | ValueSome unnamed when stored = unnamed -> PartMatch.Unknown
        | _ when stored = part.Text -> PartMatch.Same
        | ValueSome unnamed when stored.StartsWith(unnamed.TrimEnd ')' + "; name = ", StringComparison.Ordinal) ->
            PartMatch.OtherName
        | _ -> PartMatch.Other
