namespace Glip.Managed.Imaging.Codecs.Jpeg;

/// <summary>
/// The entropy-coded data of one scan, restart segment by restart segment. Stuffed bytes are taken out beforehand, so
/// that the bit reader never looks for markers.
/// </summary>
internal ref struct JpegEntropyData
{
    private const byte MarkerStart = 0xFF;

    private readonly ReadOnlySpan<byte> _file;
    private readonly byte[] _buffer;
    private int _position;

    /// <param name="file">The whole file.</param>
    /// <param name="position">Where the scan's data begins.</param>
    /// <param name="buffer">At least as long as <see cref="BufferLength"/> says.</param>
    public JpegEntropyData(ReadOnlySpan<byte> file, int position, byte[] buffer)
    {
        _file = file;
        _position = position;
        _buffer = buffer;
    }

    /// <summary>Where the marker behind the latest segment is, or the file's length.</summary>
    public readonly int Position => _position;

    /// <summary>Whether no marker follows the latest segment.</summary>
    public readonly bool AtEnd => _position == _file.Length;

    /// <summary>What <paramref name="bytes"/> bytes of entropy-coded data need as a buffer.</summary>
    public static long BufferLength(int bytes) => (long)bytes + JpegBitReader.Slack;

    /// <summary>Reads up to the next marker.</summary>
    public JpegBitReader NextSegment()
    {
        int length = 0;
        for (; ; )
        {
            ReadOnlySpan<byte> rest = _file[_position..];
            int plain = rest.IndexOf(MarkerStart);
            if (plain < 0)
                plain = rest.Length;
            rest[..plain].CopyTo(_buffer.AsSpan(length));
            length += plain;
            _position += plain;
            rest = rest[plain..];

            // Any number of FF may come before the byte that says what they are.
            int code = rest.IndexOfAnyExcept(MarkerStart);
            if (code < 0)
            {
                _position = _file.Length;
                break;
            }

            if (rest[code] != 0)
                break;
            _buffer[length++] = MarkerStart;
            _position += code + 1;
        }

        _buffer.AsSpan(length, JpegBitReader.Slack).Clear();
        return new JpegBitReader(_buffer.AsSpan(0, length + JpegBitReader.Slack));
    }

    /// <summary>Passes over the restart marker behind a segment.</summary>
    /// <returns>Its number 0 to 7, or -1 if another marker or the file's end is there.</returns>
    public int SkipRestartMarker()
    {
        ReadOnlySpan<byte> rest = _file[_position..];
        int code = rest.IndexOfAnyExcept(MarkerStart);
        if (code < 0 || rest[code] is < JpegMarker.FirstRestart or > JpegMarker.LastRestart)
            return -1;
        _position += code + 1;
        return rest[code] - JpegMarker.FirstRestart;
    }
}
