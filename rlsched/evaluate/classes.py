"""Who takes part in a run as what: textbook, published, tuned, learned."""

from __future__ import annotations

from rlsched.evaluate.results import Document

#: In the order of tables.
CLASSES = ("textbook", "published", "tuned", "learned")


def classes_of(document: Document) -> dict[str, str]:
    """Class → policy: the references by their roles, and the first learned one the card names.

    The first, not the best of several: who speaks for the learned ones is not chosen by these results.
    """
    p = document["provenance"]
    there = {row["policy"] for row in document["rows"]}
    out = {role: name for role, name in p.get("references", {}).items() if name in there}
    learned = learned_in(document)
    if learned:
        out["learned"] = learned[0]
    return {role: out[role] for role in CLASSES if role in out}


def learned_in(document: Document) -> list[str]:
    """Names of the trained policies of a run, of whichever kind."""
    p = document["provenance"]
    there = list(dict.fromkeys(row["policy"] for row in document["rows"]))
    trained = {one["name"] for one in p.get("policies", []) if {"metadata", "trained"} & set(one)} | set(
        p.get("agents", {})
    )
    return [name for name in there if name in trained]


def pair_of(document: Document) -> tuple[str, str] | None:
    """The two policies whose differences are worth a look: the learned or the tuned one, and who it has to beat.

    Returns
    -------
    (str, str) or None
        Learned and tuned; without a learned one, tuned and published or textbook; None where no two of them ran.
    """
    there = classes_of(document)
    for a, b in (("learned", "tuned"), ("tuned", "published"), ("tuned", "textbook"), ("learned", "published")):
        if a in there and b in there and there[a] != there[b]:
            return there[a], there[b]
    return None
