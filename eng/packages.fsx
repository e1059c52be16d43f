/// Holds the packed packages against the table of docs/architecture.md: what each asks for, and in which versions.
/// dotnet fsi eng/packages.fsx, as dotnet fsi build.fsx packages runs it.

open System
open System.IO
open System.IO.Compression
open System.Text.RegularExpressions
open System.Xml.Linq

let root = Path.GetFullPath(Path.Combine(__SOURCE_DIRECTORY__, ".."))

/// The rows "| package | asks for |", each package in backticks, followed by its version.
let written =
    [ for line in File.ReadAllLines(Path.Combine(root, "docs", "architecture.md")) do
          let row = Regex.Match(line, @"^\| `(SparseFs[\w.]*)` package \| (.*) \|$")

          if row.Success then
              let asked =
                  [ for m in Regex.Matches(row.Groups[2].Value, @"`([\w.]+)` ([^`;]+)") ->
                        $"{m.Groups[1].Value} {m.Groups[2].Value.Trim()}" ]

              row.Groups[1].Value, List.sort asked ]
    |> List.sort

/// README's links that lead to no file of the package.
let brokenLinks (zip: ZipArchive) : string list =
    use reader = new StreamReader((zip.GetEntry "README.md").Open())

    [ for link in Regex.Matches(reader.ReadToEnd(), @"\]\((?!https?:)([^)#]+)") do
          if isNull (zip.GetEntry link.Groups[1].Value) then
              link.Groups[1].Value ]

/// The public types of a library, as the tests' list of its public members has them; none for one without a list.
let publicTypes (library: string) : Set<string> =
    let list =
        Path.Combine(root, "tests", "SparseFs.Tests", "House", $"PublicApi.{library}.txt")

    if File.Exists list then
        File.ReadAllLines list
        |> Array.filter (fun line -> line <> "" && line[0] <> ' ')
        |> Array.map (fun line -> Regex.Replace(line, " : .*", "").Replace('+', '.'))
        // Documentation has a generic type's name with the number of its arguments.
        |> Array.map (fun name -> Regex.Replace(name, "<(.*)>$", (fun m -> $"`{m.Groups[1].Value.Split(',').Length}")))
        |> Set.ofArray
    else
        Set.empty

/// Documentation of what nobody can call, and public types without any.
let strayDocs (zip: ZipArchive) : string list =
    [ for entry in zip.Entries do
          if entry.FullName.StartsWith "lib/" && entry.FullName.EndsWith ".xml" then
              use stream = entry.Open()

              let names =
                  [ for m in (XDocument.Load stream).Descendants(XName.Get "member") ->
                        m.Attribute(XName.Get "name").Value[2..] ]

              let types = publicTypes (Path.GetFileNameWithoutExtension entry.FullName)

              if not types.IsEmpty then
                  for name in names do
                      let path = (name.Split '(')[0]

                      if not (types |> Set.exists (fun t -> path = t || path.StartsWith(t + "."))) then
                          $"internal: {name}"

                  for t in types do
                      if not (names |> List.exists (fun name -> name = t || name.StartsWith(t + "."))) then
                          $"without a word: {t}" ]

let packed =
    [ for file in Directory.GetFiles(Path.Combine(root, "artifacts", "packages"), "*.nupkg") do
          use zip = ZipFile.OpenRead file

          match brokenLinks zip with
          | [] -> ()
          | links ->
              eprintfn
                  $"""{Path.GetFileName file}: README leads to {String.Join(", ", links)}, which it does not have"""

              exit 1

          match strayDocs zip with
          | [] -> ()
          | stray ->
              eprintfn $"""{Path.GetFileName file}: {String.Join("\n", stray)}"""
              exit 1

          let nuspec =
              zip.Entries |> Seq.find (fun entry -> entry.FullName.EndsWith ".nuspec")

          use text = nuspec.Open()
          let document = XDocument.Load text

          let named (name: string) =
              document.Descendants() |> Seq.filter (fun e -> e.Name.LocalName = name)

          let attribute (name: string) (e: XElement) = e.Attribute(XName.Get name).Value

          // A build that is no release has a version of its own.
          let ours (version: string) =
              Regex.Replace(version, @"-local\.\d+", "")

          (Seq.head (named "id")).Value,
          List.sort [ for d in named "dependency" -> $"""{attribute "id" d} {ours (attribute "version" d)}""" ] ]
    |> List.sort

if written.IsEmpty || written <> packed then
    eprintfn "docs/architecture.md and artifacts/packages differ"

    for where, packages in [ "docs/architecture.md", written; "artifacts/packages", packed ] do
        for name, asked in packages do
            eprintfn $"""{where}: {name} asks for {String.Join("; ", asked)}"""

    exit 1

printfn $"{packed.Length} packages ask for what docs/architecture.md says"
