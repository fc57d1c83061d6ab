"""Figures of a class, and the page that shows them.

Its door is ``command``, which is ``attention-grading report``.
"""
