namespace Digits

open System

/// <summary>How the learning rate goes from the first optimizer step to the last.</summary>
[<RequireQualifiedAccess>]
type RateSchedule =
    | Constant
    /// Half a cosine, from the whole rate towards 0: Loshchilov and Hutter, SGDR, 2017, equation 5, without restarts.
    | Cosine

[<RequireQualifiedAccess; CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module RateSchedule =

    /// The schedules that the demo knows, by name.
    let named: (string * RateSchedule) list =
        [ "cosine", RateSchedule.Cosine; "constant", RateSchedule.Constant ]

    /// <summary>The part of the learning rate that a step takes.</summary>
    /// <param name="steps">Optimizer steps of the whole training.</param>
    /// <param name="step">How many were taken before, 0..steps - 1.</param>
    /// <param name="schedule">Which.</param>
    /// <returns>In (0, 1]; 1 at the first step.</returns>
    let factor (steps: int64) (step: int64) (schedule: RateSchedule) : float =
        match schedule with
        | RateSchedule.Constant -> 1.0
        | RateSchedule.Cosine -> 0.5 * (1.0 + Math.Cos(Math.PI * float step / float steps))
