"""Who sees whom, as pictures: masks, attention weights, and tables of scores.

Its doors are ``heatmaps``, ``attention_map`` and ``steps``; what they draw with, other rooms may use.
"""
