"""Hidden cases, comparison and verdict: what a right function gives, and what is wrong with this one.

Its door is ``session.Session``: submissions go in, verdicts come out.
"""
