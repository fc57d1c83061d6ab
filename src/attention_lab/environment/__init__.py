"""What is installed here, what to do about what is not, and how to begin.

Its doors are ``welcome.welcome``, ``doctor.doctor`` and ``start.start``; where torch or JupyterLab is missing, they say
so in sentences.
"""
