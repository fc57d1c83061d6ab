"""Grading a class: what is to do, processes that do it, and the one writer to the gradebook.

Its door is ``command``, which is ``attention-grading grade``.
"""
