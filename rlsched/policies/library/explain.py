"""``Explanation``: the candidates' scores, what a heuristic would have done, and why they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from rlsched.policies.library.decide import Decision


@dataclass(frozen=True)
class Explanation:
    """Why a request goes where it goes.

    Parameters
    ----------
    policy : str
    decision : Decision
    heuristic : str
        Name of the heuristic it is compared with.
    other : Decision
        What that heuristic would have done.
    candidates : sequence of dict
        One a candidate, best first: ``machine_id, row, equal`` (machines in equal state),
        ``score`` (the policy's), ``heuristic_score``, and the features or rules by name.
    why : sequence of str
        What makes the difference, the largest part first; empty where both agree.
    """

    policy: str
    decision: Decision
    heuristic: str
    other: Decision
    candidates: Sequence[Mapping[str, Any]]
    why: Sequence[str]

    @property
    def agree(self) -> bool:
        """True where both choose the same machine, or both none."""
        return self.decision.row == self.other.row

    @property
    def frame(self) -> pd.DataFrame:
        """The candidates as a table."""
        import pandas as pd

        return pd.DataFrame(list(self.candidates))

    def __str__(self) -> str:
        if not self.decision:
            return f"{self.policy}: nowhere; {self.decision.reason}."
        lines = [f"{self.policy}: {self.decision.machine_id} (row {self.decision.row}){_gpus(self.decision)}"]
        same = "the same machine" if self.agree else f"{self.other.machine_id} (row {self.other.row})"
        lines.append(f"{self.heuristic} would choose {same}{'' if self.agree else _gpus(self.other)}.")
        width = max(len(str(one["machine_id"])) for one in self.candidates)
        lines.append(f"{'machine':<{max(width, 7)}}  {'score':>10}  {'heuristic':>10}  equal")
        for one in self.candidates:
            lines.append(
                f"{one['machine_id']!s:<{max(width, 7)}}  {one['score']:>10.4g}  {one['heuristic_score']:>10.4g}  "
                f"{one['equal']:>5}"
            )
        lines += ["Why:", *(f"  {one}" for one in self.why)] if self.why else []
        lines += [f"Assumed: {one}." for one in self.decision.assumed]
        return "\n".join(lines)


def _gpus(decision: Decision) -> str:
    return f", GPU{'s' if len(decision.devices) > 1 else ''} {', '.join(map(str, decision.devices))}" * bool(
        decision.devices
    )
