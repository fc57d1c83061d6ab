"""The two visible checks, and the calls of a learner's function that they make.

Its door is ``run.check``; graders take ``calls``, ``case`` and ``require`` too.
"""
