"""Names → files: cards, profiles, samples, experiments and released agents.

A name such as ``openb-placement`` is looked up in one order, the same for every kind:

1. the path the user gives, when there is something at it;
2. the copy inside the installed package, ``rlsched/_assets/<kind>/``;
3. the folder ``<kind>/`` of the source checkout the package runs from.
"""

from __future__ import annotations

from pathlib import Path

from rlsched.errors import SpecError, did_you_mean

#: Kind → what one thing of it is called in messages, and the file that makes a folder one.
KINDS = {
    "traces": ("dataset card", None),
    "envs": ("environment card", None),
    "agents": ("agent", "card.toml"),
    "experiments": ("experiment", "experiment.toml"),
}

_PACKAGE = Path(__file__).resolve().parent


def package_dir() -> Path:
    """The folder of the installed package, ``.../rlsched``."""
    return _PACKAGE


def asset_roots(kind: str) -> list[Path]:
    """Folders searched for a kind, first wins; only those that exist.

    Parameters
    ----------
    kind : str
        A key of `KINDS`.
    """
    if kind not in KINDS:
        raise SpecError(f"unknown kind of asset {kind!r}.{did_you_mean(kind, KINDS)}")
    checkout = _PACKAGE.parent
    candidates = [_PACKAGE / "_assets" / kind]
    if (checkout / "pyproject.toml").is_file():  # not site-packages, where a stray 'traces' is somebody else's
        candidates.append(checkout / kind)
    return [path for path in candidates if path.is_dir()]


def list_assets(kind: str) -> dict[str, Path]:
    """Every packaged thing of a kind: name → TOML card, or folder for the kinds that are folders.

    The name is the file's without ``.toml``, or the folder's. Ascending by name; where two
    roots hold the same name the first root wins, as in :func:`find_asset`.
    """
    marker = KINDS[kind][1] if kind in KINDS else None
    found: dict[str, Path] = {}
    for root in asset_roots(kind):
        if marker is None:
            entries = {path.stem: path for path in root.glob("*.toml") if path.is_file()}
        else:
            entries = {path.parent.name: path.parent for path in root.glob(f"*/{marker}")}
        found = {**entries, **found}
    return dict(sorted(found.items()))


def find_asset(kind: str, name: str | Path) -> Path:
    """Find one card, folder or file by name or path.

    Parameters
    ----------
    kind : str
        A key of `KINDS`.
    name : str or Path
        A path of the user's, a bare name (``"alibaba-gpu-2023"``), or a path below the kind's
        folder (``"profiles/azure-v1.toml"``); ``.toml`` may be left out.

    Returns
    -------
    Path
        Of something that exists: a file, or a folder for the kinds that are folders.

    Raises
    ------
    SpecError
        When there is nothing of that name; names the nearest known one.
    """
    known = list_assets(kind)  # also refuses an unknown kind
    text = str(name)
    if text and Path(text).exists():
        return Path(text)
    if text in known:
        return known[text]
    for root in asset_roots(kind):
        for candidate in (root / text, root / f"{text}.toml"):
            if text and candidate.exists() and candidate != root:
                return candidate
    what = KINDS[kind][0]
    raise SpecError(f"no {what} {text!r}: it is neither a path nor a known name.{did_you_mean(text, known)}")
