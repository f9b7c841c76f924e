"""Names of data sets: one spelling for each."""

import unicodedata

from spikeveil.host.privacy.ledger.fields import text


def normal_name(name: object) -> str:
    """`name` in its normal form: Unicode NFKC, lower case (case folding), single blanks, none at the ends.

    `Digits`, `digits ` and a full-width spelling are the same data set. ValueError where it is not 1 to 200 printable
    characters.
    """
    if not isinstance(name, str):
        return text("data set", name)
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return text("data set", " ".join(folded.split()))
