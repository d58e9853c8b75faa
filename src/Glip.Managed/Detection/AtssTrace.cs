namespace Glip.Managed.Postprocessing;

/// <summary>What selection saw on its way, for comparison with another implementation. In pixels of the resized image.</summary>
internal sealed class AtssTrace
{
    /// <summary>Candidates of all levels after the cut per level, clipped, in descending score.</summary>
    public IReadOnlyList<Candidate> PreNms { get; internal set; } = [];

    /// <summary>The selected ones before scaling, in descending score.</summary>
    public IReadOnlyList<Candidate> Selected { get; internal set; } = [];
}
