"""A split of patients by a hash of their id, for data without a published split."""

import hashlib

TEST_SHARE = 0.20
VALIDATION_SHARE = 0.08
HASH_RULE = "hash of the {} (test 20 %, validation 8 %)"


def hash_split(subject: str) -> str:
    """Return "train", "validation" or "test" for the decimal (or other) text of an id.

    The first 32 bits of its SHA-256 as a fraction: below 0.20 test, below 0.28 validation.
    """
    u = hash_fraction(subject)
    if u < TEST_SHARE:
        return "test"
    return "validation" if u < TEST_SHARE + VALIDATION_SHARE else "train"


def hash_fraction(subject: str) -> float:
    """Return the first 32 bits of the SHA-256 of an id's text as a fraction from 0 to 1."""
    return int(hashlib.sha256(subject.encode()).hexdigest()[:8], 16) / 2**32
