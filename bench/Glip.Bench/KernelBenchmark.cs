using BenchmarkDotNet.Attributes;
using Glip.Harness.Shapes;
using Glip.Kernels;
using Glip.Managed.Model;

namespace Glip.Bench;

/// <summary>One kernel at the shapes that GLIP-T has of it at 800×1216 and 11 tokens, under every instruction set of this machine, with one thread.</summary>
public abstract class KernelBenchmark
{
    private KernelContext? _context;
    private Action _call = () => { };

    /// <summary>Instruction sets that can run here.</summary>
    public static IEnumerable<string> Isas => SimdIsas.Available.Select(SimdIsas.Name);

    /// <summary>The model's shapes, as text.</summary>
    public IEnumerable<string> Shapes => ListShapes();

    /// <summary>The instruction set of a row.</summary>
    [ParamsSource(nameof(Isas))]
    public string Isa { get; set; } = "";

    /// <summary>The shape of a row.</summary>
    [ParamsSource(nameof(Shapes))]
    public string Shape { get; set; } = "";

    /// <summary>The model's sizes.</summary>
    private protected static GlipConfig Config { get; } = GlipConfig.Published("glip-t");

    /// <summary>All kernels of the model with their shapes.</summary>
    private protected static IReadOnlyList<ShapeUse> Model { get; } = ModelShapes.Of(Config, 800, 1216, 11);

    /// <summary>Makes inputs, weights and threads.</summary>
    [GlobalSetup]
    public void Setup()
    {
        _context = new KernelContext(SimdIsas.Parse(Isa));
        _call = Prepare(_context, Shape);
    }

    /// <summary>Ends the threads.</summary>
    [GlobalCleanup]
    public void Cleanup() => _context?.Dispose();

    /// <summary>One call of the kernel.</summary>
    [Benchmark]
    public void Forward() => _call();

    /// <summary>The model's shapes, as text. A method, because the source of parameters must not be virtual.</summary>
    protected abstract IEnumerable<string> ListShapes();

    /// <summary>Makes what a call needs.</summary>
    protected abstract Action Prepare(KernelContext context, string shape);
}
