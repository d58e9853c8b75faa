using System.Globalization;
using Glip.Managed;
using Glip.Managed.Model;
using Glip.Managed.Weights;
using Glip.WeightsTools.Tensors;

namespace Glip.WeightsTools.Commands;

/// <summary>What a file of tensors holds, for people.</summary>
internal static class FileSummary
{
    private const int ShownDigits = 16;

    /// <summary>Writes kind, configuration and parameters by part; then, if asked, every tensor with type, shape and hash.</summary>
    public static void Write(TensorFile file, bool withTensors, TextWriter output)
    {
        if (file.Metadata.ContainsKey(ModelFile.FormatKey))
            WriteModel(file.Path, output);
        else
            WriteCheckpoint(file, output);
        if (withTensors)
            WriteTensors(file, output);
    }

    private static void WriteModel(string path, TextWriter output)
    {
        using ModelFile model = ModelFile.Open(path);
        ModelSummary.Of(model).WriteTo(output);
    }

    /// <summary>A checkpoint has no configuration of its own; what its shapes say is shown, or why they do not say enough.</summary>
    private static void WriteCheckpoint(TensorFile file, TextWriter output)
    {
        output.WriteLine($"{"file",-15} {file.Path}");
        output.WriteLine($"{"kind",-15} {file.Kind}");
        if (file.SkippedSections.Count > 0)
            output.WriteLine($"{"other sections",-15} {string.Join(", ", file.SkippedSections.Select(DisplayText.Quote))}");
        string configuration;
        try
        {
            GlipConfig config = ConfigInference.Infer(file);
            configuration = $"{config.Name}, by its shapes";
        }
        catch (GlipFormatException e)
        {
            configuration = e.Message.Replace(file.Path + ": ", "", StringComparison.Ordinal);
        }

        output.WriteLine($"{"configuration",-15} {configuration}");
        ModelSummary.WriteParts(ModelSummary.CountByPart(FloatingTensors(file)), output);
    }

    /// <summary>Names and elements of what can be a parameter; buffers of whole numbers cannot.</summary>
    private static IEnumerable<(string Name, long Elements)> FloatingTensors(TensorFile file)
    {
        foreach (string name in file.Names)
        {
            file.TryDescribe(name, out TensorType type, out int[] shape);
            if (type.IsFloating())
                yield return (name, shape.Aggregate(1L, (product, dimension) => product * dimension));
        }
    }

    private static void WriteTensors(TensorFile file, TextWriter output)
    {
        var hashes = new TensorHashes();
        int width = file.Names.Select(name => name.Length).DefaultIfEmpty(0).Max();
        output.WriteLine();
        foreach (string name in file.Names)
        {
            file.TryDescribe(name, out TensorType type, out int[] shape);
            string hash = hashes.Add(file, name)[..ShownDigits];
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{DisplayText.Quote(name)[1..^1].PadRight(width)}  {type.SafetensorsName(),-4} {hash}  {DisplayText.Shape(shape)}"));
        }

        output.WriteLine();
        output.WriteLine($"sha-256 of all {file.Names.Count} tensors: {hashes.OfAll()}");
    }
}
