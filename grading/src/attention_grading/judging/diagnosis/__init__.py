"""Mistakes by their names: models of what wrong code computes, and symptoms of how it fails.

Its doors are ``explain.diagnose`` and ``symptoms.recognise_symptom``, which name a mistake or nothing.
"""
