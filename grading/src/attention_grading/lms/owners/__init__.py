"""Whose a file is: certain, or asked for.

Its door is ``rule.owner_of``: what the instructor says counts first, then a platform's own names, then nbgrader's
folders, then the roster. Nothing else is ever taken for an owner.
"""
