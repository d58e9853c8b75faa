using System.Globalization;
using System.Numerics.Tensors;
using Glip.Managed.Weights;

namespace Glip.WeightsTools.Tensors;

/// <summary>How two files differ in one tensor.</summary>
/// <param name="Name">The tensor.</param>
/// <param name="Text">What differs: where it is missing, types, shapes, or how far its values are apart.</param>
internal sealed record TensorDifference(string Name, string Text)
{
    private const int ChunkElements = 1 << 18;

    /// <summary>All differences, in the order of <paramref name="a"/>; what only <paramref name="b"/> has comes last.</summary>
    /// <exception cref="Managed.GlipFormatException">A tensor cannot be read.</exception>
    public static IEnumerable<TensorDifference> Between(TensorFile a, TensorFile b)
    {
        foreach (string name in a.Names)
        {
            a.TryDescribe(name, out TensorType typeA, out int[] shapeA);
            if (!b.TryDescribe(name, out TensorType typeB, out int[] shapeB))
                yield return new(name, "only in the first file");
            else if (!shapeA.AsSpan().SequenceEqual(shapeB))
                yield return new(name, $"{DisplayText.Shape(shapeA)} and {DisplayText.Shape(shapeB)}");
            else if (Values(a, b, name, typeA, typeB) is { } text)
                yield return new(name, text);
        }

        foreach (string name in b.Names.Where(name => !a.TryDescribe(name, out _, out _)))
            yield return new(name, "only in the second file");
    }

    /// <summary>Compares the elements of tensors of one shape; null if types and all bytes are equal.</summary>
    private static string? Values(TensorFile a, TensorFile b, string name, TensorType typeA, TensorType typeB)
    {
        string types = typeA == typeB ? "" : $"{typeA.SafetensorsName()} and {typeB.SafetensorsName()}, ";
        bool compares = typeA.IsFloating() && typeB.IsFloating();
        if (!compares && typeA != typeB)
            return $"{typeA.SafetensorsName()} and {typeB.SafetensorsName()}";

        using Stream streamA = a.OpenTensor(name), streamB = b.OpenTensor(name);
        var bytesA = new byte[ChunkElements * typeA.ByteSize()];
        var bytesB = new byte[ChunkElements * typeB.ByteSize()];
        (double largest, double apart, long differing) = (0, 0, 0);
        while (true)
        {
            int count = streamA.ReadAtLeast(bytesA, bytesA.Length, throwOnEndOfStream: false) / typeA.ByteSize();
            if (count == 0)
                break;
            Span<byte> partA = bytesA.AsSpan(0, count * typeA.ByteSize()), partB = bytesB.AsSpan(0, count * typeB.ByteSize());
            streamB.ReadExactly(partB);
            if (compares)
                Compare(Singles(partA, typeA, count), Singles(partB, typeB, count), ref largest, ref apart, ref differing);
            else if (!partA.SequenceEqual(partB))
                return "other bytes";
        }

        if (differing == 0)
            return types.Length == 0 ? null : types + "equal values";
        string relative = (apart / largest).ToString("0.0e+0", CultureInfo.InvariantCulture);
        return $"{types}{differing.ToString("#,0", CultureInfo.InvariantCulture)} values differ, by up to {relative} of the largest";
    }

    private static float[] Singles(ReadOnlySpan<byte> bytes, TensorType type, int count) =>
        TensorConversion.ReadSingles(new WeightTensor("", type, [count], bytes));

    private static void Compare(float[] a, float[] b, ref double largest, ref double apart, ref long differing)
    {
        largest = Math.Max(largest, Math.Max(Math.Abs(TensorPrimitives.MaxMagnitude<float>(a)), Math.Abs(TensorPrimitives.MaxMagnitude<float>(b))));
        for (int i = 0; i < a.Length; i++)
        {
            if (a[i] == b[i])
                continue;
            differing++;
            apart = Math.Max(apart, Math.Abs((double)a[i] - b[i]));
        }
    }
}
