using System.Text.Json.Nodes;
using System.Text.Json.Serialization;

namespace Glip.WeightsTools;

[JsonSerializable(typeof(JsonObject))]
internal sealed partial class ConfigJson : JsonSerializerContext;
