"""What is right, and how a function is held against it.

Its door is ``session.Session``: submissions go in, verdicts come out.
"""
