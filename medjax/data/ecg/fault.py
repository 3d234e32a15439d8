"""What makes a recording unusable."""


class RecordFault(ValueError):
    """A recording that cannot be used. The text is the same for all with one fault: the manifest
    counts by it, and an error shows it after the name of the file and the place in it."""

    def __init__(self, text: str, where: str = "") -> None:
        """Take the fault and, where it is known, its place, as "row 3, column 2"."""
        super().__init__(text)
        self.where = where


class MissingFile(RecordFault):
    """A recording whose file is not there, as in a partial copy of a data set."""
