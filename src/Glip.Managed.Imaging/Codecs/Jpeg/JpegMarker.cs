namespace Glip.Managed.Imaging.Codecs.Jpeg;

/// <summary>The second bytes of markers, ITU-T T.81 table B.1.</summary>
internal static class JpegMarker
{
    public const byte BaselineFrame = 0xC0; // SOF0
    public const byte ExtendedFrame = 0xC1; // SOF1
    public const byte ProgressiveFrame = 0xC2; // SOF2
    public const byte HuffmanTables = 0xC4; // DHT
    public const byte Extension = 0xC8; // JPG
    public const byte ArithmeticConditioning = 0xCC; // DAC
    public const byte LastFrame = 0xCF; // SOF15
    public const byte FirstRestart = 0xD0; // RST0
    public const byte LastRestart = 0xD7; // RST7
    public const byte StartOfImage = 0xD8; // SOI
    public const byte EndOfImage = 0xD9; // EOI
    public const byte StartOfScan = 0xDA; // SOS
    public const byte QuantizationTables = 0xDB; // DQT
    public const byte RestartInterval = 0xDD; // DRI
    public const byte Hierarchy = 0xDE; // DHP
    public const byte App0 = 0xE0;
    public const byte App1 = 0xE1;
    public const byte App14 = 0xEE;
    public const byte Temporary = 0x01; // TEM

    /// <summary>Whether the marker stands alone, without a length and content.</summary>
    public static bool StandsAlone(byte marker) => marker is Temporary or (>= FirstRestart and <= StartOfImage);

    /// <summary>Whether the marker begins a frame of any process.</summary>
    public static bool IsFrame(byte marker) =>
        marker is >= BaselineFrame and <= LastFrame and not HuffmanTables and not Extension and not ArithmeticConditioning;
}
