"""What holds for any attention with a variant's rules: outputs of the same function are compared with each other.

The notebook asks them in the cell ``invariants``, besides what the cell's points hang on: a mistake that shows here
alone costs its points in the hidden checks. The door is ``cases.invariant_and_identity_cases``.
"""
