using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Text;
using Glip.Managed;
using Glip.Managed.Weights;

namespace Glip.WeightsTools.Torch;

/// <summary>
/// Reader of Python pickles, protocols 2 to 5, as far as torch's checkpoints need them. A pickle is a program for a stack
/// machine; this one can build plain values and the few names in <see cref="TorchGlobals"/>, and run nothing.
/// </summary>
/// <remarks>
/// Work and memory are bounded by the input: every opcode makes at most one value, none copies another, and nothing recurses.
/// Messages carry the position; the caller adds the file's name.
/// </remarks>
internal sealed class PickleReader
{
    /// <summary>A GLIP-L checkpoint with its optimiser's state and a second copy of the weights has about 250 000; each can cost 50 bytes of memory.</summary>
    private const int MaxOpcodes = 1_000_000;

    private const int MaxNesting = 1_000;
    private const int MaxNameBytes = 1_000;

    private readonly ReadOnlyMemory<byte> _data;
    private readonly List<object?> _stack = [];
    private readonly Stack<int> _marks = [];
    private readonly Dictionary<long, object?> _memo = [];
    private int _position;

    private PickleReader(ReadOnlyMemory<byte> data) => _data = data;

    /// <summary>Reads one pickle.</summary>
    /// <exception cref="GlipFormatException">It is damaged, uses what checkpoints do not need, or refers to a name that is not allowed.</exception>
    public static object? Read(ReadOnlyMemory<byte> data) => Read(data, out _);

    /// <summary>Reads the first of several pickles.</summary>
    /// <param name="data">Begins with the pickle.</param>
    /// <param name="length">Bytes that it has.</param>
    /// <exception cref="GlipFormatException">It is damaged, uses what checkpoints do not need, or refers to a name that is not allowed.</exception>
    public static object? Read(ReadOnlyMemory<byte> data, out int length)
    {
        var reader = new PickleReader(data);
        try
        {
            object? value = reader.Run();
            PickleGraph.Check(value);
            length = reader._position;
            return value;
        }
        catch (GlipFormatException e)
        {
            throw new GlipFormatException($"at byte {reader._position}: {e.Message}", e);
        }
    }

    private object? Run()
    {
        if (ReadByte() != Op.Proto || ReadByte() is not (>= 2 and <= 5))
            throw new GlipFormatException("not a pickle of protocol 2 to 5");
        for (int count = 0; count < MaxOpcodes; count++)
        {
            byte op = ReadByte();
            if (op == Op.Stop)
                return Pop();
            Execute(op);
        }

        throw new GlipFormatException($"more than {MaxOpcodes} opcodes");
    }

    private void Execute(byte op)
    {
        switch (op)
        {
            // Plain values
            case Op.None: Push(null); break;
            case Op.NewTrue: Push(true); break;
            case Op.NewFalse: Push(false); break;
            case Op.BinInt1: Push((long)ReadByte()); break;
            case Op.BinInt2: Push((long)BinaryPrimitives.ReadUInt16LittleEndian(Take(2))); break;
            case Op.BinInt: Push((long)BinaryPrimitives.ReadInt32LittleEndian(Take(4))); break;
            case Op.Long1: Push(ReadLong(ReadByte())); break;
            case Op.BinFloat: Push(BinaryPrimitives.ReadDoubleBigEndian(Take(8))); break;
            case Op.ShortBinUnicode: Push(ReadText(ReadByte())); break;
            case Op.BinUnicode: Push(ReadText(ReadLength4())); break;
            case Op.BinUnicode8: Push(ReadText(ReadLength8())); break;
            case Op.ShortBinString: Push(Encoding.Latin1.GetString(Take(ReadByte()))); break;
            case Op.BinString: Push(Encoding.Latin1.GetString(Take(ReadLength4()))); break;
            case Op.ShortBinBytes: Push(Take(ReadByte()).ToArray()); break;
            case Op.BinBytes: Push(Take(ReadLength4()).ToArray()); break;
            case Op.BinBytes8 or Op.ByteArray8: Push(Take(ReadLength8()).ToArray()); break;

            // Containers
            case Op.EmptyTuple: Push(new PickleTuple([])); break;
            case Op.Tuple1: Push(new PickleTuple(PopMany(1))); break;
            case Op.Tuple2: Push(new PickleTuple(PopMany(2))); break;
            case Op.Tuple3: Push(new PickleTuple(PopMany(3))); break;
            case Op.Tuple: Push(new PickleTuple(PopToMark())); break;
            case Op.EmptyList: Push(new PickleList([])); break;
            case Op.EmptyDict: Push(new PickleDict()); break;
            case Op.EmptySet: Push(new PickleOpaque("set")); break;
            case Op.FrozenSet: _ = PopToMark(); Push(new PickleOpaque("frozenset")); break;
            case Op.Append: Append([Pop()]); break;
            case Op.Appends or Op.AddItems: Append(PopToMark()); break;
            case Op.SetItem: SetItems(PopMany(2)); break;
            case Op.SetItems: SetItems(PopToMark()); break;

            // The stack and the memo
            case Op.Mark: Mark(); break;
            case Op.Pop: _ = Pop(); break;
            case Op.PopMark: _ = PopToMark(); break;
            case Op.Dup: Push(Peek()); break;
            case Op.BinPut: _memo[ReadByte()] = Peek(); break;
            case Op.LongBinPut: _memo[BinaryPrimitives.ReadUInt32LittleEndian(Take(4))] = Peek(); break;
            case Op.Memoize: _memo[_memo.Count] = Peek(); break;
            case Op.BinGet: Recall(ReadByte()); break;
            case Op.LongBinGet: Recall(BinaryPrimitives.ReadUInt32LittleEndian(Take(4))); break;
            case Op.Frame: _ = Take(8); break; // only a hint of how much to read ahead

            // Names, calls and storages
            case Op.Global: Push(TorchGlobals.Find(ReadLine(), ReadLine())); break;
            case Op.StackGlobal: StackGlobal(); break;
            case Op.Reduce or Op.NewObject: Call(); break;
            case Op.NewObjectEx: RequireNoKeywords(); Call(); break;
            case Op.Instance: _ = TorchGlobals.Find(ReadLine(), ReadLine()); throw Unsupported(op); // names the class, if it is a bad one
            case Op.Build: Build(); break;
            case Op.BinPersId: Push(TorchGlobals.Storage(Pop())); break;

            default: throw Unsupported(op);
        }
    }

    private static GlipFormatException Unsupported(byte op) => new($"opcode 0x{op:X2} is not supported: no checkpoint needs it");

    private void RequireNoKeywords()
    {
        if (Pop() is not PickleDict { Pairs.Count: 0 })
            throw new GlipFormatException("a call with keywords");
    }

    private void Call()
    {
        object? args = Pop();
        object? callee = Pop();
        if (callee is not PickleGlobal { Call: { } call } || args is not PickleTuple tuple)
            throw new GlipFormatException("a call of something that cannot be called");
        Push(call(tuple.Items));
    }

    /// <summary>Attributes that Python would set on an object: <c>_metadata</c> of a state dict, say. No weight depends on any.</summary>
    private void Build()
    {
        _ = Pop();
        if (Peek() is not (PickleDict or PickleOpaque))
            throw new GlipFormatException("attributes are set on something that has none");
    }

    private void StackGlobal()
    {
        object? name = Pop();
        object? module = Pop();
        if (module is not string moduleText || name is not string nameText)
            throw new GlipFormatException("expected a module and a name");
        Push(TorchGlobals.Find(moduleText, nameText));
    }

    private void Append(object?[] items)
    {
        switch (Peek())
        {
            case PickleList list:
                list.Items.AddRange(items);
                break;
            case PickleOpaque:
                break;
            default:
                throw new GlipFormatException("items are appended to something that is not a list");
        }
    }

    private void SetItems(object?[] items)
    {
        if (items.Length % 2 != 0)
            throw new GlipFormatException("a dict is given a key without a value");
        switch (Peek())
        {
            case PickleDict dict:
                for (int i = 0; i < items.Length; i += 2)
                    dict.Pairs.Add(new(items[i], items[i + 1]));
                break;
            case PickleOpaque:
                break;
            default:
                throw new GlipFormatException("items are put into something that is not a dict");
        }
    }

    private void Mark()
    {
        if (_marks.Count == MaxNesting)
            throw new GlipFormatException($"nested deeper than {MaxNesting}");
        _marks.Push(_stack.Count);
    }

    private void Recall(long index) =>
        Push(_memo.TryGetValue(index, out object? value) ? value : throw new GlipFormatException($"memo {index} is read before it is written"));

    private void Push(object? value) => _stack.Add(value);

    private object? Peek() => _stack.Count > 0 ? _stack[^1] : throw new GlipFormatException("the stack is empty");

    private object? Pop()
    {
        object? top = Peek();
        _stack.RemoveAt(_stack.Count - 1);
        return top;
    }

    private object?[] PopToMark()
    {
        if (!_marks.TryPop(out int mark) || mark > _stack.Count)
            throw new GlipFormatException("a mark is missing");
        return PopMany(_stack.Count - mark);
    }

    private object?[] PopMany(int count)
    {
        if (count > _stack.Count)
            throw new GlipFormatException("the stack is empty");
        object?[] items = CollectionsMarshal.AsSpan(_stack)[^count..].ToArray();
        _stack.RemoveRange(_stack.Count - count, count);
        return items;
    }

    private byte ReadByte() => Take(1)[0];

    private int ReadLength4()
    {
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(Take(4));
        return length <= int.MaxValue ? (int)length : throw new GlipFormatException($"a text of {length} bytes");
    }

    private int ReadLength8()
    {
        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(Take(8));
        return length <= int.MaxValue ? (int)length : throw new GlipFormatException($"a text of {length} bytes");
    }

    private string ReadText(int length) => Encoding.UTF8.GetString(Take(length));

    /// <summary>A little-endian two's complement number: a long, or a BigInteger (seeds of random generators) if it has more bytes.</summary>
    private object ReadLong(int length)
    {
        ReadOnlySpan<byte> bytes = Take(length);
        if (length > sizeof(long))
            return new BigInteger(bytes);
        long value = length > 0 && (bytes[^1] & 0x80) != 0 ? -1 : 0;
        for (int i = length - 1; i >= 0; i--)
            value = (value << 8) | bytes[i];
        return value;
    }

    private string ReadLine()
    {
        ReadOnlySpan<byte> rest = _data.Span[_position..];
        int length = rest[..Math.Min(rest.Length, MaxNameBytes)].IndexOf((byte)'\n');
        if (length < 0)
            throw new GlipFormatException("a name does not end");
        string line = Encoding.UTF8.GetString(Take(length));
        _position++;
        return line;
    }

    private ReadOnlySpan<byte> Take(int count)
    {
        if (count > _data.Length - _position)
            throw new GlipFormatException($"the pickle is truncated: {count} more bytes expected, {_data.Length - _position} left");
        ReadOnlySpan<byte> bytes = _data.Span.Slice(_position, count);
        _position += count;
        return bytes;
    }

    /// <summary>Opcodes by the names of Python's pickletools.</summary>
    private static class Op
    {
        public const byte Mark = (byte)'(', Stop = (byte)'.', Pop = (byte)'0', PopMark = (byte)'1', Dup = (byte)'2';
        public const byte BinFloat = (byte)'G', BinInt = (byte)'J', BinInt1 = (byte)'K', BinInt2 = (byte)'M', None = (byte)'N';
        public const byte BinPersId = (byte)'Q', Reduce = (byte)'R', BinString = (byte)'T', ShortBinString = (byte)'U', BinUnicode = (byte)'X';
        public const byte Append = (byte)'a', Build = (byte)'b', Global = (byte)'c', Appends = (byte)'e';
        public const byte BinGet = (byte)'h', LongBinGet = (byte)'j', BinPut = (byte)'q', LongBinPut = (byte)'r';
        public const byte SetItem = (byte)'s', Tuple = (byte)'t', SetItems = (byte)'u';
        public const byte EmptyTuple = (byte)')', EmptyList = (byte)']', EmptyDict = (byte)'}';
        public const byte BinBytes = (byte)'B', ShortBinBytes = (byte)'C';
        public const byte Proto = 0x80, NewObject = 0x81, Tuple1 = 0x85, Tuple2 = 0x86, Tuple3 = 0x87, NewTrue = 0x88, NewFalse = 0x89, Long1 = 0x8A;
        public const byte ShortBinUnicode = 0x8C, BinUnicode8 = 0x8D, BinBytes8 = 0x8E, EmptySet = 0x8F, AddItems = 0x90, FrozenSet = 0x91;
        public const byte Instance = (byte)'i', NewObjectEx = 0x92, StackGlobal = 0x93, Memoize = 0x94, Frame = 0x95, ByteArray8 = 0x96;
    }
}
