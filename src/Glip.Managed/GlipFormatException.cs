namespace Glip.Managed;

/// <summary>A model, checkpoint, vocabulary or picture file that is not what it should be. The message names the file or tensor, what was expected and what was found.</summary>
public sealed class GlipFormatException : Exception
{
    /// <summary>Creates the exception with a message for the person who holds the file.</summary>
    public GlipFormatException(string message) : base(message)
    {
    }

    /// <summary>Creates the exception with a message and the error that revealed it.</summary>
    public GlipFormatException(string message, Exception inner) : base(message, inner)
    {
    }
}
