// Sets the flag AggressiveOptimization on every method that carries the attribute AggressiveOptimization.
//
// F# drops this flag of MethodImpl, and without it a kernel's first calls, a second or so of them, run unoptimised:
// 10 to 20 times slower, each vector operation a call. The flag is one bit of the method's row in the metadata.
// The attribute must be there for at least one method, or the build fails. F# cuts a method that it finds large in two; the
// part that is carved out (NAME$cont@LINE) has no attribute, and gets the flag of the method that it is a part of.

open System
open System.IO
open System.Reflection
open System.Reflection.Metadata
open System.Reflection.Metadata.Ecma335
open System.Reflection.PortableExecutable

let path = fsi.CommandLineArgs[1]
let image = File.ReadAllBytes path
let portable = new PEReader(new MemoryStream(image))
let metadata = portable.GetMetadataReader()

let isMarked (method: MethodDefinition) =
    method.GetCustomAttributes()
    |> Seq.map (fun handle -> metadata.GetCustomAttribute(handle).Constructor)
    |> Seq.filter (fun constructor -> constructor.Kind = HandleKind.MethodDefinition)
    |> Seq.exists (fun constructor ->
        let owner =
            metadata.GetMethodDefinition(MethodDefinitionHandle.op_Explicit constructor).GetDeclaringType()

        metadata.GetString(metadata.GetTypeDefinition(owner).Name) = "AggressiveOptimizationAttribute")

// A row begins with the method's address (4 bytes), then its implementation flags (2 bytes).
let offsetOfFlags (handle: MethodDefinitionHandle) =
    portable.PEHeaders.MetadataStartOffset
    + metadata.GetTableMetadataOffset TableIndex.MethodDef
    + (MetadataTokens.GetRowNumber handle - 1)
      * metadata.GetTableRowSize TableIndex.MethodDef
    + 4

let nameOf (method: MethodDefinition) = metadata.GetString method.Name

let marked =
    [ for handle in metadata.TypeDefinitions do
          let methods =
              [ for handle in metadata.GetTypeDefinition(handle).GetMethods() ->
                    handle, metadata.GetMethodDefinition handle ]

          let names =
              set
                  [ for _, method in methods do
                        if isMarked method then
                            nameOf method ]

          for handle, method in methods do
              if isMarked method || names.Contains((nameOf method).Split("$cont@")[0]) then
                  handle ]

if marked.IsEmpty then
    eprintfn $"{path}: error: no method carries AggressiveOptimization"
    exit 1

for handle in marked do
    let offset = offsetOfFlags handle
    let flags = BitConverter.ToUInt16(image, offset)

    BitConverter.GetBytes(flags ||| uint16 MethodImplAttributes.AggressiveOptimization).CopyTo(image, offset)

File.WriteAllBytes(path, image)
