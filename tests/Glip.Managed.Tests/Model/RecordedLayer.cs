using System.Runtime.InteropServices;
using System.Text.Json;
using Glip.Kernels;
using Glip.Managed;
using Glip.Managed.Memory;
using Glip.Managed.Model;
using Glip.Managed.Weights;

namespace Glip.Tests.Model;

/// <summary>One layer that the original ran alone: its parameters, inputs and outputs; and our layer beside it, under one instruction set.</summary>
internal sealed class RecordedLayer : IDisposable
{
    private const int Workers = 2;

    private readonly GoldenTensors _tensors;
    private readonly WorkerPool _pool = new(Workers);
    private readonly SimdIsa _isa;

    public RecordedLayer(string name, SimdIsa isa)
    {
        _tensors = GoldenTensors.Load(TestData.Path("ops", name + ".safetensors"));
        using JsonDocument info = JsonDocument.Parse(_tensors.Metadata["info"]);
        Info = info.RootElement.Clone();
        _isa = isa;
        Weights = new WeightReader(new Parameters(_tensors), new KernelContext(isa, _pool));
    }

    /// <summary>Sizes that the recording states.</summary>
    public JsonElement Info { get; }

    /// <summary>The recorded parameters.</summary>
    public WeightReader Weights { get; }

    /// <summary>Every recording of a list under every instruction set of this machine.</summary>
    public static TheoryData<string, SimdIsa> Cases(params string[] names)
    {
        var cases = new TheoryData<string, SimdIsa>();
        foreach (string name in names)
        {
            foreach (SimdIsa isa in SimdIsas.Available)
                cases.Add(name, isa);
        }

        return cases;
    }

    public int Size(string name) => Info.GetProperty(name).GetInt32();

    public int[] Shape(string tensor) => _tensors[tensor].Shape;

    /// <summary>A tensor's values in a new array.</summary>
    public float[] Values(string tensor) => _tensors[tensor].Float.ToArray();

    public int[] Integers(string tensor) => [.. _tensors[tensor].Long.ToArray().Select(v => (int)v)];

    /// <summary>A map [1, C, H, W] in our layout [H·W, C].</summary>
    public float[] Map(string tensor)
    {
        int[] shape = Shape(tensor);
        int channels = shape[1], cells = shape[2] * shape[3];
        float[] planes = Values(tensor), map = new float[planes.Length];
        for (int i = 0; i < map.Length; i++)
            map[i] = planes[(i % channels * cells) + (i / channels)];
        return map;
    }

    /// <summary>Runs a layer as a detector does: first to learn what memory it needs, then with exactly that.</summary>
    /// <param name="forward">Called twice; what the first call computes is thrown away before it is written.</param>
    public void Run(Action<ForwardPass> forward)
    {
        var planning = new ForwardPass(new KernelContext(_isa, _pool, planning: true), Workspace.CreatePlanning());
        forward(planning);
        var pass = new ForwardPass(new KernelContext(_isa, _pool), Workspace.Create());
        pass.Workspace.Reserve(planning.Workspace.PeakFloats);
        pass.Kernels.ReserveScratch(planning.Kernels.ScratchFloats);
        forward(pass);
        Assert.Equal(planning.Workspace.PeakFloats, pass.Workspace.PeakFloats);
        Assert.Equal(planning.Kernels.ScratchFloats, pass.Kernels.ScratchFloats);
        Assert.Equal(0, pass.Workspace.Rented);
    }

    /// <summary>Fails unless all values differ by no more than a part of the largest expected one.</summary>
    public static void AssertClose(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual, double tolerance)
    {
        Assert.Equal(expected.Length, actual.Length);
        Difference worst = Difference.Between(expected, actual);
        Assert.True(
            worst.Relative <= tolerance,
            $"element {worst.Index}: expected {expected[worst.Index]}, found {actual[worst.Index]}: {worst.Relative:E2} of the largest value, {tolerance:E1} is allowed");
    }

    public void Dispose() => _pool.Dispose();

    /// <summary>The tensors "param.*" as a model's weights.</summary>
    private sealed class Parameters(GoldenTensors tensors) : WeightSource
    {
        private const string Prefix = "param.";

        public override string Name => "recording";

        public override GlipConfig Config { get; } = new();

        public override ReadOnlyMemory<byte> Vocabulary => default;

        public override IReadOnlyCollection<string> TensorNames =>
            [.. tensors.Keys.Where(k => k.StartsWith(Prefix, StringComparison.Ordinal)).Select(k => k[Prefix.Length..])];

        public override bool TryGetTensor(string name, out WeightTensor tensor)
        {
            bool found = tensors.TryGetValue(Prefix + name, out GoldenTensor? stored);
            tensor = found ? new WeightTensor(name, TensorType.F32, stored!.Shape, MemoryMarshal.AsBytes(stored.Float)) : default;
            return found;
        }
    }
}
