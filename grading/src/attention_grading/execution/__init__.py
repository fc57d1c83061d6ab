"""What runs learners' code, and who talks to it; it knows no right answers.

Its doors are ``judge_runner.Supervisor`` for a function and ``notebook_runner.Display`` for a notebook's outputs; the
workers are started by their modules' names.
"""
