"""What comes from a learning platform, and what goes back to it.

Its doors are ``intake_command`` and ``return_command``, which are ``attention-grading intake`` and ``return``.
"""
