using System.CommandLine;
using Glip.Kernels;

namespace Glip.Harness;

/// <summary>The options that all benches share.</summary>
internal sealed class MachineOptions
{
    private readonly Option<int> _threads = new("--threads") { Description = "threads, 0 for one a processor" };
    private readonly Option<string> _isa = new("--isa") { Description = "instruction set", DefaultValueFactory = _ => "auto" };
    private readonly Option<bool> _json = new("--json") { Description = "print JSON" };

    public void AddTo(Command command)
    {
        command.Options.Add(_threads);
        command.Options.Add(_isa);
        command.Options.Add(_json);
    }

    public int Threads(ParseResult parsed) => parsed.GetValue(_threads) is var threads and not 0 ? threads : Environment.ProcessorCount;

    public SimdIsa Isa(ParseResult parsed) => SimdIsas.Parse(parsed.GetValue(_isa)!);

    public bool Json(ParseResult parsed) => parsed.GetValue(_json);
}
