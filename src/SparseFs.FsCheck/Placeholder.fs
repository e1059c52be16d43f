module internal SparseFs.FsCheck.Placeholder

let name = "SparseFs.FsCheck"
