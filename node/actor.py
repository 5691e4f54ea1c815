"""Say who is at the command line, for the audit."""


def actor() -> str:
    """Return the user who runs this command, as far as the system knows."""
    import getpass

    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return "cli"
