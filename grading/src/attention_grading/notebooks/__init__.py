"""Grading one notebook as a pure function: no folder of the course, no gradebook.

Its door is ``grade.grade_notebook``; what it writes into cells, ``verdict_cells`` reads again.
"""
