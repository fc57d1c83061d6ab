"""Whole models around an attention function: a sentence encoder, a tiny causal model, and other people's.

Its doors are its modules; lesson L3 shows them at work.
"""
