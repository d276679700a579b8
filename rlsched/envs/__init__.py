"""The Gymnasium door: placement, scaling, consolidation, single and vector."""
