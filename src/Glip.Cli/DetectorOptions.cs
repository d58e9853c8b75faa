using System.CommandLine;
using Glip.Kernels;
using Glip.Managed;

namespace Glip.Cli;

/// <summary>The options that <c>detect</c> and <c>trace</c> share: which model, on what machine, at which picture size.</summary>
internal sealed class DetectorOptions
{
    private const string BestIsa = "auto";
    private const int MostThreads = 1024;

    private static readonly string[] _isaNames = [BestIsa, .. Array.ConvertAll([.. SimdIsas.All], SimdIsas.Name)];

    private readonly Option<string?> _model = new("--model")
    {
        Description = "Model file, or procedural:CONFIG:SEED for test weights made by a formula (with --vocab). Default: the small model that comes with glip.",
        HelpName = "M",
    };

    private readonly Option<string?> _vocabulary = new("--vocab")
    {
        Description = "WordPiece vocabulary, one token a line; replaces the one in the model file.",
        HelpName = "FILE",
    };

    private readonly Option<string> _isa = new("--isa")
    {
        Description = $"Instruction set: {string.Join(", ", _isaNames)}.",
        HelpName = "NAME",
        DefaultValueFactory = _ => BestIsa,
    };

    private readonly Option<bool> _deterministic = new("--deterministic")
    {
        Description = $"The same bits on every processor: --isa {SimdIsa.Portable.Name()}. Slower.",
    };

    private readonly Option<int?> _threads = NumberOption.Count("--threads", "Threads to use; 0, the default, means one a processor.", MostThreads);

    private readonly Option<int?> _minSize = NumberOption.Count("--min-size", "Length that the picture's shorter side is resized to; 0 keeps the size. Default: the model's.");

    private readonly Option<int?> _maxSize = NumberOption.Count("--max-size", "Cap on the longer side after resizing; 0 for none. Default: the model's.");

    public DetectorOptions()
    {
        _isa.Validators.Add(result =>
        {
            if (result.Tokens is [{ Value: var name }] && !_isaNames.Contains(name))
                result.AddError($"--isa '{name}' is not an instruction set: expected one of {string.Join(", ", _isaNames)}");
        });
    }

    public void AddTo(Command command)
    {
        command.Add(_model);
        command.Add(_vocabulary);
        command.Add(_isa);
        command.Add(_deterministic);
        command.Add(_threads);
        command.Add(_minSize);
        command.Add(_maxSize);
    }

    public ModelReference Model(ParseResult parsed) => ModelReference.Parse(parsed.GetValue(_model), parsed.GetValue(_vocabulary));

    /// <exception cref="UsageException">Options that do not go together.</exception>
    public GlipOptions Machine(ParseResult parsed)
    {
        (string isa, bool deterministic) = (parsed.GetRequiredValue(_isa), parsed.GetValue(_deterministic));
        if (deterministic && isa != BestIsa && isa != SimdIsa.Portable.Name())
            throw new UsageException($"--deterministic computes alike on every machine and does not go with --isa {isa}");
        return new() { Isa = isa, Deterministic = deterministic, Threads = parsed.GetValue(_threads) ?? 0 };
    }

    public int? MinSize(ParseResult parsed) => parsed.GetValue(_minSize);

    public int? MaxSize(ParseResult parsed) => parsed.GetValue(_maxSize);
}
