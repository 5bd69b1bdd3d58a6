"""What can go wrong, with the exit codes of matte_file."""

from __future__ import annotations

DONE, OTHER, USAGE, INPUT, OUTPUT, MODEL, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130


class Failure(Exception):
    """A failure in one sentence: what failed, and what to do."""

    def __init__(self, code: int, sentence: str, kind: str = "") -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        # What the driver does about it, where the code alone does not tell: see driver.py.
        self.kind = kind

    def __reduce__(self) -> tuple[type[Failure], tuple[int, str, str]]:
        return Failure, (self.code, self.sentence, self.kind)
