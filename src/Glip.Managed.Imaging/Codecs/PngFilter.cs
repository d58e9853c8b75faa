using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.Intrinsics;

namespace Glip.Managed.Imaging.Codecs;

/// <summary>How a row's bytes were predicted from their neighbours; the values are the file's.</summary>
internal enum PngFilterType : byte
{
    None = 0,
    Sub = 1,
    Up = 2,
    Average = 3,
    Paeth = 4,
}

/// <summary>The prediction of PNG rows. Neighbours outside the picture are 0; sums wrap as bytes.</summary>
internal static class PngFilter
{
    /// <summary>Turns differences back into values, in place.</summary>
    /// <param name="type">One of the five filters.</param>
    /// <param name="row">The row's bytes.</param>
    /// <param name="above">The finished row above, as long as <paramref name="row"/>; zeros for the first.</param>
    /// <param name="distance">Bytes to the left neighbour.</param>
    public static void Undo(PngFilterType type, Span<byte> row, ReadOnlySpan<byte> above, int distance)
    {
        above = above[..row.Length];
        int head = Math.Min(distance, row.Length);
        switch (type)
        {
            case PngFilterType.Sub:
                for (int i = head; i < row.Length; i++)
                    row[i] += row[i - distance];
                break;
            case PngFilterType.Up:
                UndoUp(row, above);
                break;
            case PngFilterType.Average:
                for (int i = 0; i < head; i++)
                    row[i] += (byte)(above[i] >> 1);
                for (int i = head; i < row.Length; i++)
                    row[i] += (byte)((row[i - distance] + above[i]) >> 1);
                break;
            case PngFilterType.Paeth when distance is 3 or 4 && Vector128.IsHardwareAccelerated && BitConverter.IsLittleEndian:
                UndoPaeth(row, above, distance);
                break;
            case PngFilterType.Paeth:
                UndoPaethScalar(row, above, 0, distance);
                break;
        }
    }

    /// <summary>The Paeth filter undone, one byte at a time from <paramref name="start"/> on.</summary>
    public static void UndoPaethScalar(Span<byte> row, ReadOnlySpan<byte> above, int start, int distance)
    {
        for (int i = start; i < row.Length; i++)
            row[i] += i < distance ? above[i] : Paeth(row[i - distance], above[i], above[i - distance]);
    }

    /// <summary>The Paeth filter undone, one pixel of 3 or 4 bytes at a time: each depends on the one before.</summary>
    private static void UndoPaeth(Span<byte> row, ReadOnlySpan<byte> above, int distance)
    {
        Vector128<short> left = Vector128<short>.Zero;
        Vector128<short> corner = Vector128<short>.Zero;
        int i = 0;
        for (; i <= row.Length - sizeof(uint); i += distance)
        {
            Vector128<short> up = FourBytes(above[i..]);
            Vector128<short> toLeft = Vector128.Abs(up - corner);
            Vector128<short> toAbove = Vector128.Abs(left - corner);
            Vector128<short> toCorner = Vector128.Abs(left + up - corner - corner);
            Vector128<short> nearest = Vector128.Min(Vector128.Min(toLeft, toAbove), toCorner);
            Vector128<short> guess = Vector128.ConditionalSelect(
                Vector128.Equals(toLeft, nearest), left, Vector128.ConditionalSelect(Vector128.Equals(toAbove, nearest), up, corner));
            left = (FourBytes(row[i..]) + guess) & Vector128.Create((short)0xFF);
            corner = up;

            uint pixel = Vector128.Narrow(left.AsUInt16(), left.AsUInt16()).AsUInt32().ToScalar();
            Span<byte> target = row.Slice(i, distance);
            target[2] = (byte)(pixel >> 16);
            target[1] = (byte)(pixel >> 8);
            target[0] = (byte)pixel;
            if (distance == 4)
                target[3] = (byte)(pixel >> 24);
        }

        UndoPaethScalar(row, above, i, distance);
    }

    private static Vector128<short> FourBytes(ReadOnlySpan<byte> bytes) =>
        Vector128.WidenLower(Vector128.CreateScalarUnsafe(BinaryPrimitives.ReadUInt32LittleEndian(bytes)).AsByte()).AsInt16();

    private static void UndoUp(Span<byte> row, ReadOnlySpan<byte> above)
    {
        int i = 0;
        for (; i <= row.Length - Vector<byte>.Count; i += Vector<byte>.Count)
            (new Vector<byte>(row[i..]) + new Vector<byte>(above[i..])).CopyTo(row[i..]);
        for (; i < row.Length; i++)
            row[i] += above[i];
    }

    /// <summary>Writes a row's differences and returns the sum of their magnitudes, by which encoders guess what will compress best.</summary>
    public static long Apply(PngFilterType type, ReadOnlySpan<byte> row, ReadOnlySpan<byte> above, int distance, Span<byte> differences)
    {
        above = above[..row.Length];
        differences = differences[..row.Length];
        int head = Math.Min(distance, row.Length);
        switch (type)
        {
            case PngFilterType.None:
                row.CopyTo(differences);
                break;
            case PngFilterType.Sub:
                row[..head].CopyTo(differences);
                for (int i = head; i < row.Length; i++)
                    differences[i] = (byte)(row[i] - row[i - distance]);
                break;
            case PngFilterType.Up:
                for (int i = 0; i < row.Length; i++)
                    differences[i] = (byte)(row[i] - above[i]);
                break;
            case PngFilterType.Average:
                for (int i = 0; i < head; i++)
                    differences[i] = (byte)(row[i] - (above[i] >> 1));
                for (int i = head; i < row.Length; i++)
                    differences[i] = (byte)(row[i] - ((row[i - distance] + above[i]) >> 1));
                break;
            case PngFilterType.Paeth:
                for (int i = 0; i < head; i++)
                    differences[i] = (byte)(row[i] - above[i]);
                for (int i = head; i < row.Length; i++)
                    differences[i] = (byte)(row[i] - Paeth(row[i - distance], above[i], above[i - distance]));
                break;
        }

        long sum = 0;
        foreach (byte difference in differences)
            sum += Math.Abs((int)(sbyte)difference);
        return sum;
    }

    /// <summary>The neighbour nearest to left + above − corner; ties go to left, then above.</summary>
    private static byte Paeth(byte left, byte above, byte corner)
    {
        int toLeft = Math.Abs(above - corner);
        int toAbove = Math.Abs(left - corner);
        int toCorner = Math.Abs(left + above - 2 * corner);
        if (toLeft <= toAbove && toLeft <= toCorner)
            return left;
        return toAbove <= toCorner ? above : corner;
    }
}
