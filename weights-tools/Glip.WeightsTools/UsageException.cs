namespace Glip.WeightsTools;

/// <summary>Arguments that parse one by one but do not make sense, or not together.</summary>
internal sealed class UsageException(string message) : Exception(message);
