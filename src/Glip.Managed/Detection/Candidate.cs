namespace Glip.Managed.Postprocessing;

/// <summary>A label at a cell, with its box: what selection works on and what it returns.</summary>
/// <param name="Box">Absolute corners; in pixels of the resized image until selection scales them to the original picture.</param>
/// <param name="Score">0…1; the root of <paramref name="Probability"/> times centerness.</param>
/// <param name="Label">Number of the phrase, from 1.</param>
/// <param name="Level">Pyramid level, 0 is P3.</param>
/// <param name="Cell">Row-major index of the cell on its level, where the logits of the label's tokens stand.</param>
/// <param name="Probability">0…1; mean over the label's tokens, without centerness.</param>
internal readonly record struct Candidate(Box Box, float Score, int Label, int Level, int Cell, float Probability)
{
    /// <summary>Descending score. Equal scores go by place (level, cell, label), so that a picture always gives the same result.</summary>
    public static readonly Comparison<Candidate> ByScoreThenPlace = static (a, b) =>
    {
        int order = b.Score.CompareTo(a.Score);
        if (order == 0)
            order = a.Level.CompareTo(b.Level);
        if (order == 0)
            order = a.Cell.CompareTo(b.Cell);
        return order != 0 ? order : a.Label.CompareTo(b.Label);
    };

    /// <summary>Descending score, then ascending label, then the box's corners: an order that a caller can see and rely on.</summary>
    public static readonly Comparison<Candidate> ByScoreThenLabelThenBox = static (a, b) =>
    {
        int order = b.Score.CompareTo(a.Score);
        if (order == 0)
            order = a.Label.CompareTo(b.Label);
        if (order == 0)
            order = a.Box.X1.CompareTo(b.Box.X1);
        if (order == 0)
            order = a.Box.Y1.CompareTo(b.Box.Y1);
        if (order == 0)
            order = a.Box.X2.CompareTo(b.Box.X2);
        if (order == 0)
            order = a.Box.Y2.CompareTo(b.Box.Y2);

        // Boxes that agree in all of this can still come from two cells.
        return order != 0 ? order : ByScoreThenPlace(a, b);
    };
}
