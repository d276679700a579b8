"""Scaling policies: named rules with the numbers of their sources, and families to tune."""

from rlsched.policies.scaling.policy import POLICIES, ScalingPolicy, family, find_scaling, parse_scaling

__all__ = ["POLICIES", "ScalingPolicy", "family", "find_scaling", "parse_scaling"]
