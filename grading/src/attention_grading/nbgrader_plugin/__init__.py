"""What nbgrader runs, and the course as nbgrader has it.

Its doors are the classes that ``nbgrader_config.py`` names, ``course.load_course`` and ``gradebook_reader.read_marks``.
"""
