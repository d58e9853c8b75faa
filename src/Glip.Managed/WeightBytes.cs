namespace Glip.Managed;

/// <summary>Where a detector's weights are, in bytes.</summary>
/// <param name="Mapped">Pages of a packed model file: shared with other processes that map it, read when first used, and the system's to drop and read again.</param>
/// <param name="Private">This process's own memory, outside the garbage collector's heap.</param>
/// <param name="Vectors">Norms, biases and tables in managed arrays.</param>
public readonly record struct WeightBytes(long Mapped, long Private, long Vectors);
