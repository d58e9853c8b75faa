using System.CommandLine;
using System.Globalization;
using Glip.Harness.Shapes;
using Glip.Managed.Model;

namespace Glip.Harness.Commands;

/// <summary>The options that choose models, picture sizes and prompt lengths; each may be given several times.</summary>
internal sealed class ModelOptions
{
    private readonly Option<string[]> _config = new("--config")
    {
        Description = $"model: {string.Join(", ", GlipConfig.PublishedNames)}",
        HelpName = "NAME",
        DefaultValueFactory = _ => ["glip-t", "glip-l"],
    };

    private readonly Option<string[]> _size = new("--size")
    {
        Description = "picture rows x columns, used without resizing",
        HelpName = "HxW",
        DefaultValueFactory = _ => ["800x1216", "480x640"],
    };

    private readonly Option<int[]> _tokens = new("--tokens")
    {
        Description = "text tokens, [CLS] and [SEP] included",
        HelpName = "N",
        DefaultValueFactory = _ => [11],
    };

    public void AddTo(Command command)
    {
        command.Options.Add(_config);
        command.Options.Add(_size);
        command.Options.Add(_tokens);
    }

    /// <summary>The shapes of all chosen combinations.</summary>
    public IEnumerable<(string Config, string Size, int Tokens, IReadOnlyList<ShapeUse> Uses)> Shapes(ParseResult parsed) =>
        from config in parsed.GetRequiredValue(_config)
        from size in parsed.GetRequiredValue(_size)
        from tokens in parsed.GetRequiredValue(_tokens)
        let sides = ParseSize(size)
        select (config, size, tokens, ModelShapes.Of(ParseConfig(config), sides.Height, sides.Width, tokens));

    /// <summary>Finds a published model.</summary>
    /// <exception cref="UsageException">There is none of this name.</exception>
    public static GlipConfig ParseConfig(string name) => GlipConfig.PublishedNames.Contains(name)
        ? GlipConfig.Published(name)
        : throw new UsageException($"--config must be one of {string.Join(", ", GlipConfig.PublishedNames)}, found '{name}'");

    /// <summary>Reads <c>800x1216</c>.</summary>
    /// <exception cref="UsageException">Something else.</exception>
    public static (int Height, int Width) ParseSize(string size)
    {
        if (size.Split('x') is [var rows, var columns]
            && int.TryParse(rows, NumberStyles.None, CultureInfo.InvariantCulture, out int height) && height > 0
            && int.TryParse(columns, NumberStyles.None, CultureInfo.InvariantCulture, out int width) && width > 0)
            return (height, width);
        throw new UsageException($"--size must be rows x columns, such as 800x1216, found '{size}'");
    }
}
