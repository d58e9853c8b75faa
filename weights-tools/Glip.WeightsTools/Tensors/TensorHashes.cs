using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Glip.Managed.Weights;

namespace Glip.WeightsTools.Tensors;

/// <summary>SHA-256 of a file's tensors, and of all of them together.</summary>
internal sealed class TensorHashes
{
    private const int ChunkBytes = 1 << 20;

    private readonly SortedDictionary<string, string> _lines = new(StringComparer.Ordinal);

    /// <summary>Adds a tensor.</summary>
    /// <returns>The hash of its bytes, as the file has them, row-major: 64 hexadecimal digits.</returns>
    public string Add(TensorFile file, string name)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using Stream elements = file.OpenTensor(name);
        var chunk = new byte[ChunkBytes];
        while (elements.Read(chunk) is > 0 and var count)
            hash.AppendData(chunk.AsSpan(0, count));
        string digits = Convert.ToHexStringLower(hash.GetCurrentHash());
        file.TryDescribe(name, out TensorType type, out int[] shape);
        _lines[name] = string.Create(CultureInfo.InvariantCulture, $"{name} {type.SafetensorsName()} {DisplayText.Shape(shape)} {digits}\n");
        return digits;
    }

    /// <summary>One hash of all tensors that were added: of the lines <c>NAME TYPE [SHAPE] HASH</c>, sorted by name. The order in the file does not matter.</summary>
    public string OfAll() => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Concat(_lines.Values))));
}
