"""How fast an autoscaler may go down: the window, and the policies of its behavior."""

from __future__ import annotations

from dataclasses import dataclass, field

from theseus_ci.sandbox.client import Object


@dataclass(frozen=True)
class Standing:
    """A size above the minimum, and since when (seconds): the window starts anew with each."""

    current: int
    least: int
    since: float


@dataclass
class Brake:
    """What one autoscaler's way down has been so far. All times are of one monotonic clock."""

    standing: Standing | None = None
    steps: list[tuple[float, int]] = field(default_factory=list)

    def window_left(self, current: int, least: int, window: float, now: float) -> float:
        """Seconds until `current` may go down towards `least`; not positive when it may now."""
        if current <= least:
            self.standing = None
            return 0.0
        known = self.standing
        if known is None or (known.current, known.least) != (current, least):
            self.standing = known = Standing(current, least, now)
        return known.since + window - now

    def stepped(self, change: int, now: float) -> None:
        """Note that the size went down by `change` pods, and that the next step may follow."""
        self.steps.append((now, change))
        if self.standing is not None:
            rest = self.standing.current - change
            self.standing = Standing(rest, self.standing.least, self.standing.since)

    def lowest(self, current: int, rules: Object, now: float) -> tuple[int, float]:
        """The smallest size the policies allow now, and in how many seconds to ask again.

        The second is 0 when no step of the past holds us back.
        """
        if rules.get("selectPolicy") == "Disabled":
            return current, 0.0
        policies = rules.get("policies") or []
        if not policies:
            return 0, 0.0
        longest = max(float(policy["periodSeconds"]) for policy in policies)
        self.steps = [(time, change) for time, change in self.steps if time > now - longest]
        limits = [self._limit(policy, current, now) for policy in policies]
        choose = max if rules.get("selectPolicy") == "Min" else min
        waits = [
            time + float(policy["periodSeconds"]) - now
            for policy in policies
            for time, _ in self.steps
        ]
        coming = [wait for wait in waits if wait > 0]
        return max(0, choose(limits)), min(coming, default=0.0)

    def _limit(self, policy: Object, current: int, now: float) -> int:
        """From the size at the start of the policy's period, down by so many pods or percent."""
        began = now - float(policy["periodSeconds"])
        start = current + sum(change for time, change in self.steps if time > began)
        value = int(policy["value"])
        return start - value if policy["type"] == "Pods" else start * (100 - value) // 100
