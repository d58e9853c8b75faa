using System.CommandLine;
using Glip.Kernels;

namespace Glip.Harness.Commands;

/// <summary>The options that say with what kernels are run.</summary>
internal sealed class MachineOptions
{
    private const int MostThreads = 1024;

    private readonly Option<string> _isa = new("--isa")
    {
        Description = $"instruction set: auto, {string.Join(", ", SimdIsas.All.Select(SimdIsas.Name))}",
        HelpName = "NAME",
        DefaultValueFactory = _ => "auto",
    };

    private readonly Option<int?> _threads = NumberOption.Count("--threads", "threads, 0 (default) for one a processor", 0, MostThreads);

    public void AddTo(Command command)
    {
        command.Options.Add(_isa);
        command.Options.Add(_threads);
    }

    public int Threads(ParseResult parsed) => parsed.GetValue(_threads) is { } threads and not 0 ? threads : Environment.ProcessorCount;

    /// <exception cref="UsageException">An unknown name, or a set that this process cannot run.</exception>
    public SimdIsa Isa(ParseResult parsed)
    {
        string name = parsed.GetRequiredValue(_isa);
        string here = string.Join(", ", SimdIsas.Available.Select(SimdIsas.Name));
        if (name == "auto")
            return SimdIsas.Best;
        foreach (SimdIsa isa in SimdIsas.All)
        {
            if (isa.Name() == name)
                return SimdIsas.IsSupported(isa) ? isa : throw new UsageException($"--isa {name} cannot run here: this process has {here}");
        }

        throw new UsageException($"--isa '{name}' is not an instruction set: expected auto, {string.Join(", ", SimdIsas.All.Select(SimdIsas.Name))}");
    }
}
