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
                for (int i = 0; i < row.Length; i++)
                    row[i] += above[i];
                break;
            case PngFilterType.Average:
                for (int i = 0; i < head; i++)
                    row[i] += (byte)(above[i] >> 1);
                for (int i = head; i < row.Length; i++)
                    row[i] += (byte)((row[i - distance] + above[i]) >> 1);
                break;
            case PngFilterType.Paeth:
                for (int i = 0; i < head; i++)
                    row[i] += above[i];
                for (int i = head; i < row.Length; i++)
                    row[i] += Paeth(row[i - distance], above[i], above[i - distance]);
                break;
        }
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
