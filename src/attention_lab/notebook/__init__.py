"""A notebook as a file and as a program: reading the learner's cells, running them, and looking whether they can be
handed in.

Its doors are ``learner_cells.read_submission``, ``run_cells.load`` and ``hand_in.check_hand_in``.
"""
