// Detections of the engine in the evaluation's scenes, one JSON object a line: SceneRunner FOLDER OUT [MODEL] [MINSIZE MAXSIZE]
using System.Globalization;
using System.Text.Json;
using Glip.Managed;
using Glip.Managed.Imaging.Codecs;

// Below what GLIP's own candidates can score after the root, so that everything is listed.
const float lowest = 0.01f;

if (args.Length is not (2 or 3 or 5))
{
    Console.Error.WriteLine("usage: SceneRunner FOLDER OUT [MODEL] [MINSIZE MAXSIZE]");
    return 2;
}

using GlipDetector detector = args.Length > 2 ? GlipDetector.Load(args[2]) : GlipDetector.LoadDefault();
int? Size(int argument) => args.Length == 5 ? int.Parse(args[argument], CultureInfo.InvariantCulture) : null;
var options = new DetectOptions { Threshold = lowest, MinSize = Size(3), MaxSize = Size(4) };
using var output = new StreamWriter(args[1]);
foreach (string line in File.ReadLines(Path.Combine(args[0], "scenes.jsonl")))
{
    using JsonDocument scene = JsonDocument.Parse(line);
    string image = scene.RootElement.GetProperty("image").GetString()!;
    DecodedImage picture = ImageFile.Read(Path.Combine(args[0], image));
    IReadOnlyList<Detection> found = detector.Detect(picture.View, scene.RootElement.GetProperty("prompt").GetString()!, options);
    var detections = found.Select(d => new { label = d.Label, score = d.Score, box = new[] { d.Box.X1, d.Box.Y1, d.Box.X2, d.Box.Y2 } });
    output.WriteLine(JsonSerializer.Serialize(new { image, detections }));
}

return 0;
