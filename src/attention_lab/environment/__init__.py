"""What is installed here, and what to do about what is not.

Its doors are ``welcome.welcome`` and ``doctor.doctor``; it says so in sentences where torch itself is missing.
"""
