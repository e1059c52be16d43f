namespace SparseFs.Torch

open System
open System.Collections.Generic
open SparseFs

/// <summary>Policies of a rewirer's layers as texts of a file: each part's, which a run that is resumed must have too.</summary>
module internal PolicyCodec =

    let private key (place: int) (part: string) = $"sparsefs.policy.{place}.{part}"

    [<Literal>]
    let private FirstLayer = "first layer"

    /// The first layer that has the same policy: layers of one policy are rewired together.
    let private firstLayer (rewirer: Rewirer) (place: int) : string =
        let policies = rewirer.Policies

        policies
        |> Seq.findIndex (fun p -> obj.ReferenceEquals(p, policies[place]))
        |> string

    /// Texts of a layer's policy.
    let write (rewirer: Rewirer) (place: int) : (string * string) list =
        [ for part in PolicyText.parts rewirer.Policies[place] do
              if part.IsWritten then
                  key place part.Name, part.Text

          key place FirstLayer, firstLayer rewirer place ]

    /// What says which rules cannot be told from the file's: the rewirer does, once the run is back.
    let private noteUnknown (loader: StagedLoad) (rewirer: Rewirer) (layer: string) (rules: string list) =
        let shown = String.Join(" and ", rules)

        let message =
            $"the file has no name for the policy's own rule ({shown}), so that the rule given may be another than the one "
            + "that the run was saved with: a named one (Drop.NamedScore, Grow.NamedScore; in C# dropName, growName) is "
            + "written with its name, and checked from the next file on"

        loader.Plan(fun () -> fun () -> rewirer.Board.Post(NoticeKind.UnnamedRule, layer, message))

    /// Compares a layer's policy with the file's.
    let compare (loader: StagedLoad) (rewirer: Rewirer) (place: int) =
        let struct (layer, _) = rewirer.Layers[place]

        let where =
            if layer = "" then
                "policy"
            else
                $"policy of layer '{layer}'"

        let stored (part: string) (absent: string voption) (go: string -> unit) =
            match loader.File.Metadata.TryGetValue(key place part), absent with
            | (true, theirs), _ -> go theirs
            | _, ValueSome theirs -> go theirs
            | _ -> loader.Wrong $"missing: the text '{key place part}'"

        let differs (part: string) (ours: string) (theirs: string) (cure: string) =
            loader.Wrong $"{where}: expected {part} = {ours}, got {theirs}{cure}"

        let unknown = List<string>()

        for part in PolicyText.parts rewirer.Policies[place] do
            stored part.Name part.Absent (fun theirs ->
                match PolicyText.compare part theirs with
                | PartMatch.Same -> ()
                | PartMatch.Unknown -> unknown.Add part.Name
                | PartMatch.OtherName ->
                    differs
                        part.Name
                        part.Text
                        theirs
                        " (make the rewirer with the rule of the file's name, or, if the rule given is that one, name it so)"
                | PartMatch.Other -> differs part.Name part.Text theirs "")

        stored FirstLayer ValueNone (fun theirs ->
            let ours = firstLayer rewirer place

            if theirs <> ours then
                differs FirstLayer ours theirs "")

        if unknown.Count > 0 then
            noteUnknown loader rewirer layer (List.ofSeq unknown)
