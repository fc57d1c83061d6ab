"""One call of a learner's function as data, and the two visible checks that ask with it.

Its door is ``run.check``; graders take ``calls``, ``case`` and ``require`` too.
"""
