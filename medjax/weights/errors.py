"""What is wrong inside a weights file; the front adds the file's name."""


class MalformedError(Exception):
    """The file is not what its format promises, or holds what no weights file needs."""
