"""Everything that can be known before anything is made."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from replicator.engine import Finding
from replicator.errors import Refused

log = logging.getLogger("replicator")


def weighed(findings: Iterable[Finding], *, allow_untested: bool) -> list[Finding]:
    """`untested` as a refusal, or as a warning where the user takes the risk."""
    found = []
    for finding in findings:
        if finding.level == "untested":
            remedy = finding.remedy or "--allow-untested takes it as it is; try it on a copy of the data first"
            finding = Finding("warn", finding.what) if allow_untested else Finding("refuse", finding.what, remedy)
        found.append(finding)
    return found


def admit(findings: Iterable[Finding]) -> None:
    """Say the warnings; raise Refused with every refusal and its remedy."""
    refusals = []
    for finding in findings:
        if finding.level == "refuse":
            refusals.append(finding)
        elif finding.level == "warn":
            log.warning("%s%s", finding.what, f" (remedy: {finding.remedy})" if finding.remedy else "")
    if not refusals:
        return
    if len(refusals) == 1:
        raise Refused(refusals[0].what, remedy=refusals[0].remedy)
    lines = [f"- {f.what}" + (f"\n    remedy: {f.remedy}" if f.remedy else "") for f in refusals]
    raise Refused(f"{len(refusals)} things must be mended first:\n  " + "\n  ".join(lines))
