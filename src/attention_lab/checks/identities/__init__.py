"""Identities that any attention with a variant's rules obeys, whatever its numbers: the function against itself.

The notebook asks them in the cell ``invariants``, besides what the cell's points hang on: a mistake that shows here
alone costs its points in the hidden checks. The door is ``cases.invariant_and_identity_cases``.
"""
