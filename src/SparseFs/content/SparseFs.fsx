/// F# Interactive runs this by itself on #r "nuget: SparseFs", again at each further #r.
module SparseFsInFsi

SparseFs.LibTorchForScripts.Prepare()
