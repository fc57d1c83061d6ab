"""What the course's authors run: releases, notebooks in their normal form, the demo, JupyterLab.

Its doors are the modules that ``make`` starts; nothing else imports this room.
"""
