using System.Globalization;
using System.Text.Json;

namespace Glip.Harness.Reports;

/// <summary>One value of a report: text, a whole number, or a number with the decimals that people are shown.</summary>
internal readonly struct Cell
{
    private readonly string? _text;
    private readonly double _number;
    private readonly int _decimals;

    private Cell(string? text, double number, int decimals) => (_text, _number, _decimals) = (text, number, decimals);

    /// <summary>True if columns of it are aligned at the right.</summary>
    public bool IsNumber => _text is null;

    /// <summary>A number, rounded for people and whole for programs. One that is not finite is no value.</summary>
    public static Cell Number(double value, int decimals) => new(null, value, decimals);

    public static implicit operator Cell(string text) => new(text, 0, 0);

    public static implicit operator Cell(long value) => new(null, value, 0);

    /// <summary>As people read it.</summary>
    public string Display => _text ?? (double.IsFinite(_number) ? _number.ToString($"F{_decimals}", CultureInfo.InvariantCulture) : "");

    /// <summary>As programs read it, without rounding.</summary>
    public string Exact => _text ?? (double.IsFinite(_number) ? _number.ToString("R", CultureInfo.InvariantCulture) : "");

    public void WriteTo(Utf8JsonWriter writer)
    {
        if (_text is not null)
            writer.WriteStringValue(_text);
        else if (!double.IsFinite(_number))
            writer.WriteNullValue();
        else if (_number == Math.Floor(_number) && Math.Abs(_number) < 1L << 53)
            writer.WriteNumberValue((long)_number);
        else
            writer.WriteNumberValue(_number);
    }
}
