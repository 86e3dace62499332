"""The frames of errors, whose local variables may have passwords."""


def forget_frames(error: BaseException) -> None:
    """Remove the frames of an error and of its causes: their local variables have passwords.

    Programs that report errors may send the local variables of each frame.
    """
    error.__traceback__ = None
    for earlier in (error.__cause__, error.__context__):
        if earlier is not None and earlier.__traceback__ is not None:
            forget_frames(earlier)
