/// Takes out of the packed packages' documentation what their users cannot call: compilers write internal and private members
/// into it too, and editors would show them.
/// dotnet fsi eng/public-docs.fsx, as dotnet fsi build.fsx pack runs it.

open System
open System.Collections.Generic
open System.IO
open System.IO.Compression
open System.Reflection
open System.Reflection.Metadata
open System.Reflection.PortableExecutable
open System.Xml.Linq

let packages =
    Path.GetFullPath(Path.Combine(__SOURCE_DIRECTORY__, "..", "artifacts", "packages"))

/// What of a library can be seen from outside: types by their full names, members by their type's name, their own and the
/// number of their parameters (-1 for all that is no method).
type Visible =
    { Types: HashSet<string>
      Members: HashSet<struct (string * string * int)> }

let visibleOf (library: Stream) : Visible =
    use pe = new PEReader(library)
    let m = pe.GetMetadataReader()
    let types, members = HashSet<string>(), HashSet<struct (string * string * int)>()

    let rec fullName (handle: TypeDefinitionHandle) : string =
        let t = m.GetTypeDefinition handle
        let name = m.GetString t.Name

        match t.GetDeclaringType() with
        | outer when outer.IsNil ->
            match m.GetString t.Namespace with
            | "" -> name
            | space -> $"{space}.{name}"
        | outer -> $"{fullName outer}.{name}"

    let rec isTypeVisible (handle: TypeDefinitionHandle) : bool =
        let t = m.GetTypeDefinition handle

        match t.Attributes &&& TypeAttributes.VisibilityMask with
        | TypeAttributes.Public -> true
        | TypeAttributes.NestedPublic
        | TypeAttributes.NestedFamily
        | TypeAttributes.NestedFamORAssem -> isTypeVisible (t.GetDeclaringType())
        | _ -> false

    let isMethodVisible (handle: MethodDefinitionHandle) : bool =
        not handle.IsNil
        && match (m.GetMethodDefinition handle).Attributes &&& MethodAttributes.MemberAccessMask with
           | MethodAttributes.Public
           | MethodAttributes.Family
           | MethodAttributes.FamORAssem -> true
           | _ -> false

    /// Of a signature: its header, the number of type parameters if it has some, the number of parameters.
    let parameters (signature: BlobHandle) : int =
        let mutable blob = m.GetBlobReader signature
        let header = blob.ReadSignatureHeader()

        if header.IsGeneric then
            blob.ReadCompressedInteger() |> ignore

        blob.ReadCompressedInteger()

    for handle in m.TypeDefinitions do
        if isTypeVisible handle then
            let t = m.GetTypeDefinition handle
            let name = fullName handle
            types.Add name |> ignore

            for handle in t.GetMethods() do
                if isMethodVisible handle then
                    let f = m.GetMethodDefinition handle

                    let inDocs = (m.GetString f.Name).Replace('.', '#') // .ctor is #ctor there
                    members.Add(struct (name, inDocs, parameters f.Signature)) |> ignore

            for handle in t.GetProperties() do
                let p = m.GetPropertyDefinition handle
                let accessors = p.GetAccessors()

                if isMethodVisible accessors.Getter || isMethodVisible accessors.Setter then
                    members.Add(struct (name, m.GetString p.Name, -1)) |> ignore

            for handle in t.GetEvents() do
                let e = m.GetEventDefinition handle

                if isMethodVisible (e.GetAccessors().Adder) then
                    members.Add(struct (name, m.GetString e.Name, -1)) |> ignore

            for handle in t.GetFields() do
                let f = m.GetFieldDefinition handle

                match f.Attributes &&& FieldAttributes.FieldAccessMask with
                | FieldAttributes.Public
                | FieldAttributes.Family
                | FieldAttributes.FamORAssem -> members.Add(struct (name, m.GetString f.Name, -1)) |> ignore
                | _ -> ()

    { Types = types; Members = members }

/// "A(B{C,D},E[,])" has two.
let parametersOf (id: string) : int =
    match id.IndexOf '(' with
    | -1 -> 0
    | start ->
        let mutable depth, commas = 0, 0

        for c in id[start..] do
            match c with
            | '('
            | '{'
            | '[' -> depth <- depth + 1
            | ')'
            | '}'
            | ']' -> depth <- depth - 1
            | ',' when depth = 1 -> commas <- commas + 1
            | _ -> ()

        commas + 1

/// A method's generic arity stands behind two backticks, that of a type behind one, as in metadata.
let isPublic (visible: Visible) (id: string) : bool =
    let kind, rest = id[0], id[2..]

    let path =
        match rest.IndexOf '(' with
        | -1 -> rest
        | i -> rest[.. i - 1]

    let path =
        match path.IndexOf '~' with
        | -1 -> path
        | i -> path[.. i - 1]

    let cut = path.LastIndexOf '.'
    let owner, name = path[.. cut - 1], path[cut + 1 ..]

    let bare =
        match name.IndexOf "``" with
        | -1 -> name
        | i -> name[.. i - 1]

    let has (name: string) (count: int) =
        visible.Members.Contains(struct (owner, name, count))

    match kind with
    | 'T' ->
        visible.Types.Contains path
        // A case of a union: a property where it has no fields, else a function that makes it.
        || has bare -1
        || Seq.exists (fun (struct (o, n, _)) -> o = owner && n = "New" + bare) visible.Members
    | 'M' -> has bare (parametersOf rest)
    | _ -> has bare -1

for file in Directory.GetFiles(packages, "*.nupkg") do
    use zip = ZipFile.Open(file, ZipArchiveMode.Update)

    let docs =
        [ for entry in zip.Entries do
              if entry.FullName.StartsWith "lib/" && entry.FullName.EndsWith ".xml" then
                  entry ]

    for entry in docs do
        let visible =
            let library = zip.GetEntry(Path.ChangeExtension(entry.FullName, ".dll"))
            use copy = new MemoryStream()
            (use stream = library.Open() in stream.CopyTo copy)
            copy.Position <- 0L
            visibleOf copy

        let document =
            (use stream = entry.Open() in XDocument.Load(stream, LoadOptions.PreserveWhitespace))

        let hidden =
            [ for m in document.Descendants(XName.Get "member") do
                  if not (isPublic visible (m.Attribute(XName.Get "name").Value)) then
                      m ]

        for m in hidden do
            match m.NextNode with
            | :? XText as between when String.IsNullOrWhiteSpace between.Value -> between.Remove()
            | _ -> ()

            m.Remove()

        let name, written = entry.FullName, entry.LastWriteTime
        entry.Delete()
        let entry = zip.CreateEntry name
        entry.LastWriteTime <- written
        use stream = entry.Open()
        document.Save(stream, SaveOptions.DisableFormatting)
