"""A learner's notebook: reading its cells, running them, and checking that it can be handed in.

Its doors are ``learner_cells.read_submission``, ``run_cells.load`` and ``hand_in.check_hand_in``.
"""
