using System.Runtime.InteropServices;
using Glip.Kernels;

namespace Glip.Managed.Weights;

/// <summary>
/// The memory of a model's weights: pages of a packed model file, or memory of its own outside the garbage collector's heap, in blocks with names.
/// </summary>
/// <remarks>A handle, so that it is freed when it is disposed or forgotten, but not before the last call that uses it (<see cref="SafeHandle.DangerousAddRef"/>) has ended.</remarks>
internal sealed unsafe class WeightStore : SafeHandle
{
    private readonly PackedWeights? _packed;
    private readonly WeightSource? _source;
    private readonly List<WeightBlock> _blocks = [];
    private readonly SortedSet<string> _values = new(StringComparer.Ordinal);
    private long _vectorBytes;

    /// <summary>Memory for a model that is read from <paramref name="source"/>.</summary>
    /// <param name="source">If it is packed, it is disposed with this object, else it can be as soon as all is read.</param>
    /// <param name="isa">Decides how matrices are cut into panels. This process need not have it.</param>
    /// <param name="widen">True to keep half-size weights in single precision.</param>
    /// <exception cref="GlipFormatException">The source is packed for another layout, or half-size where it must not be.</exception>
    public WeightStore(WeightSource source, SimdIsa isa, bool widen = false)
        : base(nint.Zero, ownsHandle: true)
    {
        Layout = GemmTable.Layout(isa);
        WidensHalves = widen;
        _packed = source.Packed;
        if (_packed is not null && _packed.Form.Layout != Layout)
        {
            throw new GlipFormatException(
                $"{source.Name}: packed for {_packed.Form.Isa} (panels of {_packed.Form.Layout.Width} columns), this detector runs {isa.Name()} (panels of {Layout.Width}): " +
                $"load the model file that it was packed from, or pack that for {isa.Name()} with glip-weights pack");
        }

        if (_packed is not null)
            _source = source;
        SetHandle(1); // anything but invalid: blocks are freed one by one
    }

    /// <summary>True if weights stay in the source's file.</summary>
    public bool IsPacked => _packed is not null;

    /// <summary>How matrices are cut.</summary>
    public PanelLayout Layout { get; }

    /// <summary>True if half-size weights are to be kept in single precision.</summary>
    public bool WidensHalves { get; }

    /// <summary>Own blocks in the order of their making. A packed source has none.</summary>
    public IReadOnlyList<WeightBlock> Blocks => _blocks;

    /// <summary>Names of the source's tensors that were read into arrays.</summary>
    public IReadOnlyCollection<string> Values => _values;

    /// <summary>What is where.</summary>
    public WeightBytes Bytes => new(MappedBytes, _blocks.Sum(b => b.Memory.Length), _vectorBytes);

    /// <inheritdoc/>
    public override bool IsInvalid => handle == nint.Zero;

    private long MappedBytes { get; set; }

    /// <summary>The type of a packed source's block.</summary>
    public PanelType PackedType(string name)
    {
        PanelType type = _packed!.TypeOf(name);
        if (WidensHalves && type != PanelType.Single)
            throw new GlipFormatException($"{_source!.Name}: tensor '{name}' is packed half-size and cannot be widened: load the model file that it was packed from");
        return type;
    }

    /// <summary>A block of whole cache lines.</summary>
    /// <param name="name">Unique.</param>
    /// <param name="type">Of its numbers.</param>
    /// <param name="bytes">A multiple of <see cref="FixedMemory.LineBytes"/>.</param>
    /// <returns>Memory that holds its values, if the source is packed; else memory to be filled, its last line zeros.</returns>
    public FixedMemory Block(string name, PanelType type, long bytes)
    {
        if (_packed is not null)
        {
            MappedBytes += bytes;
            return _packed.Get(name, type, bytes);
        }

        var memory = new FixedMemory(this, (byte*)NativeMemory.AlignedAlloc((nuint)bytes, FixedMemory.LineBytes), bytes);
        _blocks.Add(new WeightBlock(name, type, memory));
        memory.Slice(bytes - FixedMemory.LineBytes, FixedMemory.LineBytes).Span<byte>().Clear();
        return memory;
    }

    /// <summary>Notes that a tensor was read into an array.</summary>
    public void Note(string name, int elements)
    {
        if (_values.Add(name))
            _vectorBytes += (long)elements * sizeof(float);
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        foreach (WeightBlock block in _blocks)
        {
            fixed (byte* address = block.Memory.Span<byte>())
                NativeMemory.AlignedFree(address);
        }

        _blocks.Clear();
        _source?.Dispose();
        return true;
    }
}

/// <summary>A piece of a <see cref="WeightStore"/>.</summary>
/// <param name="Name">Of the matrix or table that it holds.</param>
/// <param name="Type">Of its numbers.</param>
/// <param name="Memory">Whole cache lines.</param>
internal sealed record WeightBlock(string Name, PanelType Type, FixedMemory Memory);
