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
            $"The file has no name for the policy's own rule ({shown}), so that the rule given may be another than the one "
            + "that the run was saved with. Give the rule a name, with Drop.NamedScore or Grow.NamedScore (C#: dropName, "
            + "growName): it is written to the next file, and checked from then on."

        loader.Plan(fun () -> fun () -> rewirer.Board.Post(NoticeKind.UnnamedRule, layer, message))

    /// What differs between a layer's policy and the file's.
    let private differences (loader: StagedLoad) (rewirer: Rewirer) (place: int) : string list =
        let struct (layer, _) = rewirer.Layers[place]
        let found = List<string>()

        let stored (part: string) (absent: string voption) (go: string -> unit) =
            match loader.File.Metadata.TryGetValue(key place part), absent with
            | (true, theirs), _ -> go theirs
            | _, ValueSome theirs -> go theirs
            | _ -> loader.Wrong $"missing: the text '{key place part}'"

        let differs (part: string) (ours: string) (theirs: string) (cure: string) =
            found.Add $"expected {part} = {ours}, got {theirs}{cure}"

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

        List.ofSeq found

    /// At most so many layers are named.
    [<Literal>]
    let private Named = 3

    let private whereOf (layers: string list) : string =
        match layers with
        | [ "" ] -> "policy"
        | [ one ] -> $"policy of layer '{one}'"
        | _ ->
            let names = String.Join("', '", layers |> List.truncate Named)
            let rest = layers.Length - Named
            $"policy of layers '{names}'" + (if rest > 0 then $" and {rest} more" else "")

    /// Compares the layers' policies with the file's; what several have in common is said once.
    let compare (loader: StagedLoad) (rewirer: Rewirer) : unit =
        let all =
            [ for place in 0 .. rewirer.Layers.Length - 1 do
                  let struct (layer, _) = rewirer.Layers[place]

                  for difference in differences loader rewirer place do
                      difference, layer ]

        for difference, layers in all |> List.groupBy fst do
            loader.Wrong $"{whereOf (List.map snd layers)}: {difference}"

        if not all.IsEmpty then
            loader.Cure $"make the Rewirer with the policy that the run had, {LoadComplaints.OrModelAlone}"
