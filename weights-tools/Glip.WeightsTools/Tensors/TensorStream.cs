using Glip.Managed;

namespace Glip.WeightsTools.Tensors;

/// <summary>A stream that can only be read, forwards: the base of the streams of tensors.</summary>
internal abstract class TensorStream : Stream
{
    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public abstract override int Read(Span<byte> buffer);

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}

/// <summary>Bytes that lie together in a file.</summary>
internal sealed class RunStream(FileBytes file, long offset, long length) : TensorStream
{
    private long _at;

    public override int Read(Span<byte> buffer)
    {
        int count = (int)Math.Min(buffer.Length, length - _at);
        file.Read(offset + _at, buffer[..count]);
        _at += count;
        return count;
    }
}

/// <summary>The elements of a view with strides, gathered in row-major order through a window of the file.</summary>
/// <remarks>The window holds the whole view if it is not too large. Otherwise it moves, which costs one read of the file an element at worst.</remarks>
internal sealed class GatherStream : TensorStream
{
    private const int LargestWindow = 128 << 20;
    private const int MovingWindow = 1 << 12;

    private readonly FileBytes _file;
    private readonly long _end;
    private readonly int _size;
    private readonly int[] _shape;
    private readonly long[] _strides;
    private readonly int[] _index;
    private readonly int _runBytes;
    private readonly byte[] _window;
    private long _windowStart;
    private int _windowBytes;
    private long _source;
    private long _left;
    private int _runAt;

    /// <param name="file">The file.</param>
    /// <param name="start">Byte of the view's first element.</param>
    /// <param name="end">Byte behind the view's last element.</param>
    /// <param name="size">Bytes an element.</param>
    /// <param name="shape">Dimensions; the innermost first elements that lie together are one run.</param>
    /// <param name="strides">In elements, none negative.</param>
    public GatherStream(FileBytes file, long start, long end, int size, int[] shape, long[] strides)
    {
        (_file, _end, _size, _source) = (file, end, size, start);
        int outer = shape.Length;
        long run = 1;
        while (outer > 0 && (shape[outer - 1] == 1 || strides[outer - 1] == run))
            run *= shape[--outer];
        _shape = shape[..outer];
        _strides = strides[..outer];
        _index = new int[outer];
        _runBytes = (int)run * size;
        _left = run;
        foreach (int dimension in _shape)
            _left *= dimension;
        _left *= size;
        _window = new byte[end - start <= LargestWindow ? end - start : Math.Max(MovingWindow, size)];
        _windowStart = start;
    }

    public override int Read(Span<byte> buffer)
    {
        int done = 0;
        while (done < buffer.Length && _left > 0)
        {
            ReadOnlySpan<byte> here = At(_source + _runAt);
            int count = Math.Min(Math.Min(buffer.Length - done, _runBytes - _runAt), here.Length);
            here[..count].CopyTo(buffer[done..]);
            done += count;
            _left -= count;
            _runAt += count;
            if (_runAt == _runBytes)
                NextRun();
        }

        return done;
    }

    private void NextRun()
    {
        _runAt = 0;
        for (int d = _shape.Length - 1; d >= 0; d--)
        {
            _source += _strides[d] * _size;
            if (++_index[d] < _shape[d])
                return;
            _source -= _strides[d] * _shape[d] * _size;
            _index[d] = 0;
        }
    }

    /// <summary>What the window holds from a byte of the file on, moved there if that is nothing.</summary>
    private ReadOnlySpan<byte> At(long position)
    {
        if (position < _windowStart || position >= _windowStart + _windowBytes)
        {
            if (_window.Length < _end - _windowStart || _windowBytes > 0)
                _windowStart = position;
            _windowBytes = (int)Math.Min(_window.Length, _end - _windowStart);
            _file.Read(_windowStart, _window.AsSpan(0, _windowBytes));
        }

        return _window.AsSpan((int)(position - _windowStart), (int)(_windowStart + _windowBytes - position));
    }
}
