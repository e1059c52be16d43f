namespace SparseFs.CSharp;

internal static class Placeholder
{
    internal const string Name = "SparseFs.CSharp";
}
